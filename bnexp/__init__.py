"""bnexp: what does Batch Normalization do to training?

Importing this package does not import TensorFlow. `BatchNorm` registers itself with Keras as
soon as both are imported, in either order, so that `keras.models.load_model` reads kept
models.
"""

import importlib
from typing import Any

import wrapt

__version__ = "0.1.0"


@wrapt.when_imported("keras")
def _register_layers(_: Any) -> None:
    for module in ("bnexp.norms.batch", "bnexp.networks.dense"):
        importlib.import_module(module)


def __getattr__(name: str) -> Any:
    if name == "BatchNorm":
        return importlib.import_module("bnexp.norms.batch").BatchNorm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
