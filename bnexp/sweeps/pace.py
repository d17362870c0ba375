"""How long runs take: what the steps made so far, and the runs that ended, say of the others."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median

from bnexp.config import Config
from bnexp.config.identity import shape
from bnexp.folders.runs import run_folder

ENOUGH = 5  # ended runs of a kind, of which the first waited for TensorFlow
LATEST = 10
SEEN_SECONDS = 2.0  # a pace of less time is none


def kind(config: Config) -> str:
    """Equal for runs whose steps take equally long."""
    return repr((shape(config), config.data.target, config.probes.record))


@dataclass
class _Kind:
    """What is known of runs of a kind, in seconds per unit of work (`Config.work`)."""

    ended: deque[float] = field(default_factory=lambda: deque(maxlen=LATEST))
    seen: float | None = None
    planned: float | None = None

    @property
    def rate(self) -> float | None:
        """Ended runs say most, once they are several; before that, the steps that were seen."""
        if len(self.ended) >= ENOUGH:
            return median(self.ended)
        if self.seen is not None:
            return self.seen
        return min(self.ended) if self.ended else self.planned


@dataclass
class _Sight:
    """The first step that a run was seen to make, and when: from there its pace is taken."""

    steps: int
    when: float
    moved: bool = False


class Pace:
    """Seconds that runs take on one process, learned from those of one command.

    Args:
        clock: seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}
        self._sights: dict[Path, _Sight] = {}
        self._kind_of: dict[Path, str] = {}

    def _of(self, config: Config) -> _Kind:
        folder = run_folder(config)
        if folder not in self._kind_of:
            self._kind_of[folder] = kind(config)
        return self._kinds.setdefault(self._kind_of[folder], _Kind())

    def plan(self, config: Config, seconds: float) -> None:
        """Takes what a run like this is said to take, until runs say it themselves."""
        self._of(config).planned = seconds / config.work

    def ended(self, config: Config, seconds: float) -> None:
        """Takes what a whole run took."""
        self._of(config).ended.append(seconds / config.work)

    def stands_at(self, config: Config, steps: int) -> None:
        """Takes the steps that a run has made by now."""
        now, folder = self._clock(), run_folder(config)
        sight = self._sights.setdefault(folder, _Sight(steps, now))
        if steps == sight.steps:
            if not sight.moved:
                sight.when = now
        elif not sight.moved:  # up to here it was started
            self._sights[folder] = _Sight(steps, now, moved=True)
        elif now - sight.when >= SEEN_SECONDS:
            work = (steps - sight.steps) * config.trainer.batch_size
            self._of(config).seen = (now - sight.when) / work

    def seconds(self, config: Config, steps: int = 0) -> float | None:
        """What a run that has made so many steps still takes; None: nothing is known yet.

        A kind of which nothing is known is taken for a mean one.
        """
        known = [one.rate for one in self._kinds.values() if one.rate is not None]
        rate = self._of(config).rate
        if rate is None and known:
            rate = fmean(known)
        left = max(0, config.trainer.steps - steps) * config.trainer.batch_size
        return None if rate is None else rate * left


def seconds_left(
    pace: Pace,
    running: Sequence[tuple[Config, int]],
    waiting: Iterable[tuple[Config, int]],
    processes: int,
) -> float | None:
    """What all runs still take side by side; None: nothing is known yet.

    Args:
        pace: what is known of them.
        running: those that are going on, with the steps they have made.
        waiting: those to come, each with how many there are like it.
        processes: how many go on at a time.
    """
    own = [pace.seconds(config, steps) for config, steps in running]
    later = [(pace.seconds(config), count) for config, count in waiting]
    known = [one for one in own if one is not None]
    coming = [seconds * count for seconds, count in later if seconds is not None]
    if len(known) < len(own) or len(coming) < len(later):
        return None
    return max([(sum(known) + sum(coming)) / max(1, processes), *known])
