"""Names for groups of runs: arms and conditions, told apart by the settings that vary."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pandas as pd

ARM, CONDITION = "arm", "condition"
KIND, NORM = "kind", "norm.kind"
CONTENT = "data._content_"  # SHA-256 of a data file
HASH_DIGITS = 8


def with_names(table: pd.DataFrame, free: Sequence[str] = ()) -> pd.DataFrame:
    """Adds `arm` (what differs in normalization) and `condition` (what else differs).

    Settings in `free` are not named: runs that differ in these alone share a condition. Runs are
    told apart by values; a name has as many digits as that needs.

    Rows are sorted by condition, arm, seed and folder.
    """
    keys = [key for key in varying(table) if key not in free]
    norm = [key for key in keys if key.startswith("norm.")]
    others = telling(table, [key for key in keys if not key.startswith("norm.")])
    no_norm_first = {NORM: table[NORM] != "none"}
    order = table[[*others, *norm, "seed"]].assign(**no_norm_first, folder=table.index)
    table = table.loc[order.sort_values(list(order.columns), key=_sortable).index]
    arms = _labels(table, list(dict.fromkeys([NORM, *norm])), _arm)
    return table.assign(**{ARM: arms, CONDITION: _labels(table, others, named_among)})


Namer: TypeAlias = Callable[["Names", pd.Series], str]


def _labels(table: pd.DataFrame, keys: Sequence[str], name: Namer) -> pd.Series:
    """A name for each row, made once for all rows with the same values of the keys."""
    if not keys:
        return pd.Series("", index=table.index)
    groups = table.groupby(list(keys), sort=False, dropna=False).ngroup()
    names = Names(table, keys)
    first = table[~groups.duplicated()]
    return groups.map({groups[run]: name(names, row) for run, row in first.iterrows()})


def kind_of(key: str) -> str:
    """The key that names the option which a setting belongs to."""
    return f"{key.partition('.')[0]}.{KIND}"


class Names:
    """Names for the rows of a table by some of its settings."""

    def __init__(self, table: pd.DataFrame, keys: Sequence[str]) -> None:
        self.table, self.keys = table, keys
        self._texts = {key: texts(table[key]) for key in keys}
        short = [key.removesuffix(f".{KIND}").rpartition(".")[2].strip("_") for key in keys]
        self._short = {
            key: s if short.count(s) == 1 else key for s, key in zip(short, keys, strict=True)
        }

    def text(self, row: pd.Series, key: str) -> str:
        """A setting's value, as no other of this setting is written."""
        return self._texts[key][value_key(row[key])]

    def named(self, row: pd.Series, keys: Sequence[str]) -> str:
        """ "lr=0.1, activation=relu"; the whole key where its last part alone is ambiguous."""
        return ", ".join(f"{self._short[key]}={self.text(row, key)}" for key in keys)

    def varies(self, row: pd.Series, key: str) -> bool:
        """Whether a key varies among the runs of the row's kind, if kinds differ at all."""
        kind = kind_of(key)
        if kind not in self.keys or key == kind:
            return True
        alike = self.table.loc[self.table[kind] == row[kind], key]
        return bool(alike.nunique(dropna=False) > 1)


def named(table: pd.DataFrame, keys: Sequence[str]) -> dict[Any, str]:
    """A name by these keys for each row: "init=gaussian, stddev=0.1"."""
    names = Names(table, keys)
    return {run: named_among(names, row) for run, row in table.iterrows()}


def named_among(names: Names, row: pd.Series) -> str:
    """The keys' values, less those that do not vary among the runs of the row's kind.

    So it is "init=gaussian, stddev=0.1" but "init=glorot", which has no stddev.
    """
    return names.named(row, [key for key in names.keys if names.varies(row, key)])


def _arm(names: Names, row: pd.Series) -> str:
    """The kind, and what varies among the runs of this kind: "batch momentum=0.9"."""
    details = [key for key in names.keys if key != NORM and names.varies(row, key)]
    kind = names.text(row, NORM)
    short = [str(one).rpartition(":")[2] for one in names.table[NORM].unique()]
    if short.count(last := kind.rpartition(":")[2]) == 1:  # my_norms:Scale
        kind = last
    return " ".join([kind, *([names.named(row, details)] if details else [])])


def _sortable(values: pd.Series) -> pd.Series:
    """Numbers by size, anything else (mixed with nulls) as text."""
    return values if pd.api.types.is_numeric_dtype(values) else values.astype(str)


def varying(table: pd.DataFrame) -> list[str]:
    """Config keys, less the seed, that differ between runs; not those that follow from a kind.

    `init=gaussian,glorot` changes several keys at once: only `init.kind` is named, as long as
    each kind has one value of the others.
    """
    unseen = hidden(table)
    keys = [key for key in table.columns if "." in key and key not in unseen]
    differing = [key for key in keys if table[key].nunique(dropna=False) > 1]
    return [key for key in differing if not _follows_from_kind(table, key, differing)]


def hidden(table: pd.DataFrame) -> set[str]:
    """Where a data file lies tells nothing where its content is known."""
    path = "data.path"
    if not {path, CONTENT} <= set(table.columns):
        return set()
    return {path} if table.loc[table[path].notna(), CONTENT].notna().all() else set()


SCHEDULE = tuple(
    f"trainer.{key}" for key in ("steps", "eval_every", "early_steps", "early_eval_every")
)


def telling(table: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """The first keys that suffice to tell apart all that the keys tell apart.

    Those of the schedule are taken last, as `batch_size=2` says more than the steps that go with
    it, and after them those of probes, which change no run.
    """
    chosen: list[str] = []
    count = 1
    for key in sorted(keys, key=lambda key: (key.startswith("probes."), key in SCHEDULE)):
        wider = table.groupby([*chosen, key], dropna=False, sort=False).ngroups
        if wider > count:
            chosen, count = [*chosen, key], wider
    return chosen


def _follows_from_kind(table: pd.DataFrame, key: str, differing: Sequence[str]) -> bool:
    kind = kind_of(key)
    if key == kind or kind not in differing:
        return False
    return bool((table.groupby(kind)[key].nunique(dropna=False) == 1).all())


def texts(values: pd.Series) -> dict[Any, str]:
    """For each value of a setting (by `value_key`) a text that no other has, short if it can be."""
    found = {value_key(value): value for value in values.drop_duplicates()}
    short = {key: value_text(value) for key, value in found.items()}
    counts = Counter(short.values())
    return {
        key: text if counts[text] == 1 or key is None else exact_text(found[key])
        for key, text in short.items()
    }


def value_key(value: Any) -> Any:
    """The value itself, to look it up by; None for null, which pandas has in two forms."""
    return None if value is None or value != value else value


def exact_text(value: Any) -> str:
    """A value with all its digits or letters; text in quotes where another value reads like it."""
    if isinstance(value, float):
        return repr(float(value))
    plain = isinstance(value, str) and value_text(value) == value
    return repr(value) if plain else str(value)


def value_text(value: Any) -> str:
    """A setting's value in few characters: 0.1, null, 3×100 for three equal layers."""
    if value is None or value != value:  # NaN: pandas' word for null
        return "null"
    if isinstance(value, float):
        return f"{value:g}"
    if value == "":  # a list without entries
        return "none"
    if re.fullmatch(r"[0-9a-f]{64}", str(value)):
        return str(value)[:HASH_DIGITS]
    widths = str(value).split("-")  # of layers
    alike = len(widths) > 1 and len(set(widths)) == 1
    return f"{len(widths)}×{widths[0]}" if alike else str(value)
