"""How the arms of a trial are tuned: which runs are wanted next, and what each arm then chooses.

Pure functions of the design and of the scores so far: a trial that was interrupted goes on by
asking again. Knows neither Hydra nor folders nor networks.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

Value: TypeAlias = Any  # of a setting: a number, a word, a list
Grid: TypeAlias = Mapping[str, Sequence[Value]]
Cell: TypeAlias = tuple[Value, ...]  # a value for each key of the grid, in its order
GROWTHS = 3  # how often a grid may grow
LOWEST, HIGHEST = "lowest", "highest"
# Stages: tuning runs may be shorter than those they stand for, and those that judge keep more.
SHORT, FULL, JUDGED = "short", "full", "judged"


@dataclass(frozen=True)
class Design:
    """What a trial is to do.

    Attributes:
        arms: names, the baseline first.
        grid: the nuisance settings, each with its values in order.
        parts: sub-grids, judged each by itself: name to the settings that are fixed there.
        choose_by: criteria; each chooses for itself.
        tune_seeds: seeds of the runs that choose.
        report_seeds: seeds of the runs that are judged.
        short: tuning runs are shorter than full ones.
        finalists: how many of the best combinations of an arm are run in full length before one
            is chosen, where tuning runs are shorter; those of a grid that has grown since stay in
            the running.
        halving: drop the worse half of an arm's combinations after each tuning seed.
        limit: of combinations an arm, beyond which grids do not grow; None: no limit.
    """

    arms: Sequence[str]
    grid: Grid
    parts: Mapping[str, Mapping[str, Value]]
    choose_by: Sequence[str]
    tune_seeds: Sequence[int]
    report_seeds: Sequence[int]
    short: bool = False
    finalists: int = 5
    halving: bool = False
    limit: int | None = None


@dataclass(frozen=True)
class Trying:
    """One tuning run: an arm with a combination of the nuisance settings and a seed."""

    arm: str
    cell: Cell
    seed: int
    stage: str


@dataclass(frozen=True)
class Choice:
    """What an arm chose in a part by a criterion.

    Attributes:
        cell: the combination.
        score: its mean over the tuning seeds.
        edges: keys whose chosen value is the lowest or highest of a grid that could have grown.
        tried: of every combination its mean score, and over how many runs.
        stage: of the runs that decided.
    """

    part: str
    criterion: str
    arm: str
    cell: Cell
    score: float
    edges: Mapping[str, str]
    tried: Mapping[Cell, tuple[float, int]]
    stage: str


@dataclass(frozen=True)
class Tuning:
    """How far the tuning is: what is wanted next, or, where that is nothing, what was chosen."""

    grid: Grid
    wanted: Sequence[Trying] = ()
    choices: Sequence[Choice] = ()


# The score of a run by a criterion, higher is better; None: it was not run.
Score: TypeAlias = Callable[[Trying, str], float | None]
# Whether an arm's networks can have a value of a setting that is not in the grid.
Allowed: TypeAlias = Callable[[str, str, Value], bool]


def tune(design: Design, score: Score, has: Callable[[str, str], bool], allowed: Allowed) -> Tuning:
    """The next runs of a trial, or its choices.

    Every arm is tried with every combination. Where one's best value lies at an edge of a numeric
    grid, the grid grows by its own factor, for all arms, up to `GROWTHS` times.

    Args:
        design: what to do.
        score: of the runs so far.
        has: whether an arm has a setting; where not, it is left at its first value.
        allowed: whether a setting may have a value.
    """
    grid: dict[str, Sequence[Value]] = {key: tuple(values) for key, values in design.grid.items()}
    finalists: dict[tuple[str, str, str], list[Cell]] = {}  # of all grids so far
    for growth in range(GROWTHS + 1):
        rounds = [
            _Round(design, grid, score, *which, has, finalists.setdefault(which, []))
            for which in itertools.product(design.parts, design.choose_by, design.arms)
        ]
        wanted = [trying for one in rounds for trying in one.wanted]
        if wanted:
            return Tuning(grid, list(dict.fromkeys(wanted)))
        larger = _grown(design, grid, rounds, allowed) if growth < GROWTHS else grid
        if larger == grid:
            break
        grid = larger
    return Tuning(grid, choices=[one.choice for one in rounds])


@dataclass
class _Round:
    """One arm in one part by one criterion, on the grid as it is."""

    design: Design
    grid: Grid
    score: Score
    part: str
    criterion: str
    arm: str
    has: Callable[[str, str], bool]
    finalists: list[Cell]  # of smaller grids, which stay in the running; takes up those of this
    wanted: list[Trying] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Finds what is wanted, rung by rung; the later ones need the scores of the earlier."""
        alive = self.cells
        seeds = self.design.tune_seeds
        for i, seed in enumerate(seeds):
            self._want(alive, [seed], SHORT)
            if self.wanted and self.design.halving:
                return
            if self.design.halving and i + 1 < len(seeds):
                alive = self._best(alive, seeds[: i + 1], SHORT)[: math.ceil(len(alive) / 2)]
        if self.wanted:
            return
        if self.design.short:
            self.finalists += self._best(alive, seeds, SHORT)[: self.design.finalists]
            alive = [cell for cell in self.cells if cell in self.finalists]
            self._want(alive, seeds, FULL)
        if not self.wanted:
            self.cell = self._best(alive, seeds, self.stage)[0]

    @property
    def stage(self) -> str:
        """Of the runs that decide."""
        return FULL if self.design.short else SHORT

    @cached_property
    def cells(self) -> list[Cell]:
        """The arm's combinations in this part, each once."""
        fixed = self.design.parts[self.part]
        values = [
            (fixed[key],) if key in fixed else choices if self.has(self.arm, key) else choices[:1]
            for key, choices in self.grid.items()
        ]
        return list(itertools.product(*values))

    def _want(self, cells: Sequence[Cell], seeds: Sequence[int], stage: str) -> None:
        tries = [Trying(self.arm, cell, seed, stage) for cell in cells for seed in seeds]
        self.wanted += [one for one in tries if self.score(one, self.criterion) is None]

    def mean(self, cell: Cell, seeds: Sequence[int], stage: str) -> tuple[float, int]:
        """The mean score over those of the seeds that were run, and their number."""
        tries = (Trying(self.arm, cell, seed, stage) for seed in seeds)
        found = [self.score(one, self.criterion) for one in tries]
        known = [value for value in found if value is not None]
        return (math.fsum(known) / len(known) if known else math.nan), len(known)

    def _best(self, cells: Sequence[Cell], seeds: Sequence[int], stage: str) -> list[Cell]:
        """Best first; of equal ones the one that stands first in the grid."""
        means = {cell: self.mean(cell, seeds, stage)[0] for cell in cells}
        return sorted(cells, key=lambda cell: -means[cell])

    @property
    def choice(self) -> Choice:
        """What is chosen, once nothing is wanted."""
        seeds = self.design.tune_seeds
        return Choice(
            part=self.part,
            criterion=self.criterion,
            arm=self.arm,
            cell=self.cell,
            score=self.mean(self.cell, seeds, self.stage)[0],
            edges=self.edges,
            tried={cell: self.mean(cell, seeds, SHORT) for cell in self.cells},
            stage=self.stage,
        )

    @property
    def edges(self) -> dict[str, str]:
        """Keys whose chosen value is the lowest or highest of several numbers.

        Not where another value is worth just as much: then there is no best to look for beyond.
        """
        fixed = self.design.parts[self.part]
        found = {}
        for place, (key, values) in enumerate(self.grid.items()):
            value = self.cell[place]
            if key in fixed or not self.has(self.arm, key) or not is_scale(values):
                continue
            if value in (min(values), max(values)) and not self._is_tied(place, values):
                found[key] = LOWEST if value == min(values) else HIGHEST
        return found

    def _is_tied(self, place: int, values: Sequence[Value]) -> bool:
        """Whether the chosen combination with another value at this place is worth the same.

        On all the seeds that the other was run on: the first ones, where it was dropped.
        """
        seeds = self.design.tune_seeds
        others = [
            (*self.cell[:place], value, *self.cell[place + 1 :])
            for value in values
            if value != self.cell[place]
        ]
        means = [self.mean(other, seeds, SHORT) for other in others]
        return any(
            self.mean(self.cell, seeds[:count], SHORT)[0] == mean for mean, count in means if count
        )


