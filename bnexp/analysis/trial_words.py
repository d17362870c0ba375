"""What a trial shows, in words: for the terminal, the page and tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.naming import value_text
from bnexp.analysis.statistics import CONTRADICTED, MIN_JUDGED, SUPPORTED
from bnexp.analysis.steps import SECONDS, STEP
from bnexp.analysis.trials import ACCURACY, LEARNS

MEASURES = {ACCURACY: "test accuracy", STEP: "steps", SECONDS: "training seconds"}
WORDS = {
    ACCURACY: {SUPPORTED: "more accurate", CONTRADICTED: "less accurate"},
    STEP: {SUPPORTED: "faster in steps", CONTRADICTED: "slower in steps"},
}


@dataclass(frozen=True)
class Comparison:
    """What one arm shows beside the baseline.

    Attributes:
        verdict: in a sentence; empty: the numbers are those of the comparison before.
        how: which runs are compared.
        lines: a measure each.
    """

    verdict: str
    how: str
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class Part:
    """What came out of one part of a trial, chosen by one criterion.

    Attributes:
        condition, name, choose_by: which part.
        title: all three.
        alike: of each arm, whether it and the baseline were tuned, and which of them to no avail.
        comparisons: each arm with the baseline, each with its own choice first.
        chosen: each arm and what it chose, in words.
        rows: of the table of effects.
    """

    condition: str
    name: str
    choose_by: str
    title: str
    alike: Mapping[str, str]
    comparisons: Sequence[Comparison]
    chosen: Sequence[tuple[str, str]]
    rows: pd.DataFrame


def parts_of(trial: Mapping[str, Any], table: pd.DataFrame) -> list[Part]:
    """The trial's parts in their order; `table` is that of `trials.effects`."""
    return [
        _part(one, part, table[_is_of(table, one, part)])
        for one in trial["trials"]
        for part in one["parts"]
    ]


def _is_of(table: pd.DataFrame, one: Mapping[str, Any], part: Mapping[str, Any]) -> pd.Series:
    return (
        (table["condition"] == one["condition"])
        & (table["part"] == part["part"])
        & (table["choose_by"] == part["choose_by"])
    )


def _part(one: Mapping[str, Any], part: Mapping[str, Any], table: pd.DataFrame) -> Part:
    name = part["part"].replace("_", " ")
    title = ", ".join(filter(None, [one["condition"], name]))
    chosen = [
        (arm, f"{settings_words(record)}{_of_how_many(record)}")
        for arm, record in part["arms"].items()
    ]
    compared = list(_comparisons(part, table))
    baseline, *others = part["arms"]
    return Part(
        one["condition"],
        part["part"],
        part["choose_by"],
        f"{title} (chosen by {part['choose_by']})",
        {arm: tuned_words(part, arm, baseline, table) for arm in others},
        compared,
        chosen,
        table,
    )


def _comparisons(part: Mapping[str, Any], table: pd.DataFrame) -> Iterator[Comparison]:
    shown: list[tuple[Any, ...]] = []
    for (at, arm), rows in table.groupby(["at", "arm"], sort=False):
        numbers = (arm, *rows["effect"], *rows["value"])
        if at and numbers in shown:
            yield Comparison("", f"both with the choice of {at}: the same runs")
            continue
        shown.append(numbers)
        yield _compared(part, str(at), str(arm), rows)


def _compared(part: Mapping[str, Any], at: str, arm: str, rows: pd.DataFrame) -> Comparison:
    baseline, n = rows["baseline"].iloc[0], rows["n"].iloc[0]
    how = f"both with the choice of {at}" if at else "each with its own choice"
    return Comparison(
        verdict_words(rows, "" if at else tuned_words(part, arm, baseline, rows)),
        f"{arm} against {baseline}, {how}, on {n} fresh seed{'' if n == 1 else 's'}",
        [line(row) for _, row in rows.iterrows()],
    )


def smaller(trial: Mapping[str, Any]) -> list[str]:
    """In what the trial was made smaller than the protocol's, to fit a budget."""
    return list(trial["plan"].get("notes", ()))


def sentences(trial: Mapping[str, Any], table: pd.DataFrame) -> list[str]:
    """What came out, as lines for the terminal: a few for each part."""
    lines: list[str] = []
    for part in parts_of(trial, table):
        lines += [""] if lines else []
        lines += _part_lines(part)
    return [*lines, *(f"smaller: {note}" for note in smaller(trial))]


def _part_lines(part: Part) -> Iterator[str]:
    yield part.title
    for one in part.comparisons:
        if not one.verdict:
            yield f"  {one.how}"
            continue
        yield f"→ {one.verdict}"
        yield f"  {one.how}:"
        yield from (f"  - {told}" for told in one.lines)
    for arm, told in part.chosen:
        yield f"  {arm} chose {told}"


def tuned_words(part: Mapping[str, Any], arm: str, baseline: str, rows: pd.DataFrame) -> str:
    """Whether two arms were tuned at all, and which of them to no avail."""
    records = {name: part["arms"][name] for name in (arm, baseline)}
    if all(map(_is_untuned, records.values())):
        return ", neither of them tuned"
    stuck = [
        f"; none of the {len(record['tried'])} combinations tried with {name} learned much more "
        "than to guess"
        for name, record in records.items()
        if part["choose_by"] == ACCURACY and _is_stuck(record, rows)
    ]
    return f", both tuned alike{''.join(stuck)}"


