"""What the terminal shows of a sweep: live where it can, elsewhere a plain line now and then."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bnexp.config import Config
from bnexp.folders import heartbeat, runs
from bnexp.sweeps.pace import Pace, seconds_left
from bnexp.terminal import counted, cut, duration

# Where the terminal cannot be drawn on, or is none, a line comes after so many seconds, and then
# ever more rarely.
PLAIN_SECONDS, RARER, RAREST_SECONDS = 5.0, 1.5, 120.0
PLAIN_WIDTH = 100
WIDE = 60  # columns from which ids and times are written out
ID_DIGITS, GAP = 6, 2


@dataclass(frozen=True)
class Stage:
    """What a launch is within a larger plan.

    Attributes:
        whole: the name of the plan: "trial".
        behind: work (see `Config.work`) that was done before.
        ahead: runs that come after, and how many like each.
    """

    whole: str
    behind: int = 0
    ahead: Sequence[tuple[Config, int]] = ()

    def after(self, work: int) -> "Stage":
        """The same with more work behind it."""
        return replace(self, behind=self.behind + work)


@dataclass(frozen=True)
class _Standing:
    """A run that is going on: its steps so far, and its last validation accuracy."""

    config: Config
    steps: int
    accuracy: float | None


@dataclass
class _Lines:
    """When the next plain line is due."""

    next: float
    pause: float = PLAIN_SECONDS
    last: str = ""


class SweepView:
    """Shows how a sweep goes; a context manager.

    Args:
        configs: the runs to be made.
        labels: by a run's folder the settings that tell it from the others.
        pace: what is known of how long runs take, and learns more.
        stage: what this is a part of.
        clock: seconds from any origin.
    """

    def __init__(
        self,
        configs: Sequence[Config],
        labels: Mapping[Path, str] | None = None,
        pace: Pace | None = None,
        stage: Stage | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = {runs.run_folder(config): config for config in configs}
        self._labels, self._stage, self._clock = labels or {}, stage, clock
        self._pace = pace or Pace(clock)
        self._ended: dict[Path, str] = {}
        self._standing: list[_Standing] = []
        self._processes = 1
        self._began = clock()
        self._lines = _Lines(self._began + PLAIN_SECONDS)
        self._console = Console(highlight=False, soft_wrap=True)
        self._live = Live(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=2,
            transient=True,
        )

    def __enter__(self) -> "SweepView":
        if self._console.is_interactive:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        counts = Counter(self._ended.values())
        told = ", ".join(f"{counts[status]} {status}" for status in runs.STATUSES if counts[status])
        seconds = duration(self._clock() - self._began)
        self._console.print(f"{told or 'none ended'} in {seconds}", markup=False)

    def running(self, configs: list[Config]) -> None:
        """Takes the runs that are going on just now."""
        self._standing = [_standing(config) for config in configs]
        self._processes = len(configs) or self._processes
        for one in self._standing:
            self._pace.stands_at(one.config, one.steps)
        if not self._console.is_interactive:
            self._print_when_due()

    def ended(self, config: Config, result: dict[str, Any]) -> None:
        """Takes the result of a run."""
        folder = runs.run_folder(config)
        self._ended[folder] = result["status"]
        self._standing = [one for one in self._standing if runs.run_folder(one.config) != folder]
        if result["status"] == runs.FINISHED:
            self._pace.ended(config, result["total_seconds"])
            return
        label = self._labels.get(folder)
        shown = f"{folder} ({label})" if label else f"{folder}"
        self._console.print(f"{shown}: {runs.summary(result)}", markup=False)

    @property
    def share(self) -> float:
        """Of the work, not of the runs, that is done: from 0 to 1."""
        return self._done / max(1, sum(config.work for config in self._runs.values()))

    @property
    def _done(self) -> int:
        going = sum(one.steps * one.config.trainer.batch_size for one in self._standing)
        return going + sum(self._runs[folder].work for folder in self._ended)

    @property
    def share_of_whole(self) -> float:
        """The same of the larger plan."""
        assert self._stage is not None
        here = sum(config.work for config in self._runs.values())
        ahead = sum(config.work * count for config, count in self._stage.ahead)
        done = self._stage.behind + self._done
        return done / max(1, self._stage.behind + here + ahead)

    def seconds_left(self, *, whole: bool = False) -> float | None:
        """Of this launch, or of the larger plan; None: nothing is known yet."""
        going = {runs.run_folder(one.config) for one in self._standing}
        waiting = [
            (config, 1)
            for folder, config in self._runs.items()
            if folder not in self._ended and folder not in going
        ]
        if whole and self._stage:
            waiting += self._stage.ahead
        running = [(one.config, one.steps) for one in self._standing]
        return seconds_left(self._pace, running, waiting, self._processes)

    def _print_when_due(self) -> None:
        lines, now = self._lines, self._clock()
        if now < lines.next:
            return
        lines.pause = min(lines.pause * RARER, RAREST_SECONDS)
        lines.next = now + lines.pause
        if (line := self.plain_line()) != lines.last:
            lines.last = line
            self._console.print(line, markup=False)

    def plain_line(self) -> str:
        """How it stands, in a line that a terminal has room for."""
        line = ", ".join([self._counted(), _percent(self.share), *self._trouble()])
        if self._stage:
            line += f" ({_percent(self.share_of_whole)} of the {self._stage.whole})"
        left = self.seconds_left(whole=True)
        line += f", about {duration(left)} left" if left is not None else ""
        for one in self._standing:
            name = self._labels.get(runs.run_folder(one.config)) or runs.run_id(one.config)
            longer = f"{line}; {name}: step {one.steps}/{one.config.trainer.steps}"
            if len(longer) > PLAIN_WIDTH:
                break
            line = longer
        return line

    def _counted(self) -> str:
        return f"{len(self._ended)}/{len(self._runs)} runs"

    def _trouble(self) -> list[str]:
        counts = Counter(self._ended.values())
        return [f"{counts[one]} {one}" for one in (runs.DIVERGED, runs.FAILED) if counts[one]]

    def _drawn(self) -> RenderableType:
        width = self._console.width
        bars = Table.grid(padding=(0, 1), expand=True)
        for place in range(4):
            bars.add_column(no_wrap=True, ratio=1 if place == 1 else None)
        full = width >= WIDE
        bars.add_row(*_bar(self._counted(), self.share, _left(self.seconds_left(), full=full)))
        if self._stage:
            left = _left(self.seconds_left(whole=True), full=full)
            bars.add_row(*_bar(f"whole {self._stage.whole}", self.share_of_whole, left))
        trouble = ", ".join(self._trouble())
        lines = [*([trouble] if trouble else []), *self.rows(width, self._console.height - 4)]
        return Group(bars, *(Text(line, no_wrap=True, overflow="crop") for line in lines))

    def rows(self, width: int, height: int) -> list[str]:
        """For each run that is going on its settings, step and validation accuracy.

        Args:
            width: characters in a line; where they are too few, a run has two lines.
            height: at most so many lines.
        """
        cells = [self._cells(one, full=width >= WIDE) for one in self._standing]
        if not cells:
            return []
        room = [max(map(len, column)) for column in zip(*cells, strict=True)]
        if sum(room) + GAP * (len(room) - 1) <= width:
            lines = [_joined(map(str.ljust, row, room)) for row in cells]
        else:
            lines = [line for row in cells for line in _two_lines(row, width)]
        if len(lines) > height:
            shown = lines[: max(0, height - 1)]
            lines = [*shown, f"and more: {counted(len(cells), 'run')} are going on"]
        return lines

    def _cells(self, one: _Standing, *, full: bool) -> list[str]:
        folder, steps = runs.run_folder(one.config), one.config.trainer.steps
        step = f"step {one.steps}/{steps}" if one.steps else "starts"
        accuracy = f"validation {one.accuracy:.4f}" if one.accuracy is not None else ""
        name = folder.name if full else folder.name[:ID_DIGITS]
        return [name, self._labels.get(folder, ""), step, accuracy]


def _joined(cells: Iterable[str]) -> str:
    return (" " * GAP).join(cells).rstrip()


def _two_lines(row: Sequence[str], width: int) -> list[str]:
    name, label, *standing = row
    return [cut(_joined([name, label]), width), cut(f"{' ' * GAP}{_joined(standing)}", width)]


def _standing(config: Config) -> _Standing:
    """How a run stands, from its own files."""
    folder = runs.run_folder(config)
    evaluated, accuracy = runs.latest(folder)
    steps = max(evaluated, heartbeat.steps(folder))
    return _Standing(config, min(steps, config.trainer.steps), accuracy)


def _bar(name: str, share: float, left: str) -> Iterator[RenderableType]:
    yield Text(name)
    yield ProgressBar(total=1.0, completed=share)
    yield Text(_percent(share), justify="right")
    yield Text(left)


def _left(seconds: float | None, *, full: bool) -> str:
    if seconds is None:
        return ""
    return f"about {duration(seconds)} left" if full else duration(seconds)


def _percent(share: float) -> str:
    """Never 100% of what is not done."""
    return f"{100 if share >= 1 else min(99, int(share * 100))}%"
