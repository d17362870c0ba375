"""How a trial tunes and chooses, played again on its runs by the rules of docs/claims.md alone."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import FIRST_REPORT_SEED, setting

COLUMNS = {
    "optimizer.lr": "lr",
    "init.scale": "scale",
    "init.stddev": "stddev",
    "schedule": "schedule",
}
EXTENSIONS = 3  # of a grid, at most
Cell = tuple[Any, ...]  # a combination of nuisance settings
Grid = dict[str, list[Any]]


def preset(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8"))


def grid_of(name: str) -> Grid:
    """What the preset tunes over, by column."""
    tune = preset(name)["trial"]["tune"]
    return {COLUMNS[key]: values for key, values in tune.items()}


@dataclass(frozen=True)
class Question:
    """What an arm is tuned for, with some settings fixed, and how much is run for that."""

    arm: str
    score: str = "validation"
    fixed: Grid = field(default_factory=dict)
    halving: bool = False
    finalists: int = 0

    def grid(self, whole: Grid) -> Grid:
        return {column: self.fixed.get(column, values) for column, values in whole.items()}


def best_first(scores: pd.Series) -> list[Cell]:
    """Of equal ones the first in the grid's order."""
    return list(scores.sort_values(ascending=False, kind="stable").index)


def scores(runs: pd.DataFrame, grid: Grid, asked: Question) -> dict[int, pd.DataFrame]:
    """By length of the runs: a row for each combination, a column for each tuning seed."""
    mine = runs[(runs["arm"] == asked.arm) & (runs["seed"] < FIRST_REPORT_SEED)]
    cells = pd.MultiIndex.from_product(asked.grid(grid).values(), names=list(grid))
    found = {}
    for steps, one in mine.groupby("steps"):
        table = one.pivot(index=list(grid), columns="seed", values=asked.score)
        table.index = pd.MultiIndex.from_frame(table.index.to_frame())  # also of one setting alone
        found[steps] = table.reindex(cells)
    return found


def choose(by_length: dict[int, pd.DataFrame], asked: Question) -> tuple[Cell, set[tuple]]:
    """The best combination by mean score, and which runs it took: length, seed, combination.

    With halving seed 0 drops the worse half. Finalists are the best few of short runs; the best
    of them in full is chosen.
    """
    short, full = min(by_length), max(by_length)
    table = by_length[short]
    made = {(short, 0, *cell) for cell in table.index}
    if asked.halving:
        left = best_first(table[0])[: math.ceil(len(table) / 2)]
        table = table[table.index.isin(left)]
    made |= {(short, seed, *cell) for seed in table for cell in table.index}
    if asked.finalists:
        last = best_first(table.mean(axis=1, skipna=False))[: asked.finalists]
        table = by_length[full].loc[last]
        made |= {(full, seed, *cell) for seed in table for cell in last}
    assert table.notna().all(axis=None)
    return best_first(table.mean(axis=1))[0], made


def edges(by_length: dict[int, pd.DataFrame], grid: Grid, chosen: Cell) -> set[tuple[str, float]]:
    """Ends of numeric grids that were chosen, if no other value is worth as much on each seed."""
    table = pd.concat(by_length, axis=1)
    apart = table - table.loc[chosen]
    alike = table[(apart.fillna(0) == 0).all(axis=1) & apart.notna().any(axis=1)].index
    return {
        (column, value)
        for (column, values), value in zip(grid.items(), chosen, strict=True)
        if len(values) > 1 and not isinstance(value, str) and value in (values[0], values[-1])
        if set(alike.get_level_values(column)) == {value}
    }


def grown(grid: Grid, end: tuple[str, float], tried: pd.Series) -> Grid:
    """Continued at this end by the grid's own factor."""
    column, value = end
    values = grid[column]
    if value == values[0]:
        more = tried[tried < value].max()
        assert value / more == pytest.approx(values[1] / value, rel=0.01)
        return grid | {column: [more, *values]}
    more = tried[tried > value].min()
    assert more / value == pytest.approx(value / values[-2], rel=0.01)
    return grid | {column: [*values, more]}


def play(
    runs: pd.DataFrame, grid: Grid, asked: dict[Any, Question]
) -> tuple[dict[Any, Cell], Grid, set[tuple]]:
    """What was chosen for each question, the grid as it ended, and the tuning runs that it took."""
    made: set[tuple] = set()
    tuning = runs[runs["seed"] < FIRST_REPORT_SEED]
    for extension in range(EXTENSIONS + 1):
        chosen, ends = {}, set()
        for key, one in asked.items():
            by_length = scores(runs, grid, one)
            chosen[key], needed = choose(by_length, one)
            made |= {(one.arm, *run) for run in needed}
            ends |= edges(by_length, one.grid(grid), chosen[key])
        if not ends or extension == EXTENSIONS:
            break
        for end in ends:
            grid = grown(grid, end, tuning[end[0]])
    return chosen, grid, made


def tuning_runs(runs: pd.DataFrame, grid: Grid) -> set[tuple]:
    tuning = runs[runs["seed"] < FIRST_REPORT_SEED]
    return set(tuning[["arm", "steps", "seed", *grid]].itertuples(index=False, name=None))


def report(runs: pd.DataFrame, arm: str, seeds: int, **where: Any) -> pd.DataFrame:
    """The runs of one arm that are reported, in the order of seeds."""
    mine = runs[(runs["arm"] == arm) & (runs["seed"] >= FIRST_REPORT_SEED)]
    for column, value in where.items():
        same = mine[column] == value if isinstance(value, str) else np.isclose(mine[column], value)
        mine = mine[same]
    mine = mine.set_index("seed").sort_index()
    assert list(mine.index) == list(range(FIRST_REPORT_SEED, FIRST_REPORT_SEED + seeds))
    return mine


def differing(runs: pd.DataFrame, name: str) -> list[str]:
    """Settings of the preset that some run has not, of those reported or of the short ones."""
    asked = preset(name)
    reported, short = (
        runs[runs["seed"] >= FIRST_REPORT_SEED],
        runs[runs["steps"].lt(runs["steps"].max())],
    )
    kinds = {key: kind for one in asked["defaults"] for key, kind in one.items()}
    wanted = [
        (runs, key.removeprefix("override /"), kind)
        for key, kind in kinds.items()
        if key not in ("override /data", "override /probes", "override /schedule")
    ]
    wanted += [
        (
            reported[reported["arm"] != "none"] if group == "norm" else reported,
            f"{group}.{key}",
            value,
        )
        for group in ("data", "model", "norm", "probes", "trainer")
        for key, value in asked.get(group, {}).items()
    ]
    shorter = asked["trial"].get("tuning", {}).items()
    wanted += [(short, key, value) for key, value in shorter if key != "probes"]
    return [key for of, key, value in wanted if list(setting(of, key)) != [value] * len(of)]
