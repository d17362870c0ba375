"""Runs as a table for people: what tells them apart, how they stand, what they reached."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis.loading import SEED, SWEEP, UNFINISHED, Runs
from bnexp.analysis.naming import ARM, CONDITION, varying, with_names
from bnexp.config import ConfigError, nearest
from bnexp.folders.pack import is_packed
from bnexp.folders.state import STATES, state_of, steps_of
from bnexp.terminal import table

RUN, FOLDER, SETTINGS, STATUS, STEPS = "run", "folder", "settings", "status", "steps"
FINAL, BEST, TEST, SECONDS = (
    "final_val_accuracy",
    "best_val_accuracy",
    "test_accuracy",
    "total_seconds",
)
# as the table names them, and from how many columns on it has room for them
SHOWN = {
    RUN: (RUN, 0),
    SWEEP: (SWEEP, 90),
    SETTINGS: (SETTINGS, 0),
    SEED: (SEED, 50),
    STATUS: (STATUS, 0),
    STEPS: (STEPS, 70),
    FINAL: ("val", 60),
    BEST: ("best", 100),
    TEST: ("test", 0),
    SECONDS: ("seconds", 80),
}
DIGITS = 6  # of a run's id, unless more are needed to tell them apart


def rows(runs: Runs) -> pd.DataFrame:
    """A row per run, sweep by sweep, with all that is known of it.

    Beside the columns of `Runs.runs`: `run` (its id), `folder`, `settings` (those that vary in its
    sweep, less the seed). Runs that have not ended have the steps and accuracies so far.
    """
    parts = [_named(part) for _, part in runs.runs.groupby(SWEEP, sort=True)]
    found = pd.concat(parts)
    found.insert(0, FOLDER, found.index)
    found.insert(0, RUN, [Path(str(run)).name for run in found.index])
    return _with_progress(found, runs.history).reset_index(drop=True)


def _named(part: pd.DataFrame) -> pd.DataFrame:
    """The runs of a sweep in order, named by what varies among them."""
    part = with_names(part.drop(columns=[ARM, CONDITION]))
    names = [part[column] for column in (ARM, CONDITION) if part[column].nunique() > 1]
    texts = [", ".join(filter(None, row)) for row in zip(*names, strict=True)]
    return part.assign(**{SETTINGS: texts or ""})


def _with_progress(table: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """What runs that have not ended reached, and which of them are going on."""
    open_ = table.index[table[STATUS] == UNFINISHED]
    if SECONDS not in table:  # no run has a result
        table = table.assign(**dict.fromkeys((STEPS, FINAL, BEST, TEST, SECONDS), float("nan")))
    so_far = history[history["run"].isin(open_)].groupby("run")
    last, best = so_far.last(), so_far["val_accuracy"].max()
    for run in open_:
        folder, known = Path(str(run)), run in last.index
        evaluated = int(last.at[run, "step"]) if known else 0
        if not is_packed(folder):
            table.loc[run, STATUS] = state_of(folder, UNFINISHED)
            evaluated = steps_of(folder, evaluated)
        table.loc[run, STEPS] = evaluated
        if known:
            table.loc[run, [FINAL, BEST]] = last.at[run, "val_accuracy"], best[run]
    return table


def sorted_by(table: pd.DataFrame, column: str, *, reverse: bool) -> pd.DataFrame:
    """The rows by a column, as the table names it, or a setting; empty cells last.

    Raises:
        ConfigError: there is no such column.
    """
    names = {name: key for key, (name, _) in SHOWN.items()}
    key = names.get(column, column)
    key = f"{key}.kind" if f"{key}.kind" in table else key
    if key not in table:
        known = [*names, *map(str, table.columns)]
        raise ConfigError(f"--sort {column}: there is no such column{nearest(column, known)}")
    values = table[key]
    if not pd.api.types.is_numeric_dtype(values):
        values = values.map(str, na_action="ignore")
    order = values.sort_values(kind="stable", ascending=not reverse, na_position="last").index
    return table.loc[order]


def as_text(table_: pd.DataFrame, room: int | None) -> str:
    """The table for a terminal of so many columns; None: of any number."""
    there = [key for key, (_, least) in SHOWN.items() if room is None or room >= least]
    columns = [key for key in there if _tells(table_, key)]
    digits = _digits(list(table_[RUN]))
    cells = [
        [_cell(key, row, digits) for key in columns] for row in table_.to_dict(orient="records")
    ]
    names = [SHOWN[key][0] for key in columns]
    last = textwrap.wrap(summary(table_), room or 200)
    return "\n".join([table(cells, names, SETTINGS, room), "", *last])


def _tells(table_: pd.DataFrame, key: str) -> bool:
    """Whether a column says anything of these runs."""
    if key == SETTINGS:
        return bool((table_[key] != "").any())
    return key not in (SWEEP, SEED) or table_[key].nunique() > 1


def _digits(names: Sequence[str]) -> int:
    """Of ids that are needed to tell them apart."""
    several = len(set(names))
    return next((n for n in range(DIGITS, 10) if len({x[:n] for x in names}) == several), 99)


def _cell(key: str, row: dict[Any, Any], digits: int) -> str:
    value = row[key]
    if value is None or value != value:
        return ""
    if key == RUN:
        return str(value)[:digits]
    if key == STEPS:
        of = row["trainer.steps"]
        return f"{value:.0f}" if value == of else f"{value:.0f}/{of}"
    if key in (FINAL, BEST, TEST):
        return f"{value:.4f}"
    return f"{value:.1f}" if key == SECONDS else str(value)


def summary(table_: pd.DataFrame) -> str:
    """ "12 runs: 10 finished, 2 diverged"."""
    counts = table_[STATUS].value_counts()
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts)
    return f"{len(table_)} run{'' if len(table_) == 1 else 's'}: {told}"


def as_csv(table_: pd.DataFrame) -> str:
    """The runs as comma-separated values: every setting that varies has a column."""
    return table_[_columns(table_)].to_csv(index=False).rstrip("\n")


def as_json(table_: pd.DataFrame) -> str:
    """The runs as a list of objects, with null for what is not known."""
    records = table_[_columns(table_)].to_dict(orient="records")
    plain = [{key: _plain(value) for key, value in one.items()} for one in records]
    return json.dumps(plain, indent=1)


def _columns(table_: pd.DataFrame) -> list[str]:
    return list(_ordered(varying(table_)))


def _ordered(settings: Sequence[str]) -> Iterator[str]:
    yield from (RUN, FOLDER, SWEEP, *settings, SEED, STATUS, STEPS, "trainer.steps")
    yield from (FINAL, BEST, TEST, SECONDS)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if value is None or value != value:
        return None
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
