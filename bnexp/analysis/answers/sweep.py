"""What a sweep that is no trial shows: arms against the baseline, or what a single arm reached."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis import measures, style
from bnexp.analysis.answers.model import Answer, Block, seeds_words, times, with_interval
from bnexp.analysis.best_rates import at_best_rates, best_rates, rate_varies
from bnexp.analysis.comparing import compare
from bnexp.analysis.loading import SEED, Runs
from bnexp.analysis.measures import ENDED, NONE, TEST, VALIDATION, MeasureError
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import CONTRADICTED, MIN_JUDGED, SUPPORTED, Estimate
from bnexp.analysis.steps import Crossings, crossings, speed
from bnexp.analysis.targets import percent, targets
from bnexp.folders.runs import FINISHED

NAMES = {TEST: "test accuracy", VALIDATION: "final validation accuracy"}
VERDICTS = {SUPPORTED: "more accurate", CONTRADICTED: "less accurate"}
UNTOLD, TOO_FEW = "not told apart", f"too few for a verdict, which takes {MIN_JUDGED}"
MOST_ARMS = 4  # that are told in sentences
PAIRED = (
    "Arms are compared on the same seeds, pair by pair: both start from the same weights and see "
    "the same batches. In brackets: 95% intervals"
)


def sweep_answer(runs: Runs) -> Answer:
    """What the runs of one sweep show, without its trial."""
    if not runs.runs["status"].isin(ENDED).any():
        return Answer("No run has ended yet.")
    try:
        every = effects(runs)
    except MeasureError:  # more than one run of the same arm, condition and seed
        every = pd.DataFrame()
    if every.empty:
        block = _reached(runs)
        return Answer(block.headline, "", [block])
    blocks = list(_compared(runs, every))
    return Answer(blocks[0].headline, _how_sure(runs), blocks, every)


def metric_of(runs: Runs) -> str:
    """The accuracy that arms are compared by: on test, unless a finished run has none."""
    finished = runs.runs[runs.runs["status"] == FINISHED]
    return TEST if TEST in finished and finished[TEST].notna().all() else VALIDATION


def baseline_of(runs: Runs) -> str:
    """The arm that the others are compared with: none, or the first."""
    arms = list(map(str, runs.runs[ARM].unique()))
    return NONE if NONE in arms else arms[0]


def effects(runs: Runs) -> pd.DataFrame:
    """Every arm against the baseline in every condition that both have seeds of.

    Returns:
        The columns of `compare`, and of the steps to the highest target that most runs of both
        arms reach: target, steps and baseline_steps (medians), ratio, ratio_low and ratio_high
        (how many times as fast; NaN where there is no such target).

    Raises:
        MeasureError: a seed has more than one run of the same arm and condition.
    """
    baseline = baseline_of(runs)
    table = compare(runs, metric_of(runs), baseline)
    table = table[table["n"] > 0].reset_index(drop=True)
    if table.empty:
        return table
    ended = measures.ended(runs)[[CONDITION, ARM, SEED]]  # each part is a copy of all it has
    members = dict(tuple(ended.groupby([CONDITION, ARM], sort=False)))
    goals = {goal: crossings(runs, goal) for goal in reversed(targets(runs))}
    rows = [
        _speed(goals, members[row[CONDITION], baseline], members[row[CONDITION], row[ARM]])
        for _, row in table.iterrows()
    ]
    return table.join(pd.DataFrame(rows)).assign(baseline=baseline)


def _speed(
    goals: dict[float, Crossings], theirs: pd.DataFrame, ours: pd.DataFrame
) -> dict[str, float]:
    for goal, times_of in goals.items():
        base, mine = times_of.of(theirs), times_of.of(ours)
        if 2 * base.never > len(theirs) or 2 * mine.never > len(ours):
            continue
        effect = speed(base, mine).effect
        return {
            "target": goal,
            "steps": float(mine.first.median()),
            "baseline_steps": float(base.first.median()),
            "ratio": 2**effect.mean,
            "ratio_low": 2**effect.low,
            "ratio_high": 2**effect.high,
        }
    names = ("target", "steps", "baseline_steps", "ratio", "ratio_low", "ratio_high")
    return dict.fromkeys(names, np.nan)


def _compared(runs: Runs, every: pd.DataFrame) -> Iterator[Block]:
    """Each arm at its own best learning rate, where rates vary; then every condition."""
    if not rate_varies(runs):
        yield _block(runs, every, "")
        return
    best, chosen = at_best_rates(runs), best_rates(runs)
    title = "Each arm at its own best learning rate, by validation accuracy on the same seeds"
    yield _block(runs, effects(best), title, _rates(chosen))
    yield _block(runs, every, "At every learning rate")


def _block(
    runs: Runs, table: pd.DataFrame, title: str, settings: Sequence[tuple[str, str]] = ()
) -> Block:
    sentences = list(_sentences(table, NAMES[metric_of(runs)]))
    text = effects_text(table, NAMES[metric_of(runs)])
    return Block(
        title, sentences[0], sentences[1:], text, settings, first=not title or bool(settings)
    )


def _rates(best: pd.DataFrame) -> list[tuple[str, str]]:
    """Each arm's best rate in each condition, with whether it is at the edge of those tried."""
    return [
        (
            ", ".join(filter(None, [row[ARM], row[CONDITION]])),
            f"lr={row['rate']:g}" + (f" (the {row['edge']} tried)" if row["edge"] else ""),
        )
        for _, row in best.iterrows()
    ]


