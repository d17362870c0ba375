"""What the page's scripts read: mean curves as compact JSON, and how values are written in it."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from bnexp.analysis import style
from bnexp.analysis.curves import X_AXES, after_divergence, mean_curves
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION, texts, value_key, varying
from bnexp.folders.runs import DIVERGED

MAX_GROUPS = 3000  # arms × conditions of a sweep whose curves the page carries
MAX_LINES = 12  # drawn before the reader has chosen
BOUNDED = ("val_accuracy",)  # the other metrics are drawn on a logarithmic scale at first
DIGITS, INTERVAL_DIGITS = 5, 3  # significant ones


def as_json(value: Any) -> Markup:
    """JSON that may stand within <script>: no character of it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def rounded(values: Iterable[float], digits: int = DIGITS) -> list[float | int | None]:
    """Numbers to some significant digits, as short as JSON can have them; else null."""
    return [_rounded(value, digits) for value in values]


def _rounded(value: float, digits: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    if value == int(value) and abs(value) < 1e15:
        return int(value)
    return float(f"{value:.{digits}g}")


def distinct(values: pd.Series) -> list[Any]:
    """Different values of a setting, numbers by size."""
    found = list(values.drop_duplicates())
    known = [value for value in found if not pd.isna(value)]
    numbers = all(isinstance(value, int | float) for value in known)
    ordered = sorted(known) if numbers else sorted(known, key=str)
    return ordered + [value for value in found if pd.isna(value)][:1]


def swept(table: pd.DataFrame) -> list[str]:
    """The config keys that tell conditions apart: all that vary, less those of the norm."""
    return [key for key in varying(table) if not key.startswith("norm.")]


def setting_texts(values: pd.Series) -> list[str]:
    """The different values of a setting as text, each once."""
    known = texts(values)
    return [known[value_key(value)] for value in distinct(values)]


@dataclass
class _Grids:
    """Lists of x values, each kept once: most runs are evaluated at the same steps."""

    index: dict[tuple[float | int | None, ...], int] = field(default_factory=dict)

    def add(self, values: Sequence[float | int | None]) -> int:
        return self.index.setdefault(tuple(values), len(self.index))


def curves_data(runs: Runs) -> dict[str, Any] | None:
    """Mean curves of one sweep for the page; None if there is neither a curve nor a cross.

    Keys: axes (what x may be), arms and diverged (label, light and dark colour), keys (settings
    that vary beside the norm, with their values), groups (index of the arm and of each key's
    value) and the condition of each,
    selection (the values chosen at first, for each key), grids (lists of x values),
    metrics (curves by group: grids of step, epoch and seconds, n, mean, half the interval;
    `ends` of diverged runs; `early`: how many of a group ended before the first evaluation;
    `after`: what they count as from there on),
    total (groups in the sweep; only the first MAX_GROUPS are here).
    """
    if runs.history.empty:
        return None
    groups = _groups(runs.runs)
    total = len(groups)
    if total > MAX_GROUPS:
        groups = groups.head(MAX_GROUPS)
        runs = _only(runs, groups)
    keys = swept(runs.runs)
    values = {key: distinct(groups[key]) for key in keys}
    arms = list(groups[ARM].drop_duplicates())
    members = _members(groups, arms, values)
    grids = _Grids()
    metrics = [_metric(runs, groups, name, grids) for name in _metrics(runs)]
    metrics = [metric for metric in metrics if metric["curves"] or metric["ends"]]
    if not metrics:
        return None
    return {
        "axes": {axis: style.X_LABELS[axis] for axis in X_AXES},
        "arms": [_look(style.label(arm), colour) for arm, colour in style.colours(arms).items()],
        "diverged": _look(DIVERGED, style.DIVERGED_COLOUR),
        "keys": [{"name": key, "values": setting_texts(groups[key])} for key in keys],
        "groups": members.tolist(),
        "conditions": groups[CONDITION].tolist(),
        "selection": selection(members[:, 1:]),
        "metrics": metrics,
        "grids": [list(grid) for grid in grids.index],
        "total": total,
    }


def _groups(table: pd.DataFrame) -> pd.DataFrame:
    """The first run of each condition and arm, in their order."""
    return table.drop_duplicates([CONDITION, ARM])


def _only(runs: Runs, groups: pd.DataFrame) -> Runs:
    names = pd.MultiIndex.from_frame(groups[[CONDITION, ARM]])
    chosen = runs.runs[pd.MultiIndex.from_frame(runs.runs[[CONDITION, ARM]]).isin(names)]
    history = runs.history[runs.history["run"].isin(chosen.index)]
    return replace(runs, runs=chosen, history=history)


def _members(
    groups: pd.DataFrame, arms: Sequence[str], values: Mapping[str, Sequence[Any]]
) -> np.ndarray:
    """Of each group the index of its arm, then of its value of each key."""
    columns = [[arms.index(arm) for arm in groups[ARM]]]
    for key, known in values.items():
        place = {value_key(value): i for i, value in enumerate(known)}
        columns.append([place[value_key(value)] for value in groups[key]])
    return np.array(columns, int).T


def selection(values: np.ndarray, most: int = MAX_LINES) -> list[list[int]]:
    """For each key the values chosen at first, such that at most about `most` groups remain.

    Keys with many values are narrowed first, to those about the median group's, so that what
    remains is never empty.

    Args:
        values: a row per group, a column per key: the index of the group's value.
    """
    chosen = [sorted(set(column)) for column in values.T.tolist()]
    for key in sorted(range(len(chosen)), key=lambda key: -len(chosen[key])):
        if len(values) <= most:
            break
        column = values[:, key]
        middle = np.sort(column)[len(column) // 2]
        nearest = sorted(set(column.tolist()), key=lambda value: abs(value - middle))
        sizes = np.cumsum([(column == value).sum() for value in nearest])
        kept = nearest[: max(1, int((sizes <= most).sum()))]
        values = values[np.isin(column, kept)]
        chosen[key] = sorted(kept)
    return chosen


def _look(label: str, colour: str) -> dict[str, str]:
    return {"label": label, "light": colour, "dark": on_dark(colour)}


def on_dark(colour: str) -> str:
    """The same hue, light enough to be read on a dark page; black becomes white."""
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    luminance = sum(w * c for w, c in zip((0.21, 0.72, 0.07), channels, strict=True)) / 255
    white = 0.9 if luminance < 0.05 else max(0.0, 0.55 - luminance)
    return "#" + "".join(f"{round(c + (255 - c) * white):02x}" for c in channels)


def _metrics(runs: Runs) -> list[str]:
    """The history's columns that are curves: the usual ones first, then further metrics."""
    further = [name for name in runs.history if str(name).startswith("val_")]
    names = [*style.METRIC_LABELS, *map(str, further)]
    known = [name for name in dict.fromkeys(names) if name in runs.history]
    return [name for name in known if runs.history[name].notna().any()]


def _metric(runs: Runs, groups: pd.DataFrame, name: str, grids: _Grids) -> dict[str, Any]:
    place = {key: i for i, key in enumerate(zip(groups[CONDITION], groups[ARM], strict=True))}
    ends, early = _diverged(runs, place, name)
    return {
        "label": style.metric_label(name),
        "log": name not in BOUNDED,
        "curves": _curves(mean_curves(runs, name), place, grids),
        "ends": ends,
        "early": early,
        "after": after_divergence(runs, name),
    }


def _curves(
    table: pd.DataFrame, place: Mapping[tuple[str, str], int], grids: _Grids
) -> list[list[Any]]:
    """[group, step, epoch and seconds as numbers of grids, n, means, half intervals]."""
    names = list(zip(table[CONDITION], table[ARM], strict=True))
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    ends = [*starts[1:], *([len(names)] if names else [])]
    axes = [rounded(table[axis]) for axis in X_AXES]
    mean = rounded(table["mean"])
    half = rounded(table["high"] - table["mean"], INTERVAL_DIGITS)
    n = table["n"].tolist()
    rows = []
    for start, end in zip(starts, ends, strict=True):
        x = [grids.add(axis[start:end]) for axis in axes]
        widths = half[start:end] if n[start] > 1 else None
        rows.append([place[names[start]], *x, n[start], mean[start:end], widths])
    return rows


def _diverged(
    runs: Runs, place: Mapping[tuple[str, str], int], metric: str
) -> tuple[list[list[Any]], list[list[int]]]:
    """Where diverged runs ended: [group, step, epoch, seconds, value], and [group, count] of
    those that were never evaluated.
    """
    diverged = runs.runs[runs.runs["status"] == DIVERGED]
    groups = pd.Series(
        [place[key] for key in zip(diverged[CONDITION], diverged[ARM], strict=True)],
        index=diverged.index,
        dtype=int,
    )
    history = runs.history[runs.history["run"].isin(diverged.index)].dropna(subset=[metric])
    last = history.groupby("run", sort=False).tail(1)
    ends = [
        [int(groups[run]), *rounded(values)]
        for run, *values in last[["run", *X_AXES, metric]].itertuples(index=False)
    ]
    never = groups[~groups.index.isin(last["run"])].value_counts().sort_index()
    return ends, [[int(str(group)), int(count)] for group, count in never.items()]
