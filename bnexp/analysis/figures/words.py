"""Words for captions and for those who cannot see a figure: few, and with the main numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis import style
from bnexp.analysis.naming import ARM, CONDITION

MOST = 4  # conditions that are told in full


def listed(texts: Sequence[str], most: int = MOST) -> str:
    """ "a; b; c; d and 3 more"."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more


def first_of(shown: int, total: int, what: str = "conditions") -> str:
    """A sentence where not all are drawn."""
    return f" The first {shown} of {total} {what}." if shown < total else ""


def by_arm(values: Mapping[str, str]) -> str:
    """ "no normalization 91.2%, Batch Normalization 95.0%"."""
    return ", ".join(f"{style.label(arm)} {text}" for arm, text in values.items())


def by_condition(values: pd.Series, number: str, missing: str = "none") -> str:
    """The numbers of a series by (condition, arm), condition by condition.

    Args:
        values: with that index.
        number: how one is written, for `str.format`.
        missing: what stands for one that is not finite.
    """
    return by_pair({key: text(value, number, missing) for key, value in values.items()})


def by_pair(texts: Mapping[Any, str]) -> str:
    """Texts by (condition, arm), condition by condition."""
    told: dict[str, dict[str, str]] = {}
    for (condition, arm), one in texts.items():
        told.setdefault(str(condition), {})[str(arm)] = one
    return listed([": ".join(filter(None, [name, by_arm(arms)])) for name, arms in told.items()])


def text(value: float, number: str, missing: str = "none") -> str:
    """A number, or that there is none."""
    return number.format(value) if np.isfinite(value) else missing


def absent(table: pd.DataFrame, conditions: Iterable[str], arms: Sequence[str]) -> str:
    """A sentence on arms that have no run in one of the conditions drawn."""
    there = set(zip(table[CONDITION], table[ARM], strict=True))
    missing = [
        f"{style.label(arm)} with {condition}"
        for condition in conditions
        for arm in arms
        if condition and (condition, arm) not in there
    ]
    return f" No runs: {listed(missing)}." if missing else ""
