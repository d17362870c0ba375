"""What the page's scripts read of a sweep: its mean curves and results by group of runs.

A group is an arm in a condition. Single runs are apart, in `seeds.py`, as few readers ask for
them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.colors import to_hex

from bnexp.analysis import style
from bnexp.analysis.curves import X_AXES, after_divergence, evaluated_early, mean_curves
from bnexp.analysis.judged import COMPARED, TUNING, with_comparisons
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION, Names, telling, texts, value_key, varying
from bnexp.analysis.report.encoding import COARSE, Piece, differences, rounded
from bnexp.analysis.report.groups import ABSENT, distinct, members_of, places, selection
from bnexp.analysis.report.results import results
from bnexp.folders.runs import DIVERGED

MAX_GROUPS = 10000  # arms × conditions of a sweep whose curves the page carries
BOUNDED = ("val_accuracy",)  # the other metrics are drawn on a logarithmic scale at first
RAMP = 12  # colours for the values of a numeric setting


def as_json(value: Any) -> Markup:
    """JSON that may stand within <script>: no character of it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def swept(table: pd.DataFrame) -> list[str]:
    """The config keys that tell conditions apart: all that vary, less those of the norm."""
    return [key for key in varying(table) if not of_arm(key)]


def of_arm(key: str) -> bool:
    """Whether a setting tells arms apart, not conditions."""
    return key.startswith("norm.")


def setting_texts(values: pd.Series) -> list[str]:
    """The different values of a setting as text, each once."""
    known = texts(values)
    return [known[value_key(value)] for value in distinct(values)]


@dataclass
class Grids:
    """Lists of x values, each kept once: most runs are evaluated at the same steps."""

    index: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def add(self, piece: Piece) -> int:
        """The number of a list."""
        return self.index.setdefault(tuple(piece), len(self.index))

    def lists(self) -> list[Piece]:
        """All of them, by number."""
        return [list(piece) for piece in self.index]


def curves_data(runs: Runs) -> dict[str, Any] | None:
    """Mean curves of one sweep for the page; None if there is neither a curve nor a cross.

    Numbers of curves and grids are as `encoding.differences` writes them.

    Keys: axes (what x may be), arms and diverged (label, light and dark colour), ramp and palette
    (colours for a setting's values), keys (settings that vary: name, short, values as text,
    whether it is the arm's and whether the condition names it, numbers if they are; those of the
    arm last), groups (index of the arm and of each key's value, or ABSENT)
    and the condition of each,
    selection (the values chosen at first, for each key that is not the arm's),
    grids (lists of x values),
    early (whether all were evaluated more often early on),
    metrics (curves by group: grids of step, epoch and seconds, n, mean, half the interval;
    `ends` of diverged runs; `early`: how many of a group ended before the first evaluation;
    `after`: what they count as from there on),
    results (by group: n, mean, half the interval, how many diverged),
    total (groups in the sweep; only the first MAX_GROUPS are here).
    """
    if runs.history.empty:
        return None
    runs, groups, total = kept(with_comparisons(runs))
    varied = sorted(swept(runs.runs), key=lambda key: key != COMPARED)
    keys = [*varied, *(key for key in varying(runs.runs) if of_arm(key))]
    arms = list(groups[ARM].drop_duplicates())
    names, told = Names(runs.runs, keys), telling(runs.runs, keys)
    members = members_of(groups, arms, names)
    grids = Grids()
    metrics = [_metric(runs, groups, name, grids) for name in metric_names(runs)]
    metrics = [metric for metric in metrics if metric["curves"] or metric["ends"]]
    if not metrics:
        return None
    chips = [i for i, key in enumerate(keys) if not of_arm(key)]
    return {
        "axes": {axis: style.X_LABELS[axis] for axis in X_AXES},
        "arms": [_look(style.label(arm), colour) for arm, colour in style.colours(arms).items()],
        "diverged": _look(DIVERGED, style.DIVERGED_COLOUR),
        "ramp": ramp(),
        "palette": [_look("", c) for c in (*style.ARM_COLOURS.values(), *style.MORE_COLOURS)],
        "keys": [_key(key, names, groups, told) for key in keys],
        "groups": members.tolist(),
        "conditions": groups[CONDITION].tolist(),
        "selection": _selection(members[:, [1 + i for i in chips]], [keys[i] for i in chips]),
        "early": _early(runs),
        "metrics": metrics,
        "results": results(runs, groups),
        "grids": grids.lists(),
        "total": total,
    }


def _early(runs: Runs) -> bool:
    table = runs.runs
    shown = table[table[COMPARED] != TUNING] if COMPARED in table else table
    return evaluated_early(replace(runs, runs=shown), runs.history["step"])


