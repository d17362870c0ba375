"""What goes on, told on stderr while it takes long; nothing of what is quick."""

import sys
import threading
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

SILENT = 3.0  # seconds at first
EVERY = 10.0  # seconds between two lines where stderr is no terminal


class Progress:
    """A bar on a terminal, elsewhere a line now and then; a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._console.is_terminal:
            self._bar.stop()

    def stage(self, what: str, total: int | None = None) -> None:
        """Something new is begun, of so many parts."""
        task = self._bar.add_task(what, total=total)
        self._bar.remove_task(self._task)
        self._task = task

    def advance(self) -> None:
        """A part of it is done."""
        self._bar.advance(self._task)

    def _tell(self) -> None:
        if self._ended.wait(SILENT):
            return
        if self._console.is_terminal:
            self._bar.start()
            return
        while True:
            print(self._line(), file=sys.stderr, flush=True)
            if self._ended.wait(EVERY):
                return

    def _line(self) -> str:
        task = self._bar.tasks[-1]
        of = f": {task.completed:.0f} of {task.total:.0f}" if task.total else ""
        return f"{task.description}{of}"
