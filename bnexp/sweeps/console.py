"""What is told of a run: its log file, its heartbeat, and the terminal for a single one."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bnexp.folders.heartbeat import Heartbeat
from bnexp.training import interrupt


class LogReporter:
    """Appends a run's lines to run.log in its folder; a context manager.

    Args:
        folder: the run's.
        notes: the first lines.
    """

    def __init__(self, folder: Path, notes: Sequence[str] = ()) -> None:
        self._path, self._notes = folder / "run.log", notes
        self._heartbeat = Heartbeat(folder)
        self._file: TextIO

    def __enter__(self) -> "LogReporter":
        self._heartbeat.end()  # of a start that was killed
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        for note in self._notes:
            self.line(note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._heartbeat.end()

    def line(self, text: str) -> None:
        self._file.write(text + "\n")

    def step(self, steps: int) -> None:
        """A log needs no single steps, but this is a safe moment to stop."""
        self._heartbeat.beat(steps)
        interrupt.check()

    def trace(self, text: str) -> None:
        """A traceback: for the log alone."""
        self._file.write(text)


class TerminalReporter(LogReporter):
    """Writes to the log and to stdout, with a progress bar if stdout is a terminal."""

    def __init__(self, folder: Path, steps: int) -> None:
        super().__init__(folder)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
            console=Console(highlight=False, soft_wrap=True),
            transient=True,
            disable=not Console().is_interactive,
        )
        self._task = self._bar.add_task("training", total=steps)

    def __enter__(self) -> "TerminalReporter":
        super().__enter__()
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        super().__exit__(kind, error, trace)

    def line(self, text: str) -> None:
        super().line(text)
        self._bar.console.print(text, markup=False)

    def step(self, steps: int) -> None:
        super().step(steps)
        self._bar.update(self._task, completed=steps)
