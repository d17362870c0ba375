"""trial.json in a sweep's folder: what a trial was to do, tried and chose, and which runs judge.

Plain values alone, none of them a time, so that the same trial always writes the same bytes.
"""

import json
from pathlib import Path
from typing import Any, TypeAlias

from bnexp.folders.errors import RunError
from bnexp.folders.runs import read_text
from bnexp.folders.tables import write_atomically

FILE = "trial.json"
VERSION = 1  # raised when its fields change their meaning
FIELDS = ("version", "settings", "plan", "trials")

Trial: TypeAlias = dict[str, Any]


def write(sweep_dir: Path, trial: Trial) -> None:
    """Writes trial.json, atomically."""
    text = json.dumps({"version": VERSION, **trial}, indent=1, ensure_ascii=False)
    write_atomically(sweep_dir / FILE, text + "\n")


def read(sweep_dir: Path) -> Trial | None:
    """trial.json of a sweep's folder; None: it has none.

    Raises:
        RunError: it is damaged, or of another version.
    """
    text = read_text(sweep_dir / FILE)
    return None if text is None else parsed(text, sweep_dir / FILE)


def parsed(text: str, path: Path) -> Trial:
    """A trial from its JSON.

    Raises:
        RunError: it is damaged; the message names the path.
    """
    try:
        trial = json.loads(text)
    except ValueError as error:
        raise RunError(
            f"{path}: cannot be read ({error}); delete it, and the same command goes on with the "
            "runs that are there"
        ) from error
    if not isinstance(trial, dict) or any(field not in trial for field in FIELDS):
        raise RunError(f"{path}: no trial (needs {', '.join(FIELDS)})")
    if trial["version"] != VERSION:
        raise RunError(f"{path}: written by another version of this program")
    return trial


def differing(one: Any, other: Any, key: str = "") -> list[str]:
    """The keys, with dots, in which two settings of trials differ."""
    if _are_records(one) and _are_records(other):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [key]
    found = []
    for name in dict.fromkeys([*one, *other]):
        inner = f"{key}.{name}" if key else str(name)
        missing = name not in one or name not in other
        found += [inner] if missing else differing(one[name], other[name], inner)
    return found


def _are_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
