"""What a trial shows, in words: for the terminal, the page and tables."""

from collections.abc import Iterator, Mapping
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


def sentences(trial: Mapping[str, Any], table: pd.DataFrame) -> list[str]:
    """What came out, for a reader who has seen nothing else: a few lines a part."""
    lines: list[str] = []
    for one in trial["trials"]:
        for part in one["parts"]:
            chosen = table[
                (table["condition"] == one["condition"])
                & (table["part"] == part["part"])
                & (table["choose_by"] == part["choose_by"])
            ]
            if lines:
                lines.append("")
            lines += _part_lines(one, part, chosen)
    return [*lines, *(f"smaller: {note}" for note in trial["plan"].get("notes", ()))]


def _part_lines(
    one: Mapping[str, Any], part: Mapping[str, Any], table: pd.DataFrame
) -> Iterator[str]:
    title = ", ".join(word for word in (one["condition"], part["part"]) if word)
    yield f"{title} (chosen by {part['choose_by']})"
    shown: list[tuple[Any, ...]] = []
    for (at, arm), rows in table.groupby(["at", "arm"], sort=False):
        numbers = (arm, *rows["effect"], *rows["value"])
        if at and numbers in shown:
            yield f"  both with the choice of {at}: the same runs"
            continue
        shown.append(numbers)
        yield from _arm_lines(part, str(at), str(arm), rows)
    for arm, record in part["arms"].items():
        yield f"  {arm} chose {settings_words(record)}{_of_how_many(record)}"


def _arm_lines(part: Mapping[str, Any], at: str, arm: str, rows: pd.DataFrame) -> Iterator[str]:
    baseline, n = rows["baseline"].iloc[0], rows["n"].iloc[0]
    how = f"both with the choice of {at}" if at else "each with its own choice"
    yield f"→ {verdict_words(rows, '' if at else tuned_words(part, arm, baseline))}"
    yield f"  {arm} against {baseline}, {how}, on {n} fresh seed{'' if n == 1 else 's'}:"
    for _, row in rows.iterrows():
        yield f"  - {line(row)}"


def tuned_words(part: Mapping[str, Any], arm: str, baseline: str) -> str:
    """Whether two arms were tuned at all."""
    tried = (part["arms"][name] for name in (arm, baseline))
    return ", neither of them tuned" if all(map(_is_untuned, tried)) else ", both tuned alike"


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
