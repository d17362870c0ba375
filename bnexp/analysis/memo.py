"""Results kept in a file from one report to the next, each under a key for all it depends on."""

import functools
import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import bnexp
from bnexp.analysis.loading import Runs
from bnexp.folders.runs import write_atomically

PACKAGES = ("keras", "matplotlib", "numpy", "pandas", "scipy", "tensorflow")


class Memo:
    """Values by name, in one JSON file; a value with another key does not count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old = self._read()
        self._new: dict[str, Any] = {}

    def _read(self) -> dict[str, Any]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}

    def get(self, name: str, key: str) -> Any:
        """The value, or None."""
        entry = self._old.get(name)
        if not isinstance(entry, dict) or entry.get("key") != key:
            return None
        self._new[name] = entry
        return entry["value"]

    def put(self, name: str, key: str, value: Any) -> None:
        """Takes a value in."""
        self._new[name] = {"key": key, "value": value}

    def write(self) -> None:
        """Writes what was got or put; the rest is forgotten."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps(self._new))


@functools.cache
def code() -> str:
    """Stands for this program and the packages that it computes and draws with."""
    here = Path(bnexp.__file__).parent
    sources = [path.read_bytes() for path in sorted(here.rglob("*.py"))]
    machine = [platform.machine(), platform.python_version(), *map(version, PACKAGES)]
    return hashlib.sha256(b"".join([*sources, *map(str.encode, machine)])).hexdigest()


def content(runs: Runs, *options: Any) -> str:
    """Stands for the program, all that is known of the runs, and the options."""
    digest = hashlib.sha256(f"{code()}{options}".encode())
    for table in (runs.runs.astype(str), runs.history, runs.probes):
        digest.update(",".join(table.columns).encode())
        digest.update(pd.util.hash_pandas_object(table).to_numpy().tobytes())
    return digest.hexdigest()