def _selection(cells: np.ndarray, keys: Sequence[str]) -> list[list[int]]:
    """The values chosen at first: of a trial all, of the first comparison alone."""
    if COMPARED not in keys:
        return selection(cells)
    every = [sorted(set(column) - {ABSENT}) for column in cells.T.tolist()]
    place = keys.index(COMPARED)
    every[place] = cells[:1, place].tolist()  # groups are in the order of the comparisons
    return every


def kept(runs: Runs) -> tuple[Runs, pd.DataFrame, int]:
    """The runs of the first MAX_GROUPS groups, the first run of each, how many groups there are."""
    groups = runs.runs.drop_duplicates([CONDITION, ARM])
    total = len(groups)
    if total > MAX_GROUPS:
        groups = groups.head(MAX_GROUPS)
        runs = _only(runs, groups)
    return runs, groups, total


def _only(runs: Runs, groups: pd.DataFrame) -> Runs:
    names = pd.MultiIndex.from_frame(groups[[CONDITION, ARM]])
    chosen = runs.runs[pd.MultiIndex.from_frame(runs.runs[[CONDITION, ARM]]).isin(names)]
    history = runs.history[runs.history["run"].isin(chosen.index)]
    return replace(runs, runs=chosen, history=history)


def _key(key: str, names: Names, groups: pd.DataFrame, telling: Sequence[str]) -> dict[str, Any]:
    """A setting that varies; `numbers` only where every value but null is one."""
    values = groups[key]
    known = [value for value in distinct(values) if not pd.isna(value)]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)
    numbers = {"numbers": [float(value) for value in known]} if numeric else {}
    return {
        "name": key,
        "short": names.named(groups.iloc[0], [key]).partition("=")[0],
        "values": setting_texts(values),
        "arm": of_arm(key),
        "tells": key in telling,
        **numbers,
    }


def _look(label: str, colour: str) -> dict[str, str]:
    return {"label": label, "light": colour, "dark": on_dark(colour)}


def ramp() -> list[dict[str, str]]:
    """Colours from low to high, all of which can be read on a white page."""
    shares = np.linspace(0, 0.78, RAMP)
    return [_look("", to_hex(colour)) for colour in colormaps["viridis"](shares)]


def on_dark(colour: str) -> str:
    """The same hue, light enough to be read on a dark page; black becomes white."""
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    luminance = sum(w * c for w, c in zip((0.21, 0.72, 0.07), channels, strict=True)) / 255
    white = 0.9 if luminance < 0.05 else max(0.0, 0.55 - luminance)
    return "#" + "".join(f"{round(c + (255 - c) * white):02x}" for c in channels)


def metric_names(runs: Runs) -> list[str]:
    """The history's columns that are curves: the usual ones first, then further metrics."""
    further = [name for name in runs.history if str(name).startswith("val_")]
    names = [*style.METRIC_LABELS, *map(str, further)]
    known = [name for name in dict.fromkeys(names) if name in runs.history]
    return [name for name in known if runs.history[name].notna().any()]


def _metric(runs: Runs, groups: pd.DataFrame, name: str, grids: Grids) -> dict[str, Any]:
    ends, early = _diverged(runs, groups, name)
    return {
        "name": name,
        "label": style.metric_label(name),
        "log": name not in BOUNDED,
        "curves": _curves(mean_curves(runs, name), groups, grids),
        "ends": ends,
        "early": early,
        "after": after_divergence(runs, name),
    }


def _curves(table: pd.DataFrame, groups: pd.DataFrame, grids: Grids) -> list[list[Any]]:
    """[group, step, epoch and seconds as numbers of grids, n, means, half intervals]."""
    group = places(groups, table)
    starts = np.flatnonzero(np.diff(group, prepend=-1)).tolist()
    axes = [[grids.add(piece) for piece in differences(table[axis], starts)] for axis in X_AXES]
    n = table["n"].to_numpy()[starts].tolist()
    means = differences(table["mean"], starts)
    widths = differences(table["high"] - table["mean"], starts, COARSE)
    half = [width if count > 1 else None for width, count in zip(widths, n, strict=True)]
    return [list(row) for row in zip(group[starts].tolist(), *axes, n, means, half, strict=True)]


def _diverged(
    runs: Runs, groups: pd.DataFrame, metric: str
) -> tuple[list[list[Any]], list[list[int]]]:
    """Where diverged runs ended: [group, step, epoch, seconds, value], and [group, count] of
    those that were never evaluated.
    """
    diverged = runs.runs[runs.runs["status"] == DIVERGED]
    group = pd.Series(places(groups, diverged), index=diverged.index, dtype=int)
    history = runs.history[runs.history["run"].isin(diverged.index)].dropna(subset=[metric])
    last = history.groupby("run", sort=False).tail(1)
    ends = [
        [int(group[run]), *rounded(values)]
        for run, *values in last[["run", *X_AXES, metric]].itertuples(index=False)
    ]
    never = group[~group.index.isin(last["run"])].value_counts().sort_index()
    return ends, [[int(str(place)), int(count)] for place, count in never.items()]