def _is_stuck(record: Mapping[str, Any], rows: pd.DataFrame) -> bool:
    """Whether no combination came far above chance: where one would may lie beyond the grid."""
    scores = [one["score"] or 0 for one in record.get("tried", ())]
    return len(scores) > 1 and max(scores) <= LEARNS * rows["chance"].max() + 1e-9


def _is_untuned(record: Mapping[str, Any]) -> bool:
    return len(record.get("tried", ())) == 1


def _of_how_many(record: Mapping[str, Any]) -> str:
    return ", the only combination tried" if _is_untuned(record) else ""


def settings_words(record: Mapping[str, Any]) -> str:
    """What an arm chose, in words."""
    edges = record.get("edges", {})
    told = [
        f"{key}={value_text(value)}" + (f" (the {edges[key]} tried)" if key in edges else "")
        for key, value in record["chosen"].items()
    ]
    return ", ".join(told) or "nothing, as it has none of the settings"


def effects_text(table: pd.DataFrame) -> pd.DataFrame:
    """The effects for people: a row for each arm and measure."""
    rows = [
        {
            "condition": row["condition"],
            "part": row["part"],
            "chosen by": row["choose_by"],
            "all with the choice of": row["at"],
            "arm": row["arm"],
            "against": row["baseline"],
            "measure": MEASURES[row["measure"]],
            "unit": "points" if row["measure"] == ACCURACY else "log2 ratio",
            "effect": f"{row['effect']:+.3g} [{row['low']:.3g}, {row['high']:.3g}]",
            "n": row["n"],
            "p": f"{row['p']:.2g}",
            "could tell": f"{row['detectable']:.2g}",
            "verdict": row["verdict"],
        }
        for _, row in table.iterrows()
    ]
    text = pd.DataFrame(rows)
    empty = [name for name in text if (text[name] == "").all()]
    return text.drop(columns=empty)


def line(row: pd.Series) -> str:
    """One measure of one arm, "test accuracy 97.31% against 96.80%: +0.51 points [0.32, 0.70]"."""
    if row["measure"] == ACCURACY:
        told = (
            f"test accuracy {row['value']:.2%} against {row['baseline_value']:.2%}: "
            f"{row['effect']:+.2f} points{_interval(row['low'], row['high'])}"
            f"{_certainty(row, '{:.2f} points'.format(row['detectable']))}"
        )
        counts = (row["diverged"], row["baseline_diverged"])
        if any(counts):
            told += f"; diverged, counted as chance: {counts[0]} against {counts[1]}"
        return told
    what = f"{MEASURES[row['measure']]} to {row['target']:.0%} validation accuracy"
    never = (row["never"], row["baseline_never"])
    if 2 * min(never) > row["n"]:
        return f"{what}: most runs did not get there, {never[0]} and {never[1]} of {row['n']}"
    least = "at least " if never[1] and not never[0] else ""
    told = (
        f"{what} {_amount(row['value'])} against {_amount(row['baseline_value'])}: "
        f"{least}{2 ** row['effect']:.2f} times as fast"
        f"{_interval(2 ** row['low'], 2 ** row['high'])}"
        f"{_certainty(row, '{:.2f} times'.format(2 ** row['detectable']))}"
    )
    if any(never):
        told += f"; never there, counted as the whole run: {never[0]} against {never[1]}"
    return told


def _interval(low: float, high: float) -> str:
    return f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) else " (one seed has no interval)"


def _certainty(row: pd.Series, detectable: str) -> str:
    """p-values, what would have been seen, and why the verdict is less than the interval says."""
    if not np.isfinite(row["low"]):
        return ""
    told = f", p = {row['p_t']:.2g} (t test), {row['p']:.2g} (sign flips)"
    if row["detectable"] > 0:
        told += f"; an effect of {detectable} would be seen in 80% of such trials"
    return f"{told}; {row['told']}" if row["told"] else told


def _amount(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "never"


def verdict_words(rows: pd.DataFrame, alike: str = "") -> str:
    """The verdicts on one arm in a sentence; not of seconds, which the machine's load changes.

    Args:
        rows: its measures.
        alike: what is said of the tuning.
    """
    first = rows.iloc[0]
    names = f"{first['arm']} and {first['baseline']}"
    if first["n"] < MIN_JUDGED:
        return f"no verdict: that takes {MIN_JUDGED} fresh seeds"
    everything = rows["diverged"] + rows["baseline_diverged"] == 2 * rows["n"]
    if everything.all():
        return "no verdict: every run diverged, in both arms"
    if max(first["value"], first["baseline_value"]) < LEARNS * first["chance"]:
        return (
            f"no verdict: neither {first['arm']} nor {first['baseline']} learned much more than to "
            f"guess ({first['chance']:.0%}); try other values with trial.tune, or more steps"
        )
    told = [
        WORDS[row["measure"]][row["verdict"]]
        for _, row in rows.iterrows()
        if row["measure"] != SECONDS and row["verdict"] in WORDS[row["measure"]]
    ]
    if not told:
        return f"no difference between {names} could be told{alike}"
    return f"{first['arm']} is {' and '.join(told)} than {first['baseline']}{alike}"
