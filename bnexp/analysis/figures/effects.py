"""What came out: every arm's test accuracy, and its difference from the first, with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.evidence import trial_of
from bnexp.analysis.figures import Wanted, intervals, panels, ranges, words
from bnexp.analysis.figures.layout import Sheet
from bnexp.analysis.judged import own_choices
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import TEST
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import NO_ESTIMATE, Estimate, paired_difference, t_interval

PLACE = 0  # among the figures of a sweep: the first

WIDTHS, ROW = (3.2, 3.2), 0.2  # inches, of the panels and of an arm
BETWEEN, BELOW = 0.5, 0.34  # rows: between two groups, and from a mean to its seeds
MAX_GROUPS = 16


@dataclass(frozen=True)
class Group:
    """Arms that are compared with the first of them.

    Attributes:
        name: the condition, and the part of a trial.
        values: test accuracy by seed, of each arm.
    """

    name: str
    values: Mapping[str, pd.Series]

    @property
    def baseline(self) -> str:
        """The first arm."""
        return next(iter(self.values))

    def effect(self, arm: str) -> Estimate:
        """Of an arm against the first, in percentage points, paired by seed."""
        if arm == self.baseline:
            return NO_ESTIMATE
        return paired_difference(self.values[arm], self.values[self.baseline]).scaled(100)


def of_trial(runs: Runs, record: Mapping[str, Any]) -> list[Group]:
    """The report runs of a trial, each arm with its own choice: a group a condition and part."""
    table = measures.ended(runs)
    places = {Path(str(run)).name: run for run in table.index}
    return [
        Group(one.name, {arm: _values(table, places, ids) for arm, ids in one.ids.items()})
        for one in own_choices(record)
    ]


def _values(table: pd.DataFrame, places: Mapping[str, Any], ids: Mapping[str, str]) -> pd.Series:
    return measures.by_seed(table.loc[[places[run] for run in ids.values() if run in places]], TEST)


def of_sweep(runs: Runs) -> tuple[list[Group], str]:
    """The conditions of a sweep that have runs of the arm without BN and of others.

    Each arm is taken at its best learning rate.
    """
    shown, how = best_rates.tuned_runs(runs)
    table = measures.ended(shown)
    groups = []
    for condition, members in table.groupby(CONDITION, sort=False):
        arms = {str(arm): rows for arm, rows in members.groupby(ARM, sort=False)}
        if measures.NONE in arms and len(arms) > 1:
            arms = {measures.NONE: arms.pop(measures.NONE), **arms}
            values = {arm: measures.by_seed(rows, TEST) for arm, rows in arms.items()}
            groups.append(Group(str(condition), values))
    return groups, how


def effects(groups: Sequence[Group], how: str) -> Iterator[Drawing]:
    """Both panels, with a row for every arm of every group; none where no arm is compared."""
    groups = [group for group in groups if any(len(values) for values in group.values.values())]
    drawn = groups[:MAX_GROUPS]
    if not any(group.effect(arm).n for group in drawn for arm in group.values):
        return
    counts = sorted({len(values) for group in drawn for values in group.values.values()})
    number = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    baselines = {group.baseline for group in drawn}
    first = style.label(baselines.pop()) if len(baselines) == 1 else "the first arm"
    cut = intervals.cut([t_interval(one) for group in drawn for one in group.values.values()])
    caption = (
        f"Left, test accuracy: the mean of {number} seeds with its 95% Student-t interval, and "
        f"each seed (dots); {how}. Right, the difference from {first}, paired by seed, likewise; "
        f"right of the dashed line an arm is better.{cut}{words.first_of(len(drawn), len(groups))}"
    )
    yield Drawing("effects", "What came out", caption, _draw(drawn, first), _alt(groups))


def _alt(groups: Sequence[Group]) -> str:
    parts = []
    for group in groups:
        means = {arm: words.text(one.mean(), "{:.1%}") for arm, one in group.values.items()}
        told = f"{group.name}: {words.by_arm(means)}" if group.name else words.by_arm(means)
        found = {arm: _text(group.effect(arm)) for arm in group.values if arm != group.baseline}
        parts.append(f"{told}, difference {', '.join(filter(None, found.values()))} points")
    return f"Test accuracy of every arm: {words.listed(parts)}."


def _text(found: Estimate) -> str:
    """ "+0.23 [0.13, 0.33]"; nothing where there is no estimate."""
    if not found.n:
        return ""
    whole = f" [{found.low:.2f}, {found.high:.2f}]" if np.isfinite(found.low) else ""
    return f"{found.mean:+.2f}{whole}".replace("-", "−")


def _draw(groups: Sequence[Group], baseline: str) -> Figure:
    arms = list(dict.fromkeys(arm for group in groups for arm in group.values))
    looks = style.looks(arms)
    places = _places(groups)
    height = max(place for group in places for place in group.values()) + 1
    figure = Sheet(WIDTHS, [ROW * height + 0.1])
    accuracy = figure.add_subplot(figure.cells[0, 0])
    difference = figure.add_subplot(figure.cells[0, 1], sharey=accuracy)
    _limits(accuracy, difference, groups)
    difference.axvline(0, color="#333333", linestyle="--", linewidth=1)
    for group, rows in zip(groups, places, strict=True):
        for arm, y in rows.items():
            _row(accuracy, y, t_interval(100 * group.values[arm]), looks[arm], bounds=(0, 100))
            found = group.effect(arm)
            if found.n:
                _row(difference, y, found, looks[arm], bounds=(-100, 100))
                difference.annotate(
                    _text(found),
                    (1.02, y),
                    xycoords=difference.get_yaxis_transform(),
                    va="center",
                    fontsize="small",
                )
    middles = [float(np.mean(list(rows.values()))) for rows in places]
    accuracy.set_yticks(middles, [panels.wrapped(group.name, 40) for group in groups])
    accuracy.set_ylim(height - 0.3, -0.7)
    accuracy.set_xlabel("test accuracy (%)")
    difference.set_xlabel(f"difference from {baseline} (points)")
    difference.tick_params(labelleft=False)
    for axis in (accuracy, difference):
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
    panels.legend(figure, arms, markers=True)
    return figure


def _places(groups: Sequence[Group]) -> list[dict[str, float]]:
    """Where each arm of each group is drawn, from the top."""
    places, y = [], 0.0
    for group in groups:
        places.append({arm: y + i for i, arm in enumerate(group.values)})
        y += len(group.values) + BETWEEN
    return places


def _limits(accuracy: Axes, difference: Axes, groups: Sequence[Group]) -> None:
    values = [100 * seeds for group in groups for seeds in group.values.values()]
    ends = [intervals.ends_of(t_interval(seeds), (0, 100)) for seeds in values]
    ranges.room(accuracy, "x", np.concatenate([*values, np.ravel(ends)]))
    found = [group.effect(arm) for group in groups for arm in group.values]
    ends = [intervals.ends_of(one, (-100, 100)) for one in found]
    seen = np.concatenate([[0.0], *(one.values for one in found), np.ravel(ends)])
    intervals.points_scale(difference, seen)
    ranges.room(difference, "x", seen)


def _row(
    axis: Axes, y: float, found: Estimate, look: style.Look, bounds: tuple[float, float]
) -> None:
    seeds: dict[str, Any] = {"color": look.colour, "markersize": 3, "linestyle": "", "alpha": 0.5}
    below = np.full(len(found.values), y + BELOW)
    axis.plot(found.values, below, "o", markeredgewidth=0, **seeds)
    ends = intervals.ends_of(found, bounds)
    intervals.row(axis, y, found, look.colour, look.marker, ends=ends)


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """Of a trial that has ended; of a sweep with several conditions."""
    if not panels.has_ended(runs):
        return
    record = trial_of(runs)
    if record is not None:
        if record["trials"]:
            yield from effects(of_trial(runs, record), "each arm with its own choice, fresh seeds")
        return
    groups, how = of_sweep(runs)
    if len(groups) > 1:
        yield from effects(groups, how)
