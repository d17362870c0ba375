"""What a run tells: its log file always, the terminal if it is the only run."""

from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class LogReporter:
    """Writes a run's lines to run.log in its folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "run.log"
        self._file: TextIO

    def __enter__(self) -> "LogReporter":
        self._file = self._path.open("w", encoding="utf-8", buffering=1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def line(self, text: str) -> None:
        self._file.write(text + "\n")

    def step(self, steps: int) -> None:
        """A log needs no single steps."""

    def trace(self, text: str) -> None:
        """A traceback: for the log alone."""
        self._file.write(text)


class TerminalReporter(LogReporter):
    """Writes to the log and to stdout, with a progress bar if stdout is a terminal."""

    def __init__(self, folder: Path, steps: int) -> None:
        super().__init__(folder)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
            console=Console(highlight=False, soft_wrap=True),
            transient=True,
            disable=not Console().is_terminal,
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
        self._bar.update(self._task, completed=steps)
