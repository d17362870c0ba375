"""How arms of `skips` choose a rate and a scale on validation, and how their grids grow."""

import itertools
from typing import TypeAlias

import pandas as pd

Grid: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]  # rates and scales


def scores(mine: pd.DataFrame, short: bool) -> pd.Series:
    """On validation, of the tuning seed, by rate and scale; both rise."""
    tuning = mine[(mine.index == 0) & (mine["short"] == short)]
    return tuning.set_index(["lr", "scale"])["validation"].sort_index()


def choice(mine: pd.DataFrame, passed: list[Grid]) -> tuple[float, float]:
    """The best after 1,200 steps of the two of each grid so far that are best after 400."""
    short, finalists = scores(mine, short=True), set()
    for grid in passed:
        cells = list(itertools.product(*grid))
        finalists |= set(short[cells].sort_values(ascending=False, kind="stable").index[:2])
    return scores(mine, short=False)[sorted(finalists)].idxmax()  # the first if equal


def edges(mine: pd.DataFrame, passed: list[Grid]) -> set[tuple[int, int]]:
    """Places in the last grid's keys, and the end, where the chosen value beats all others."""
    chosen, short, grid = choice(mine, passed), scores(mine, short=True), passed[-1]
    found = set()
    for place, end in itertools.product((0, 1), (0, -1)):
        others = [
            (*chosen[:place], value, *chosen[place + 1 :])
            for value in grid[place]
            if value != chosen[place]
        ]
        tied = any(short[other] == short[chosen] for other in others)
        if chosen[place] == grid[place][end] and not tied:
            found.add((place, end))
    return found


def grown(grid: Grid, ends: set[tuple[int, int]]) -> Grid:
    """Continued by its own factor."""
    keys = [list(values) for values in grid]
    for place, end in ends:
        last, before = (grid[place][0], grid[place][1]) if end == 0 else grid[place][:-3:-1]
        keys[place] = sorted([*keys[place], float(f"{last * last / before:.3g}")])
    return tuple(keys[0]), tuple(keys[1])


def grids(arms: dict[str, pd.DataFrame], first: Grid) -> list[Grid]:
    """From the one that the preset asks for to the last."""
    found = [first]
    for _ in range(3):
        ends = set().union(*(edges(mine, found) for mine in arms.values()))
        if ends:
            found.append(grown(found[-1], ends))
    return found