def is_scale(values: Sequence[Value]) -> bool:
    """Whether values are several numbers, of which one can be the largest."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return numbers and len(values) > 1


def beyond(values: Sequence[float], edge: str) -> float | None:
    """The next value of a grid past an edge, by the factor between the last two there.

    None: there is no factor, as one of them is not above 0.
    """
    ordered = sorted(values, reverse=edge == HIGHEST)
    last, before = ordered[:2]
    if min(last, before) <= 0:
        return None
    value = float(f"{last * last / before:.3g}")
    if all(isinstance(one, int) for one in values):
        return round(value) if round(value) not in (*values, 0) else None
    return value


def _grown(
    design: Design, grid: dict[str, Sequence[Value]], rounds: Sequence[_Round], allowed: Allowed
) -> dict[str, Sequence[Value]]:
    """The grid with a value more at each edge at which an arm's best lies, as far as may be."""
    grown = dict(grid)
    for key, edge in dict.fromkeys(item for one in rounds for item in one.edges.items()):
        value = beyond(grid[key], edge)
        if value is None or not all(allowed(arm, key, value) for arm in design.arms):
            continue
        wider = sorted([*grown[key], value])
        size = math.prod(len(values) for name, values in grown.items() if name != key) * len(wider)
        if design.limit is None or size <= design.limit:
            grown[key] = wider
    return grown
