"""Groups of runs by their settings: which value each has, and which are shown at first."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.naming import ARM, CONDITION, Names, kind_of, value_key

ABSENT = -1  # in place of a value: the group's kind has no such setting, or only one value of it
MAX_LINES = 12  # drawn before the reader has chosen


def distinct(values: pd.Series) -> list[Any]:
    """Different values of a setting, numbers by size."""
    found = list(values.drop_duplicates())
    known = [value for value in found if not pd.isna(value)]
    numbers = all(isinstance(value, int | float) for value in known)
    ordered = sorted(known) if numbers else sorted(known, key=str)
    return ordered + [value for value in found if pd.isna(value)][:1]


def places(groups: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Of each row of a table the number of its group."""
    known = pd.MultiIndex.from_frame(groups[[CONDITION, ARM]])
    return known.get_indexer(pd.MultiIndex.from_frame(table[[CONDITION, ARM]]))


def members_of(groups: pd.DataFrame, arms: Sequence[str], names: Names) -> np.ndarray:
    """Of each group the index of its arm, then of its value of each key, or ABSENT."""
    columns = [[arms.index(arm) for arm in groups[ARM]]]
    for key in names.keys:
        place = {value_key(value): i for i, value in enumerate(distinct(groups[key]))}
        columns.append([place[value_key(value)] for value in groups[key]])
        absent = ~_varies(names, groups, key)
        columns[-1] = np.where(absent, ABSENT, columns[-1]).tolist()
    return np.array(columns, int).T


def _varies(names: Names, groups: pd.DataFrame, key: str) -> np.ndarray:
    """Of each group whether the key varies among the runs of its kind; asked once a kind."""
    kind = kind_of(key)
    if kind not in groups:
        return np.ones(len(groups), bool)
    first = groups.drop_duplicates(kind)
    told = {row[kind]: names.varies(row, key) for _, row in first.iterrows()}
    return groups[kind].map(told).to_numpy(bool)


def selection(values: np.ndarray, most: int = MAX_LINES) -> list[list[int]]:
    """For each key the values chosen at first, such that at most about `most` groups remain.

    Keys with many values are narrowed first, to those about the median group's, so that what
    remains is never empty.

    Args:
        values: a row per group, a column per key: the index of the group's value, or ABSENT,
            which remains whatever is chosen.
    """
    chosen = [sorted(set(column) - {ABSENT}) for column in values.T.tolist()]
    for key in sorted(range(len(chosen)), key=lambda key: -len(chosen[key])):
        if len(values) <= most:
            break
        column = values[:, key]
        having = np.sort(column[column != ABSENT])
        if not len(having):
            continue
        middle = having[len(having) // 2]
        nearest = sorted(set(having.tolist()), key=lambda value: abs(value - middle))
        always = len(column) - len(having)
        sizes = always + np.cumsum([(column == value).sum() for value in nearest])
        kept = nearest[: max(1, int((sizes <= most).sum()))]
        values = values[np.isin(column, [*kept, ABSENT])]
        chosen[key] = sorted(kept)
    return chosen