def _sentences(table: pd.DataFrame, metric: str) -> Iterator[str]:
    arms = list(table[ARM].unique())
    for arm in arms[:MOST_ARMS]:
        yield from _arm_sentences(table[table[ARM] == arm], metric)
    if len(arms) > MOST_ARMS:
        yield f"{len(arms) - MOST_ARMS} more arms are in the table."


def _arm_sentences(rows: pd.DataFrame, metric: str) -> Iterator[str]:
    """One condition in its numbers; of several, in how many the arm is better."""
    first = rows.iloc[0]
    arm, baseline = style.label(first[ARM]), style.label(first["baseline"])
    if len(rows) == 1:
        yield _one_condition(first, arm, baseline, metric)
        yield from _speed_sentence(first)
        return
    yield _counted(rows, arm, baseline, metric)
    by_size = rows.dropna(subset=["difference"]).sort_values("difference")
    if len(by_size):
        low, high = by_size.iloc[0], by_size.iloc[-1]
        yield (
            f"The differences go from {_points(low)} points ({low[CONDITION]}) to {_points(high)} "
            f"points ({high[CONDITION]})."
        )


def _one_condition(row: pd.Series, arm: str, baseline: str, metric: str) -> str:
    if pd.isna(row["difference"]):
        return f"{arm} and {baseline}: no {metric} to compare."
    told = (
        f"{_capital(arm)} reaches {row['value']:.2%} {metric}, {baseline} "
        f"{row['baseline_value']:.2%}: {_points(row)} points on {seeds_words(int(row['n']))}"
    )
    return f"{told}; {_verdict(row)}."


def _verdict(row: pd.Series) -> str:
    return VERDICTS.get(row["verdict"], UNTOLD if row["n"] >= MIN_JUDGED else TOO_FEW)


def _points(row: pd.Series) -> str:
    return with_interval(*(100 * row[name] for name in ("difference", "low", "high")))


def _speed_sentence(row: pd.Series) -> Iterator[str]:
    if pd.isna(row["ratio"]):
        return
    arm, baseline = _capital(style.label(row[ARM])), style.label(row["baseline"])
    yield (
        f"{arm} reaches {percent(row['target'])} validation accuracy after {row['steps']:,.4g} "
        f"steps, {baseline} after {row['baseline_steps']:,.4g} (medians): "
        f"{times(row['ratio'], row['ratio_low'], row['ratio_high'])} as fast, paired by seed."
    )


