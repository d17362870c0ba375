"""What a trial shows: effects of the runs that trial.json names, in words and numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import TEST, VALIDATION, by_seed, chance_of, ended
from bnexp.analysis.naming import value_text
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    MIN_JUDGED,
    SUPPORTED,
    Estimate,
    detectable,
    holm,
    p_value,
    paired_difference,
    rule_r,
    sign_flip_p,
)
from bnexp.analysis.steps import SECONDS, STEP, Crossings, crossings, speed
from bnexp.folders.runs import DIVERGED

ACCURACY, LOSS, STEPS = "accuracy", "loss", "steps"
MEASURES = {ACCURACY: "test accuracy", STEP: "steps", SECONDS: "training seconds"}
LEARNS = 1.5  # times chance: an arm that stays below does not set a target
SPACING = 0.05  # of the median crossing, that evaluations may be apart
COARSE = "evaluated too rarely to tell finer (trainer.eval_every)"
UNCERTAIN = "not by all conventions for runs that never get there"
WORDS = {
    ACCURACY: {SUPPORTED: "more accurate", CONTRADICTED: "less accurate"},
    STEP: {SUPPORTED: "faster in steps", CONTRADICTED: "slower in steps"},
}


def scores_of(runs: Runs, target: float | None) -> dict[tuple[str, str], float]:
    """What a trial chooses by, for each run that has ended and each criterion; higher is better.

    The final validation accuracy (of a diverged run: chance), minus the final validation loss, and
    minus log2 of the steps to the target (of a run that never gets there: its budget).
    """
    if runs.runs.empty or not runs.runs["status"].isin(["finished", DIVERGED]).any():
        return {}
    table = ended(runs)
    last = runs.history.sort_values("step", kind="stable").groupby("run")["val_loss"].last()
    losses = last.reindex(table.index).mask(table["status"] == DIVERGED).fillna(math.inf)
    found = {ACCURACY: table[VALIDATION], LOSS: -losses}
    if target is not None:
        found[STEPS] = -np.log2(crossings(runs, target).censored.reindex(table.index))
    return {
        (Path(str(run)).name, criterion): float(value)
        for criterion, values in found.items()
        for run, value in values.items()
    }


def common_target(runs: Runs, arms: Sequence[Sequence[str]]) -> float | None:
    """The highest full percent that all runs of the arms that learn reach; None: none learns.

    Args:
        runs: holds the tuning runs.
        arms: the run ids of each arm's chosen combination.
    """
    table = _by_id(ended(runs))
    chance = float(chance_of(table).max())
    best = table["best_val_accuracy"].astype(float).fillna(chance)
    reached = [float(best[list(ids)].min()) for ids in arms]
    learning = [value for value in reached if value > LEARNS * chance]
    return math.floor(100 * min(learning) + 1e-9) / 100 if learning else None


def _by_id(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_axis([Path(str(run)).name for run in table.index])


def effects(trial: Mapping[str, Any], runs: Runs) -> pd.DataFrame:
    """Every arm against the first, on the report seeds.

    Args:
        trial: the content of trial.json.
        runs: the runs of its folder.

    Returns:
        A row per condition, part, criterion, arm and measure: condition, part, choose_by, at
        (whose combination all arms have; empty: each its own), arm, baseline, measure, target,
        value and baseline_value (mean accuracy; medians of steps and seconds), n, effect, low,
        high (points; log2 of baseline / arm), sd, p (exact sign flips), p_t, p_holm (of p_t, over
        the arms), detectable, verdict (rule R; after Holm where there are several arms), diverged,
        baseline_diverged, never, baseline_never, chance, told (why the verdict is less than the
        interval says).
    """
    table = ended(runs)
    places = {Path(str(run)).name: run for run in table.index}
    rows = [
        row
        for one in trial["trials"]
        for part in one["parts"]
        for row in _part_rows(one["condition"], part, runs, table, places)
    ]
    return pd.DataFrame(rows)


def _part_rows(
    condition: str,
    part: Mapping[str, Any],
    runs: Runs,
    table: pd.DataFrame,
    places: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    arms = part["arms"]
    compared = {"": {arm: record["report"] for arm, record in arms.items()}}
    compared |= {arm: record["matched"] for arm, record in arms.items() if "matched" in record}
    compared |= {at_factor(arms, one): one["report"] for one in part.get("factors", [])}
    times = {
        column: crossings(runs, part["target"], column)
        for column in (STEP, SECONDS)
        if part["target"] is not None
    }
    for at, of_arms in compared.items():
        tables = {
            arm: table.loc[[places[run] for run in ids.values() if run in places]]
            for arm, ids in of_arms.items()
        }
        common = {
            "condition": condition,
            "part": part["part"],
            "choose_by": part["choose_by"],
            "at": at,
            "target": part["target"],
        }
        for measure in (ACCURACY, *times):
            rows = _against_first(measure, tables, times.get(measure))
            yield from (common | row for row in rows)


def at_factor(arms: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """What the baseline chose with a multiple of one setting: "norm=none, optimizer.lr × 5"."""
    name = next(iter(arms))
    return name if one["factor"] == 1 else f"{name}, {one['setting']} × {one['factor']:g}"


def _against_first(
    measure: str, tables: Mapping[str, pd.DataFrame], times: Crossings | None
) -> list[dict[str, Any]]:
    (baseline, theirs), *others = tables.items()
    rows = [
        {
            "arm": arm,
            "baseline": baseline,
            "measure": measure,
            **_effect(theirs, table, times),
        }
        for arm, table in others
    ]
    corrected = holm([row["p_t"] for row in rows])
    for row, p in zip(rows, corrected, strict=True):
        row["p_holm"] = p
        if len(rows) > 1 and not p < 0.05 and row["verdict"] != INCONCLUSIVE:
            row |= {"verdict": INCONCLUSIVE, "told": "not after Holm's correction over the arms"}
    return rows


def _effect(theirs: pd.DataFrame, ours: pd.DataFrame, times: Crossings | None) -> dict[str, Any]:
    never = {"never": 0, "baseline_never": 0}
    if times is None:
        a, b = by_seed(ours, TEST), by_seed(theirs, TEST)
        effect = paired_difference(a, b).scaled(100)
        values = {"value": a.mean(), "baseline_value": b.mean()}
        verdict, told = rule_r(effect), ""
    else:
        mine, base = times.of(ours), times.of(theirs)
        compared = speed(base, mine)
        effect, verdict = compared.effect, compared.verdict()
        if mine.never == len(mine.first) and base.never == len(base.first):
            verdict = INCONCLUSIVE  # the budgets alone are compared
        told = "" if verdict == rule_r(effect) else UNCERTAIN
        if _is_coarse(mine) or _is_coarse(base):
            told = "; ".join(filter(None, [told, COARSE]))
        values = {"value": mine.first.median(), "baseline_value": base.first.median()}
        never = {"never": mine.never, "baseline_never": base.never}
    return {
        **values,
        **statistics_of(effect),
        "verdict": verdict,
        "diverged": int((ours["status"] == DIVERGED).sum()),
        "baseline_diverged": int((theirs["status"] == DIVERGED).sum()),
        **never,
        "chance": float(chance_of(ours).max()),
        "told": told,
    }


def _is_coarse(times: Crossings) -> bool:
    """Whether evaluations are further apart than protocol 2 wants them."""
    there = np.isfinite(times.first)
    if not there.any():
        return False
    apart = (times.first - times.before)[there].median()
    return bool(apart > SPACING * times.first[there].median())


def statistics_of(effect: Estimate) -> dict[str, Any]:
    """An effect's numbers as columns."""
    return {
        "n": effect.n,
        "effect": effect.mean,
        "low": effect.low,
        "high": effect.high,
        "sd": effect.sd,
        "p": sign_flip_p(effect.values),
        "p_t": p_value(effect),
        "detectable": detectable(effect),
    }


# --- in words


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
    if never == (row["n"], row["n"]):
        return f"{what}: no run got there, in neither arm"
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
