"""Accuracy against the size of the batch."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from bnexp.analysis import measures, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, choices, intervals, panels, ranges, words
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import TEST
from bnexp.analysis.naming import ARM, CONDITION, SCHEDULE
from bnexp.analysis.statistics import Estimate, t_interval

PLACE = 45  # among the figures of a sweep

SIZE, STEPS = "trainer.batch_size", "trainer.steps"
APART = 0.09  # octaves, between two arms
ALIKE = 1.05  # ratio of images trained on, up to which all train on as many


def batch_sizes(runs: Runs, how: str) -> Iterator[Drawing]:
    """Test accuracy against the batch size, per arm; none unless it varies.

    Args:
        runs: those that are drawn, in conditions that do not tell batch sizes apart.
        how: which they are, for captions.
    """
    if runs.runs.groupby(CONDITION)[SIZE].nunique().max() < 2:
        return
    table = measures.ended(runs)
    if table[TEST].isna().all():
        return
    conditions = panels.conditions_of(runs)
    drawn = conditions[: panels.MAX_PANELS]
    groups = table.groupby([CONDITION, ARM, SIZE])[TEST]
    by_size = replace(runs, runs=runs.runs.assign(**{CONDITION: runs.runs[SIZE]}))
    caption = (
        f"Test accuracy by batch size: {panels.seeds(by_size)} (dots) and their mean with a 95% "
        f"Student-t interval; {how}. {_steps(runs.runs)} A diverged run counts as "
        f"{measures.chance_text(runs.runs)}. Arms stand side by side so that they can be seen; "
        "the intervals are of each arm alone, and differences between arms of one seed are "
        "known better."
    )
    caption += intervals.cut(t_interval(one) for _, one in groups)
    caption += words.first_of(len(drawn), len(conditions))
    caption += words.absent(table, drawn, panels.arms_of(runs))
    figure = _draw(table, drawn, panels.arms_of(runs))
    yield Drawing("batch_sizes", "Accuracy by batch size", caption, figure, _alt(table))


def _steps(table: pd.DataFrame) -> str:
    """What a caption says of how long each trains."""
    steps, images = table[STEPS], table[STEPS] * table[SIZE]
    if steps.nunique() == 1:
        return f"All train for {steps.iloc[0]:g} steps, and so on more images with larger batches."
    if images.max() <= ALIKE * images.min():
        return f"All train on about {images.median():,.0f} images, in fewer steps the larger these."
    return "They train for different numbers of images."


def _alt(table: pd.DataFrame) -> str:
    sizes = table[SIZE].min(), table[SIZE].max()
    ends = {}
    for (condition, arm), mine in table.groupby([CONDITION, ARM], sort=False):
        means = [mine.loc[mine[SIZE] == size, TEST].mean() for size in sizes]
        ends[condition, arm] = " and ".join(words.text(mean, "{:.1%}") for mean in means)
    return f"Test accuracy with batches of {sizes[0]:g} and {sizes[1]:g}: {words.by_pair(ends)}."


def _draw(table: pd.DataFrame, conditions: list[str], arms: list[str]) -> Figure:
    looks = style.looks(arms)
    figure, axes = panels.grid(conditions)
    sizes = sorted(table[SIZE].unique())
    axes[0].set_xscale("log", base=2)
    axes[0].set_xticks(sizes, [f"{size:g}" for size in sizes])
    places = {arm: 2.0 ** (APART * (i - (len(arms) - 1) / 2)) for i, arm in enumerate(arms)}
    reach = max(places.values())
    ranges.room(axes[0], "x", [sizes[0] / reach, sizes[-1] * reach])
    table = table.assign(place=table[SIZE] * table[ARM].map(places))
    groups = table[table[CONDITION].isin(conditions)].groupby([CONDITION, ARM], sort=False)
    found = {key: intervals.estimates(one, "place", TEST) for key, one in groups}
    ranges.room(axes[0], "y", [*table[TEST], *_ends(found.values())])
    for axis, condition in zip(axes, conditions, strict=True):
        for arm in arms:
            if (condition, arm) in found:
                mine = groups.get_group((condition, arm))
                intervals.bars(axis, found[condition, arm], looks[arm], style.bounds(TEST))
                intervals.dots(axis, mine["place"], mine[TEST], looks[arm])
    panels.label_axes(axes, "batch size", "test accuracy")
    panels.legend(figure, arms, markers=True)
    return figure


def _ends(found: Iterable[dict[float, Estimate]]) -> list[float]:
    """Where the intervals that are drawn end."""
    bounds = style.bounds(TEST)
    return [
        end for one in found for each in one.values() for end in intervals.ends_of(each, bounds)
    ]


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figure, once a run has ended."""
    if panels.has_ended(runs) and SIZE in runs.runs:
        yield from batch_sizes(*choices.across(runs, SIZE, *SCHEDULE))