def _counted(rows: pd.DataFrame, arm: str, baseline: str, metric: str) -> str:
    """In how many conditions an arm is better, worse, or neither can be told."""
    judged = rows["n"].min() >= MIN_JUDGED
    above, below = (int(found.sum()) for found in _sides(rows))
    total, rest = len(rows), len(rows) - above - below
    if rows["low"].isna().all():
        return (
            f"{_capital(arm)} has the higher {metric} in {above} of {total} conditions, {baseline} "
            f"in {below}; a single seed tells no more."
        )
    told = f"{_capital(arm)} has a higher {metric} than {baseline} in {above} of {total} conditions"
    told += f" and a lower one in {below}" if below else ""
    if rest:
        told += f"; in {rest} the 95% interval holds both"
    few = "" if judged else f". {_capital(TOO_FEW)}: take it as a first look"
    return f"{told}{few}."


def _sides(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Where the interval (of a single seed: the difference) lies above 0, and below."""
    single = rows["low"].isna()
    low, high = (
        rows["low"].mask(single, rows["difference"]),
        rows["high"].mask(single, rows["difference"]),
    )
    return low > 0, high < 0


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def effects_text(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The effects for people: a row per condition and arm."""
    rows = [
        {
            CONDITION: row[CONDITION],
            ARM: row[ARM],
            metric: f"{row['value']:.2%}",
            row["baseline"]: f"{row['baseline_value']:.2%}",
            "difference in points [95% interval]": "–"
            if pd.isna(row["difference"])
            else _points(row),
            "times as fast [95% interval]": ""
            if pd.isna(row["ratio"])
            else times(row["ratio"], row["ratio_low"], row["ratio_high"]),
            "to": "" if pd.isna(row["target"]) else percent(row["target"]),
            "seeds": int(row["n"]),
            "diverged": str(row["diverged"] or ""),
            "verdict": _verdict(row),
        }
        for _, row in table.iterrows()
    ]
    found = pd.DataFrame(rows)
    empty = [name for name in found if (found[name].astype(str) == "").all()]
    return found.drop(columns=empty)


def _reached(runs: Runs) -> Block:
    """What runs without a second arm to compare with came to."""
    metric = metric_of(runs)
    ended = measures.ended(runs)
    rows: list[dict[str, Any]] = []
    for (condition, arm), group in ended.groupby([CONDITION, ARM], sort=False):
        found = measures.estimate(group, metric)
        rows.append({CONDITION: condition, ARM: arm, "n": len(group), "estimate": found})
    rows.sort(key=lambda row: -np.nan_to_num(row["estimate"].mean, nan=-1))
    text = pd.DataFrame(
        {
            CONDITION: [row[CONDITION] for row in rows],
            ARM: [row[ARM] for row in rows],
            f"{NAMES[metric]} [95% interval]": [_level(row["estimate"]) for row in rows],
            "seeds": [row["n"] for row in rows],
        }
    )
    text = text if text[CONDITION].any() else text.drop(columns=CONDITION)
    return Block("", _best_and_worst(rows, NAMES[metric]), [], text)


def _best_and_worst(rows: Sequence[dict[str, Any]], metric: str) -> str:
    best, worst = rows[0], rows[-1]
    told = f"{_capital(style.label(best[ARM]))} reaches {_level(best['estimate'])} {metric}"
    if len(rows) == 1:
        return f"{told} ({seeds_words(best['n'])})."
    where = (row[CONDITION] or row[ARM] for row in (best, worst))
    return (
        f"{told} at best ({next(where)}) and {_level(worst['estimate'])} at worst ({next(where)})."
    )


def _level(found: Estimate) -> str:
    """ "97.31% [97.10%, 97.52%]"."""
    if np.isnan(found.mean):
        return "no"
    interval = "" if np.isnan(found.low) else f" [{found.low:.2%}, {found.high:.2%}]"
    return f"{found.mean:.2%}{interval}"


def _how_sure(runs: Runs) -> str:
    counts = runs.runs.groupby([CONDITION, ARM])["seed"].nunique()
    if counts.max() < 2:
        return "One seed each: no interval can be given, and chance alone makes differences."
    conditions = runs.runs[CONDITION].nunique()
    many = f", not corrected for looking at {conditions} conditions" if conditions > 1 else ""
    few = f" A verdict takes {MIN_JUDGED} seeds." if counts.min() < MIN_JUDGED else ""
    return f"{PAIRED}{many}.{few}"
