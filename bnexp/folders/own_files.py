"""Which files in a run's folder this program wrote: these, and no others, may be removed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bnexp.folders import heartbeat, lock
from bnexp.folders.runs import CHECKPOINT, PROFILE
from bnexp.folders.tables import HISTORY, PREDICTIONS, PROBES

CONFIG, RESULT, MODEL = "config.yaml", "result.json", "model.keras"
FILES = (RESULT, HISTORY, PROBES, PREDICTIONS, PROFILE, MODEL, "run.log", heartbeat.FILE, CONFIG)
INNER = {  # of the folders within
    CHECKPOINT: re.compile(r"state\.npz|\.state\.\d+\.npz"),
    "tensorboard": re.compile(r"events\.out\.tfevents\..+"),
}
# written aside and moved into place; what lies there for long was left by a process that died
ASIDE = re.compile(rf"\.({'|'.join(map(re.escape, FILES))})\.\d+|\.saving\.keras|\.state\.\d+\.npz")


def own(folder: Path) -> list[Path]:
    """The run's own files, the one by which it is known for a run last; none of them a link."""
    found = [one for one in _entries(folder) if _is_own(one, folder)]
    return sorted(found, key=lambda one: (one == folder / CONFIG, one))


def foreign(folder: Path) -> list[Path]:
    """What else lies there: files of other people, links, folders that are no run's."""
    return [one for one in _entries(folder) if not _is_own(one, folder)]


def asides(folder: Path) -> list[Path]:
    """Files that a process left which died while it wrote them."""
    return [one for one in own(folder) if ASIDE.fullmatch(one.name)]


def checkpoints(folder: Path) -> list[Path]:
    """The files from which an unfinished run goes on."""
    return [one for one in own(folder) if one.parent.name == CHECKPOINT]


def _is_own(path: Path, folder: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if path.parent == folder:
        return path.name in (*FILES, lock.FILE) or ASIDE.fullmatch(path.name) is not None
    inner = path.relative_to(folder).parts[0]
    return inner in INNER and INNER[inner].fullmatch(path.name) is not None


def _entries(folder: Path) -> Iterator[Path]:
    """Everything below a folder but plain folders; links are named and not followed."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path))
        else:
            yield Path(entry.path)
