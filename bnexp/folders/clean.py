"""Removes runs and what was left behind: only files of this program, only where nobody runs.

What is to go is first found and shown, then judged once more under the lock of its folder, as it
may have changed since.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnexp.config import ConfigError, nearest
from bnexp.folders import heartbeat, lock, runs
from bnexp.folders.errors import RunError
from bnexp.folders.own_files import asides, checkpoints, foreign, own
from bnexp.folders.state import RUNNING, UNFINISHED

LEFT, ORPHANS, EMPTY = "checkpoint left behind", "temporary files", "folder without a run"
FRESH_SECONDS = 60  # a file that somebody may be writing just now
RUN_ID = re.compile("[0-9a-f]{10}")


@dataclass(frozen=True)
class Wanted:
    """What is to be removed beside what was left behind.

    Attributes:
        states: runs that stand so.
        where: only runs with these settings, as `Runs.where` takes them.
        seconds: only what nobody has written to for so long.
    """

    states: Sequence[str] = ()
    where: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Removal:
    """What is to be removed in one folder.

    Attributes:
        folder: of a run.
        what: a run's state, if it goes as a whole; else what was left behind.
        files: those that go.
        kept: what else lies in the folder of a run that goes: it is no file of a run.
    """

    folder: Path
    what: str
    files: Sequence[Path]
    kept: Sequence[Path] = ()

    @property
    def bytes(self) -> int:
        """That are gained."""
        return sum(_stat(file).st_size for file in self.files)


class BusyError(Exception):
    """A run is going on, or has changed since it was looked at."""


@dataclass
class Search:
    """What there is to remove at or below folders.

    Attributes:
        wanted: what is asked for.
        found: what may go.
        notes: what is left alone although it was looked at, and why.
        states: of all runs that are there.
        keys: the settings that they have, where it is asked for some.
    """

    wanted: Wanted
    found: list[Removal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def __call__(self, roots: Sequence[Path]) -> "Search":
        """Looks at everything below the folders.

        Raises:
            RunError: there is no such folder.
            ConfigError: no run has a key that is asked for.
        """
        for root in roots:
            if not root.is_dir():
                raise RunError(f"{root}: no such folder")
            for folder in runs.find_run_folders([root]):
                self._look(folder, root)
            for folder in _empty_folders(root):
                self._take(removal(folder, self.wanted))
        for key in self.wanted.where:
            if self.states and not {key, f"{key}.kind"} & self.keys:
                raise ConfigError(f"no run has the key '{key}'{nearest(key, self.keys)}")
        return self

    def _look(self, folder: Path, root: Path) -> None:
        if not _is_within(folder, root):
            self.notes.append(f"{folder}: left alone, as it lies behind a link")
            return
        try:
            self.states.append(state(folder))
            self.keys.update(_settings(folder) if self.wanted.where else ())
            self._take(removal(folder, self.wanted))
        except (RunError, ConfigError) as error:
            self.notes.append(f"{error}; left alone")

    def _take(self, one: Removal | None) -> None:
        if one:
            self.found.append(one)
            self.notes += [f"{path}: kept, as it is no file of a run" for path in one.kept]


def state(folder: Path, *, locked: bool = False) -> str:
    """How a run stands, by its files, and by its lock unless the caller holds it.

    Raises:
        RunError: a file is damaged, or is no run's.
    """
    runs.read_config(folder)
    if not locked and lock.is_held(folder):
        return RUNNING
    result = runs.read_result(folder)
    return UNFINISHED if result is None else str(result["status"])


def removal(folder: Path, wanted: Wanted, *, locked: bool = False) -> Removal | None:
    """What is to go in a folder; None: nothing.

    Args:
        folder: a run's, or one that only has a lock.
        wanted: what is asked for.
        locked: the lock is held by the caller.

    Raises:
        RunError: a file is damaged.
    """
    files = own(folder)
    if not files or time.time() - max(_stat(one).st_mtime for one in files) < wanted.seconds:
        return None
    if [one.name for one in files] == [lock.FILE]:
        fresh = not locked and (lock.is_held(folder) or _is_fresh(files[0]))
        return None if fresh or foreign(folder) else Removal(folder, EMPTY, files)
    stands = state(folder, locked=locked)
    if stands == RUNNING:
        return None
    if stands in wanted.states and _matches(folder, wanted.where):
        return Removal(folder, stands, files, foreign(folder))
    left = checkpoints(folder) if stands in (runs.FINISHED, runs.DIVERGED) else []
    orphans = [one for one in asides(folder) if not _is_fresh(one) and one not in left]
    beat = folder / heartbeat.FILE
    orphans += [beat] if beat in files else []
    if not (left or orphans):
        return None
    return Removal(folder, LEFT if left else ORPHANS, [*left, *orphans])


def remove(one: Removal, wanted: Wanted) -> int:
    """Removes what was found, unless it has changed since; the bytes gained.

    Raises:
        BusyError: a process runs there, or what is there now is not to go.
        OSError: a file cannot be removed.
    """
    if not one.folder.is_dir():
        raise BusyError("is gone")
    try:
        with lock.held(one.folder):
            try:
                now = removal(one.folder, wanted, locked=True)
            except RunError as error:
                raise BusyError(str(error)) from error
            if now is None or now.what != one.what:
                raise BusyError("has changed just now")
            gained = _unlinked(now)
    except lock.Timeout as error:
        raise BusyError("a process runs it just now") from error
    for folder in [*(one.folder / name for name in ("checkpoint", "tensorboard")), one.folder]:
        with suppress(OSError):  # it is not empty, or not there
            folder.rmdir()
    return gained


def _unlinked(now: Removal) -> int:
    whole = now.what not in (LEFT, ORPHANS)
    gained = now.bytes
    for file in now.files:
        if file.name != lock.FILE:
            file.unlink(missing_ok=True)
    if whole and not now.kept:  # last, as who waits for it must find it gone
        with suppress(PermissionError):  # Windows, where its release removes it
            (now.folder / lock.FILE).unlink(missing_ok=True)
    return gained


def _empty_folders(root: Path) -> Iterator[Path]:
    """Folders that bear a run's name and hold nothing but a lock."""
    for path, inner, files in os.walk(root):
        if RUN_ID.fullmatch(Path(path).name) and files == [lock.FILE] and not inner:
            yield Path(path)


def _is_within(folder: Path, root: Path) -> bool:
    """Whether no link leads from the root to the folder."""
    return folder.resolve() == root.resolve() / folder.relative_to(root)


def _matches(folder: Path, where: Mapping[str, Any]) -> bool:
    """A run that does not have a key has none of its values."""
    if not where:
        return True
    from bnexp.analysis.loading import is_value

    settings = _settings(folder)
    names = {key: f"{key}.kind" if f"{key}.kind" in settings else key for key in where}
    return all(
        names[key] in settings and any(is_value(settings[names[key]], one) for one in values)
        for key, values in where.items()
    )


def _settings(folder: Path) -> dict[str, Any]:
    from bnexp.analysis.versions import in_todays_words

    return in_todays_words(runs.read_config(folder))


def _is_fresh(file: Path) -> bool:
    return time.time() - _stat(file).st_mtime < FRESH_SECONDS


def _stat(file: Path) -> os.stat_result:
    return file.lstat()
