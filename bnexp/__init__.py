"""bnexp: what does Batch Normalization do to training?

From top to bottom as data flows:

    config/       conf/ and the command line to a checked config for each run, and its identity
    data/         images and labels, one source a file
    norms/ networks/ initializers/ optimizers/ schedules/ metrics/ probes/    one option a file
    training/     the compiled loop: steps, evaluation, checkpoint
    folders/      what is written where and read again; packs of many runs
    sweeps/       one run's execution, sweeps, trials, the pool, what the terminal shows
    analysis/     statistics, claims, figures, tables, report (without TensorFlow)
    run.py evaluate.py __main__.py    the commands;  api.py    the same from Python

Importing this package imports neither TensorFlow nor pandas. Its layers register themselves with
Keras as soon as both are imported, in either order, so that `keras.models.load_model` reads kept
models.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

if sys.argv[:1] == ["-m"] or Path(*sys.argv[:1]).stem == "bnexp":  # a command, not a library
    from bnexp import early  # noqa: F401

import wrapt

__version__ = "0.2.0.dev0"

# what `import bnexp` offers, and where it is: imported when it is asked for
_PUBLIC = {
    "BatchNorm": "bnexp.norms.batch",
    "Run": "bnexp.api",
    "compare": "bnexp.analysis.comparing",
    "load_runs": "bnexp.analysis.loading",
    "sweep": "bnexp.api",
    "Trial": "bnexp.api",
    "trial": "bnexp.api",
}
_LAYERS = (
    "bnexp.norms.batch",
    "bnexp.norms.group",
    "bnexp.norms.instance",
    "bnexp.norms.noisy",
    "bnexp.norms.rms",
    "bnexp.norms.weight",
    "bnexp.norms.standardization",
    "bnexp.networks.bias",
    "bnexp.networks.dense",
    "bnexp.networks.dropout",
    "bnexp.networks.learned_scale",
    "bnexp.networks.learned_shift",
    "bnexp.networks.local_response",
    "bnexp.networks.pointwise",
)
__all__ = ["BatchNorm", "Run", "Trial", "compare", "load_runs", "run", "sweep", "trial"]


@wrapt.when_imported("keras")
def _register_layers(_: Any) -> None:
    for module in _LAYERS:
        importlib.import_module(module)


def __getattr__(name: str) -> Any:
    if name == "run":  # a module that can be called, as `python -m bnexp.run` is its name too
        return importlib.import_module("bnexp.run")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
