"""The exact claims, checked in a process of their own while runs are loaded and drawn."""

import hashlib
import json
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

from bnexp import exact
from bnexp.analysis.claims.model import Finding
from bnexp.analysis.statistics import Estimate
from bnexp.runs import write_atomically

Findings: TypeAlias = dict[str, list[Finding]]

PACKAGES = ("tensorflow", "keras", "numpy")


@contextmanager
def exact_checks(kept: Path) -> Iterator[Callable[[], Findings]]:
    """Starts the checks; calling what is yielded waits for them and returns the findings.

    They are kept in the file `kept` and not made again while code and packages are the same.
    """
    known = _read(kept)
    if known is not None:
        yield lambda: known
        return
    # spawned: a process that has imported TensorFlow must not be forked
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pending = pool.submit(exact.findings)

        def wait() -> Findings:
            found = pending.result()
            _write(kept, found)
            return found

        yield wait


def _key() -> str:
    """Stands for all that can change the findings."""
    here = Path(exact.__file__).parent
    sources = [(here / name).read_bytes() for name in ("exact.py", "normalization.py")]
    machine = [platform.machine(), platform.python_version(), *map(version, PACKAGES)]
    return hashlib.sha256(b"".join([*sources, *map(str.encode, machine)])).hexdigest()


def _read(path: Path) -> Findings | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["key"] != _key():
            return None
        return {
            claim: [Finding(**row | {"effect": Estimate(**row["effect"])}) for row in rows]
            for claim, rows in stored["findings"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, found: Findings) -> None:
    rows = {claim: [asdict(finding) for finding in findings] for claim, findings in found.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"key": _key(), "findings": rows}))
