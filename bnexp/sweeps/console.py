"""What is told of runs: a log file each, the terminal for a single one, a view of a sweep."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bnexp.config import Config
from bnexp.folders import runs
from bnexp.training import interrupt

# Where stdout is no terminal, a sweep tells of itself this often.
PLAIN_SECONDS = 5.0


class LogReporter:
    """Appends a run's lines to run.log in its folder; a context manager.

    Args:
        folder: the run's.
        notes: the first lines.
    """

    def __init__(self, folder: Path, notes: Sequence[str] = ()) -> None:
        self._path, self._notes = folder / "run.log", notes
        self._file: TextIO

    def __enter__(self) -> "LogReporter":
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

    def line(self, text: str) -> None:
        self._file.write(text + "\n")

    def step(self, steps: int) -> None:
        """A log needs no single steps, but this is a safe moment to stop."""
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
        super().step(steps)
        self._bar.update(self._task, completed=steps)


class SweepView:
    """Shows how a sweep goes: live on a terminal, elsewhere a plain line now and then.

    Args:
        configs: the runs to be made.
    """

    def __init__(self, configs: Sequence[Config]) -> None:
        self._costs = {runs.run_folder(config): config.work for config in configs}
        self._ended: dict[Path, str] = {}
        self._running: list[Config] = []
        self._began = self._printed = time.monotonic()
        self._console = Console(highlight=False, soft_wrap=True)
        self._live = Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=2,
            transient=True,
        )

    def __enter__(self) -> "SweepView":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        counts = Counter(self._ended.values())
        seconds = time.monotonic() - self._began
        told = ", ".join(f"{counts[status]} {status}" for status in runs.STATUSES if counts[status])
        self._console.print(f"{told or 'none ended'} in {seconds:.0f} s", markup=False)

    def running(self, configs: list[Config]) -> None:
        """Takes the runs that are going on just now."""
        self._running = configs
        if not self._console.is_terminal and time.monotonic() - self._printed > PLAIN_SECONDS:
            self._printed = time.monotonic()
            shown = [", ".join(part for part in row if part) for row in self._rows()]
            self._console.print("; ".join([self._status(), *shown]), markup=False)

    def ended(self, config: Config, result: dict[str, Any]) -> None:
        """Takes the result of a run."""
        self._ended[runs.run_folder(config)] = result["status"]
        if result["status"] != runs.FINISHED:
            line = f"{runs.run_folder(config)}: {runs.summary(result)}"
            self._console.print(line, markup=False)

    def _status(self) -> str:
        counts = Counter(self._ended.values())
        parts = [f"{len(self._ended)}/{len(self._costs)} runs"]
        parts += [
            f"{counts[status]} {status}"
            for status in (runs.DIVERGED, runs.FAILED)
            if counts[status]
        ]
        left = self._seconds_left()
        if left is not None:
            parts.append(f"about {timedelta(seconds=round(left))} left")
        return ", ".join(parts)

    def _seconds_left(self) -> float | None:
        """By the share of the work, not of the runs, that is done."""
        done = sum(self._costs[folder] for folder in self._ended)
        if not done:
            return None
        left = sum(self._costs.values()) - done
        return (time.monotonic() - self._began) * left / done

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        """Run, steps, and validation accuracy of what is going on, from the runs' own files."""
        for config in self._running:
            step, accuracy = runs.latest(runs.run_folder(config))
            reached = f"step {step}/{config.trainer.steps}"
            shown = "" if accuracy is None else f"validation accuracy {accuracy:.4f}"
            yield runs.run_id(config), reached, shown

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for row in self._rows():
            table.add_row(*row)
        outer = Table.grid()
        outer.add_row(self._status())
        outer.add_row(table)
        return outer
