"""How far a run is between its evaluations: a file in its folder, only while it is going on.

The process of the run writes the steps made, at most once a second, and removes the file when it
ends, however it ends; what a killed process left is removed by the next start.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FILE = ".step"
SECONDS = 1.0


class Heartbeat:
    """Writes the steps made by a run into its folder.

    Args:
        folder: the run's.
        clock: seconds from any origin.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = folder / FILE, clock
        self._due = clock() + SECONDS

    def beat(self, steps: int) -> None:
        """Takes the steps made; of calls within a second the first counts."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + SECONDS
        with suppress(OSError):  # a full disk: the run's own files will tell
            self._path.write_text(f"{steps}\n", encoding="ascii")

    def end(self) -> None:
        """Removes the file."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def steps(folder: Path) -> int:
    """The steps made by a run that is going on, as far as noted; 0: not noted."""
    try:
        return int((folder / FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
