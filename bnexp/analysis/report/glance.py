"""What was compared, on which data and how trained, in a few words; and the command for it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis import style
from bnexp.analysis.judged import ended_trial, report_runs
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.report.data import setting_texts

MOST_ARMS, MOST_VALUES, MOST_COMMANDS = 6, 6, 3
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\S+\s+")  # before a line of commands.log
UNSAID = ("", "0", "null", "none", "False")  # what a network does not have
QUIET = ("_", "kind", "path", "split_seed")  # settings that say little of a network or its data


def glance(runs: Runs) -> list[tuple[str, str]]:
    """What the runs of one sweep are, as names with words."""
    table = judged = runs.runs
    tuning, rates = "", _values(table, "optimizer.lr")
    if record := ended_trial(runs):
        judged, rates = report_runs(runs, record), "as tuned"
        tuning = _tuning(record, table.drop(index=judged.index))
    found = [
        ("Compared", _arms(table)),
        ("Network", _option(table, "model")),
        ("Data", _data(table)),
        ("Tuning", tuning),
        ("Training", _training(judged, rates)),
        ("Runs", _runs(judged, len(table) - len(judged))),
    ]
    return [(name, told) for name, told in found if told]


def _tuning(record: Mapping[str, Any], table: pd.DataFrame) -> str:
    """What a trial tried, on how many seeds, for how long."""
    if table.empty:
        return ""
    grids: dict[str, list[Any]] = {}
    for one in record["trials"]:
        for key, values in one["grid"].items():
            grids.setdefault(key, []).extend(values)
    tried = [f"{key} {_few(setting_texts(pd.Series(found)))}" for key, found in grids.items()]
    seeds = _counted(table["seed"].nunique(), "seed")
    long = f"{table['trainer.steps'].min():,} steps" if "trainer.steps" in table else ""
    return ", ".join(filter(None, ["; ".join(tried), f"up to {seeds} each", long]))


def _arms(table: pd.DataFrame) -> str:
    arms = [style.label(arm) for arm in table[ARM].drop_duplicates()]
    more = f" and {len(arms) - MOST_ARMS} more" if len(arms) > MOST_ARMS else ""
    return f"{'; '.join(arms[:MOST_ARMS])}{more}"


def _option(table: pd.DataFrame, group: str) -> str:
    """An option's kind with its settings: "mlp (hidden 3×100, activation sigmoid)"."""
    kinds = _values(table, f"{group}.kind")
    settings = [
        f"{key.partition('.')[2]} {told}"
        for key in map(str, table.columns)
        if key.startswith(f"{group}.") and not key.partition(".")[2].startswith(QUIET)
        if (told := _values(table, key)) not in UNSAID
    ]
    return f"{kinds} ({', '.join(settings)})" if settings else kinds


def _values(table: pd.DataFrame, key: str) -> str:
    """The values of a setting: one, a few, or the first and the last."""
    if key not in table:
        return ""
    return _few([text.rpartition(":")[2] or text for text in setting_texts(table[key])])


def _few(texts: Sequence[str]) -> str:
    if len(texts) <= MOST_VALUES:
        return ", ".join(texts)
    return f"{texts[0]} to {texts[-1]} ({len(texts)} values)"


def _data(table: pd.DataFrame) -> str:
    kinds = _values(table, "data.kind")
    if "data.path" in table and table["data.path"].notna().all():
        names = sorted({Path(str(path)).name for path in table["data.path"]})
        kinds = f"{', '.join(names[:MOST_VALUES])} ({kinds})"
    classes = sorted(set(table["classes"].dropna())) if "classes" in table else []
    told = f", {classes[0]:.0f} classes" if len(classes) == 1 else ""
    return f"{kinds}{told}"


def _training(table: pd.DataFrame, rates: str) -> str:
    steps, batch = _values(table, "trainer.steps"), _values(table, "trainer.batch_size")
    told = [f"{steps} steps of {batch} examples"] if steps and batch else []
    optimizer = _values(table, "optimizer.kind")
    told += [f"{optimizer}, learning rate {rates}"] if optimizer and rates else []
    initial = _values(table, "init.kind")
    told += [f"{initial} initial weights"] if initial else []
    return "; ".join(told)


def _runs(table: pd.DataFrame, tuning: int) -> str:
    seeds = table.groupby([CONDITION, ARM])["seed"].nunique()
    low, high = int(seeds.min()), int(seeds.max())
    number = str(low) if low == high else f"{low} to {high}"
    if tuning:
        return f"{tuning:,} to tune, {len(table):,} to judge, on {number} fresh seeds"
    conditions = table[CONDITION].nunique()
    told = f"{len(table):,}: {number} seed{'' if high == 1 else 's'} of each arm"
    return f"{told} in each of {conditions} conditions" if conditions > 1 else told


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def commands(lines: Sequence[str]) -> list[str]:
    """What to type to have the runs again, without the times at which it was typed."""
    return list(dict.fromkeys(_typed(lines)))[:MOST_COMMANDS]


def _typed(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        command = TIME.sub("", line).strip()
        if command:
            yield command
