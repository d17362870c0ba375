"""The runs that a trial judges, apart from those that it was tuned by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis.evidence import trial_of
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION, value_text
from bnexp.analysis.trials import of_choices

STEPS = "trainer.steps"
COMPARED = "trial.compared"  # as if it were a setting
TUNING, OTHER = "tuning", "other runs on fresh seeds"
OWN = "each with its own choice"
HOW = "fresh seeds of what the arms chose, without the tuning runs"  # for captions


@dataclass(frozen=True)
class Compared:
    """Arms that a trial compares.

    Attributes:
        name: which comparison it is, in words that tell it from the others.
        ids: of each arm, as figures call it, the run ids by seed; the baseline first.
    """

    name: str
    ids: Mapping[str, Mapping[str, str]]


def ended_trial(runs: Runs) -> Mapping[str, Any] | None:
    """The record of the trial whose runs these are; None: they are of none, or it goes on."""
    record = trial_of(runs)
    return record if record is not None and record["trials"] else None


def own_choices(record: Mapping[str, Any]) -> list[Compared]:
    """Every condition and part of a trial, each arm with its own choice."""
    parts = [(one["condition"], part) for one in record["trials"] for part in one["parts"]]
    keys = [(condition, part["part"], part["choose_by"]) for condition, part in parts]
    return [
        Compared(_telling(key, keys), _named(of_choices(part)[""]))
        for key, (_, part) in zip(keys, parts, strict=True)
    ]


def across_values(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The record with conditions that do not tell the values of a setting apart."""

    def without(condition: str) -> str:
        return " ".join(word for word in condition.split(" ") if not word.startswith(f"{key}="))

    trials = [{**one, "condition": without(one["condition"])} for one in record["trials"]]
    return {**record, "trials": trials}


def comparisons(record: Mapping[str, Any]) -> list[Compared]:
    """As `own_choices`; of a trial of a single part also those where all arms have one's choice."""
    parts = [part for one in record["trials"] for part in one["parts"]]
    if len(parts) > 1:
        return own_choices(record)
    found: list[Compared] = []
    for at, ids in of_choices(parts[0]).items():
        named = _named(ids)
        if named not in [one.ids for one in found]:  # arms that chose alike
            found.append(Compared(_at(at) if at else OWN, named))
    return found if len(found) > 1 else [replace(one, name="") for one in found]


def judged(runs: Runs, compared: Sequence[Compared]) -> Runs:
    """The runs of these comparisons: a condition for each, arms as the trial has them.

    A run of several comparisons is there several times.
    """
    places = _by_id(runs)
    copies = [
        _copied(runs, [places[run] for run in ids.values() if run in places], one.name, arm, number)
        for number, one in enumerate(compared)
        for arm, ids in one.ids.items()
    ]
    return _together(runs, copies)


def _copied(runs: Runs, known: Sequence[str], condition: str, arm: str, number: int) -> Runs:
    """Some runs under names of their own, of which the last part remains, as it is their id."""
    names = {run: f"{Path(run).parent}#{number}/{Path(run).name}" for run in known}

    def of_these(table: pd.DataFrame) -> pd.DataFrame:
        mine = table[table["run"].isin(known)]
        return mine.assign(run=mine["run"].map(names))

    table = runs.runs.loc[list(known)].rename(index=names)
    return Runs(
        table.assign(**{CONDITION: condition, ARM: arm}),
        of_these(runs.history),
        of_these(runs.probes) if len(runs.probes) else runs.probes,
    )


def _together(runs: Runs, parts: Sequence[Runs]) -> Runs:
    table = pd.concat([one.runs for one in parts])
    table.index.name = runs.runs.index.name
    return Runs(
        table,
        pd.concat([one.history for one in parts], ignore_index=True),
        pd.concat([one.probes for one in parts], ignore_index=True),
        runs.problems,
    )


def with_comparisons(runs: Runs) -> Runs:
    """Of an ended trial what it judges, then all else, told apart by a key `COMPARED`.

    So no mean is taken of runs that tuned and runs that judge. All others as they are.
    """
    record = ended_trial(runs)
    if record is None:
        return runs
    compared = [replace(one, name=one.name or OWN) for one in comparisons(record)]
    first = judged(runs, compared)
    shown = {Path(run).name for run in first.runs.index}
    reported = {Path(str(run)).name for run in report_runs(runs, record).index}
    names = [Path(str(run)).name for run in runs.runs.index]
    rest = runs.runs[[name not in shown for name in names]]
    words = [OTHER if Path(str(run)).name in reported else TUNING for run in rest.index]
    others = replace(
        runs,
        runs=rest.assign(**{COMPARED: words}),
        history=runs.history[runs.history["run"].isin(rest.index)],
    )
    first = replace(first, runs=first.runs.assign(**{COMPARED: first.runs[CONDITION]}))
    return _together(runs, [first, others])


def report_runs(runs: Runs, record: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of all runs on report seeds."""
    named = {
        run
        for one in record["trials"]
        for part in one["parts"]
        for arms in of_choices(part).values()
        for ids in arms.values()
        for run in ids.values()
    }
    places = _by_id(runs)
    return runs.runs.loc[[place for run, place in places.items() if run in named]]


def tuning_runs(runs: Runs) -> Runs:
    """Of an ended trial those that it was tuned by, without longer ones that set its target.

    All others as they are.
    """
    record = ended_trial(runs)
    if record is None:
        return runs
    table = runs.runs.drop(index=report_runs(runs, record).index)
    if table.empty:  # nothing was to be chosen
        return runs
    table = table[table[STEPS] == table[STEPS].min()]
    return runs.select(pd.Series(runs.runs.index.isin(table.index), index=runs.runs.index))


def _by_id(runs: Runs) -> dict[str, Any]:
    return {Path(str(run)).name: run for run in runs.runs.index}


def _named(ids: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    return {_arm(arm): of_seeds for arm, of_seeds in ids.items()}


def _telling(key: tuple[str, str, str], keys: Sequence[tuple[str, str, str]]) -> str:
    """Of condition, part and criterion those that differ between the comparisons."""
    conditions, parts, criteria = (set(one) for one in zip(*keys, strict=True))
    told = [", ".join(_settings(key[0]))] if len(conditions) > 1 else []
    told += [key[1].replace("_", " ")] if len(parts) > 1 else []
    told += [f"chosen by {key[2]}"] if len(criteria) > 1 else []
    return ", ".join(filter(None, told))


def _arm(name: str) -> str:
    """An arm of a trial as other figures call it: "batch lrn=true"."""
    kinds = [word.removeprefix("norm=") for word in name.split(" ") if word.startswith("norm=")]
    others = " ".join(word for word in name.split(" ") if not word.startswith("norm="))
    return " ".join(filter(None, [*kinds, ", ".join(_settings(others))]))


def _at(name: str) -> str:
    """Whose choice all have, in few words: "all with none’s choice, lr × 5"."""
    arm, comma, factor = name.partition(", ")
    return f"all with {_arm(arm)}’s choice{comma}{factor.rpartition('.')[2]}"


def _settings(words: str) -> list[str]:
    """Overrides in few letters: "model.hidden=[100,100]" is "hidden=2×100"."""
    found = []
    for word in filter(None, words.split(" ")):
        key, equals, value = word.partition("=")
        plain = value_text(value.strip("[]").replace(",", "-")) if "[" in value else value
        found.append(f"{key.rpartition('.')[2]}{equals}{plain}")
    return found
