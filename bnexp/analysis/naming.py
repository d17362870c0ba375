"""Names for groups of runs: arms and conditions, told apart by the settings that vary."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

ARM, CONDITION = "arm", "condition"
CONTENT = "data._content_"  # SHA-256 of a data file
HASH_DIGITS = 8


def with_names(table: pd.DataFrame, free: Sequence[str] = ()) -> pd.DataFrame:
    """Adds `arm` (what differs in normalization) and `condition` (what else differs).

    Settings in `free` are not named: runs that differ in these alone share a condition.

    Rows are sorted by condition, arm, seed and folder.
    """
    keys = [key for key in varying(table) if key not in free]
    norm = [key for key in keys if key.startswith("norm.")]
    others = telling(table, [key for key in keys if not key.startswith("norm.")])
    no_norm_first = {"norm.kind": table["norm.kind"] != "none"}
    order = table[[*others, *norm, "seed"]].assign(**no_norm_first, folder=table.index)
    table = table.loc[order.sort_values(list(order.columns), key=_sortable).index]
    arms = _labels(table, ["norm.kind", *norm], lambda row: _arm(table, row, norm))
    conditions = _labels(table, others, lambda row: named_among(table, row, others))
    return table.assign(**{ARM: arms, CONDITION: conditions})


def _labels(
    table: pd.DataFrame, keys: Sequence[str], name: Callable[[pd.Series], str]
) -> pd.Series:
    """A name for each row, made once for all rows with the same values of the keys."""
    if not keys:
        return pd.Series("", index=table.index)
    groups = table.groupby(list(dict.fromkeys(keys)), sort=False, dropna=False).ngroup()
    first = table[~groups.duplicated()]
    return groups.map({groups[run]: name(row) for run, row in first.iterrows()})


def _sortable(values: pd.Series) -> pd.Series:
    """Numbers by size, anything else (mixed with nulls) as text."""
    return values if pd.api.types.is_numeric_dtype(values) else values.astype(str)


def varying(table: pd.DataFrame) -> list[str]:
    """Config keys, less the seed, that differ between runs; not those that follow from a kind.

    `init=gaussian,glorot` changes several keys at once: only `init.kind` is named, as long as
    each kind has one value of the others.
    """
    keys = [key for key in table.columns if "." in key and key not in _hidden(table)]
    differing = [key for key in keys if table[key].nunique(dropna=False) > 1]
    return [key for key in differing if not _follows_from_kind(table, key, differing)]


def _hidden(table: pd.DataFrame) -> set[str]:
    """Where a data file lies tells nothing where its content is known."""
    known = CONTENT in table.columns and table[CONTENT].notna().all()
    return {"data.path"} if known else set()


SCHEDULE = tuple(
    f"trainer.{key}" for key in ("steps", "eval_every", "early_steps", "early_eval_every")
)


def telling(table: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """The first keys that suffice to tell apart all that the keys tell apart.

    Those of the schedule are taken last: `batch_size=2` says more than the steps that go with it.
    """
    chosen: list[str] = []
    count = 1
    for key in sorted(keys, key=SCHEDULE.__contains__):
        wider = table.groupby([*chosen, key], dropna=False, sort=False).ngroups
        if wider > count:
            chosen, count = [*chosen, key], wider
    return chosen


def _follows_from_kind(table: pd.DataFrame, key: str, differing: Sequence[str]) -> bool:
    kind = key.partition(".")[0] + ".kind"
    if key == kind or kind not in differing:
        return False
    return bool((table.groupby(kind)[key].nunique(dropna=False) == 1).all())


def _arm(table: pd.DataFrame, row: pd.Series, keys: Sequence[str]) -> str:
    """The kind, and what varies among the runs of this kind: "batch momentum=0.9"."""
    kind = str(row["norm.kind"])
    alike = table[table["norm.kind"] == row["norm.kind"]]
    details = [key for key in keys if key != "norm.kind" and alike[key].nunique(dropna=False) > 1]
    return " ".join([kind.rpartition(":")[2], *([named(row, details)] if details else [])])


def named(row: pd.Series, keys: Sequence[str]) -> str:
    """ "lr=0.1, activation=relu"; the whole key where its last part alone is ambiguous."""
    short = [key.removesuffix(".kind").rpartition(".")[2].strip("_") for key in keys]
    names = [s if short.count(s) == 1 else key for s, key in zip(short, keys, strict=True)]
    return ", ".join(
        f"{name}={value_text(row[key])}" for name, key in zip(names, keys, strict=True)
    )


def named_among(table: pd.DataFrame, row: pd.Series, keys: Sequence[str]) -> str:
    """As `named`, less the keys that do not vary among the runs of the row's kind.

    So it is "init=gaussian, stddev=0.1" but "init=glorot", which has no stddev.
    """

    def varies(key: str) -> bool:
        kind = key.partition(".")[0] + ".kind"
        if kind not in keys or key == kind:
            return True
        return table.loc[table[kind] == row[kind], key].nunique(dropna=False) > 1

    return named(row, [key for key in keys if varies(key)])


def value_text(value: Any) -> str:
    """A setting's value in few characters: 0.1, null, 3×100 for three equal layers."""
    if value is None or value != value:  # NaN: pandas' word for null
        return "null"
    if isinstance(value, float):
        return f"{value:g}"
    if re.fullmatch(r"[0-9a-f]{64}", str(value)):
        return str(value)[:HASH_DIGITS]
    widths = str(value).split("-")  # of layers
    alike = len(widths) > 1 and len(set(widths)) == 1
    return f"{len(widths)}×{widths[0]}" if alike else str(value)
