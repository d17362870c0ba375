"""Figures and claims, one a file: those of this package, and those in folders of the user's.

A file `figures/NAME.py` has a function `draw(runs, wanted)` that yields `Drawing`s; a file
`claims/NAME.py` has `CLAIMS`, a sequence of `Claim`s. Nothing else names them.
"""

import hashlib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from bnexp.config import ConfigError
from bnexp.config.errors import reason
from bnexp.config.places import own_folders

NEEDED = {"figures": "draw", "claims": "CLAIMS"}
OWN = "bnexp_own_"  # names of the user's modules
LAST = 1000  # the place of a module that does not say its own


def modules(kind: str) -> list[ModuleType]:
    """The modules of "figures" or "claims", in the order of their `PLACE`.

    Raises:
        ConfigError: a user's file cannot be imported, or lacks what it is for.
    """
    return [*_shipped(kind), *(_loaded(kind, path) for path in own_files(kind))]


def _shipped(kind: str) -> list[ModuleType]:
    package = importlib.import_module(f"bnexp.analysis.{kind}")
    found = [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
    ]
    having = [module for module in found if hasattr(module, NEEDED[kind])]
    return sorted(having, key=lambda module: getattr(module, "PLACE", LAST))


def own_files(kind: str) -> Iterator[Path]:
    """The user's files of a kind."""
    for folder in own_folders():
        yield from sorted((folder / kind).glob("[!_]*.py"))


def _loaded(kind: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{OWN}{kind}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(
            f"{path}: cannot be imported ({type(error).__name__}: {error})"
        ) from error
    if not hasattr(module, NEEDED[kind]):
        raise ConfigError(f"{path}: has no {NEEDED[kind]}, which a file in {kind}/ needs")
    return module


def called(module: ModuleType, *arguments: Any) -> list[Any]:
    """What the `draw` of a module yields.

    Raises:
        ConfigError: a user's fails, or yields nothing that can be drawn.
    """
    if not module.__name__.startswith(OWN):
        return list(module.draw(*arguments))
    try:
        return list(module.draw(*arguments))
    except Exception as error:
        told = f"draw failed: {type(error).__name__}: {reason(error)}"
        raise ConfigError(f"{module.__file__}: {told}") from error


def own_code() -> str:
    """Stands for the content of the user's files: what they made before is made anew."""
    files = [path for kind in NEEDED for path in own_files(kind)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
