"""What a trial shows: each arm with its own choice, then all with one arm's."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from bnexp.analysis import style
from bnexp.analysis.answers.model import Answer, Block, seeds_words, times, with_interval
from bnexp.analysis.evidence import TUNED
from bnexp.analysis.loading import Runs
from bnexp.analysis.statistics import CONTRADICTED, MIN_JUDGED, SUPPORTED
from bnexp.analysis.steps import STEP
from bnexp.analysis.trial_words import MEASURES, Comparison, Part, parts_of, smaller, verdict_words
from bnexp.analysis.trials import ACCURACY, STEPS, effects

BOTH = (ACCURACY, STEP)  # what verdicts in words are of
MOST = 6  # conditions whose numbers stand in a sentence


def trial_answer(record: Mapping[str, Any], runs: Runs) -> Answer:
    """What a trial that has ended shows."""
    table = effects(record, runs)
    parts = parts_of(record, table)
    names = [part.name for part in parts]
    main = TUNED if TUNED in names else names[0]
    firsts: dict[str, list[Part]] = {}  # of each condition the main part, by every criterion
    blocks = []
    criteria = {part.choose_by for part in parts}
    for part in parts:
        if part.name == main:
            firsts.setdefault(part.condition, []).append(part)
        own = (STEP,) if part.choose_by == STEPS else (ACCURACY,)
        measures = BOTH if len(criteria) == 1 else own
        blocks.append(_block(part, measures, first=part.name == main, alone=len(parts) == 1))
    blocks.sort(key=lambda block: not block.first)
    told = f"{_together(firsts)} {_numbers([some[0] for some in firsts.values()])}".strip()
    return Answer(told, _how_sure(record, table), blocks, table)


def _verdicts(parts: Sequence[Part]) -> str:
    """Of each arm with its own choice; speed by the runs that were chosen for it, if there are."""
    fast = next((part for part in parts[1:] if part.choose_by == STEPS), None)
    if fast is None:
        return _own(parts[0])
    verdicts = [_own(parts[0], (ACCURACY,)), f"tuned for speed, {_own(fast, (STEP,), alike=False)}"]
    return "; ".join(verdicts)


def _own(part: Part, measures: Sequence[str] = BOTH, *, alike: bool = True) -> str:
    rows = part.rows[(part.rows["at"] == "") & part.rows["measure"].isin(measures)]
    told = [
        verdict_words(of_arm, part.alike[arm] if alike else "") for arm, of_arm in _by_arm(rows)
    ]
    return "; ".join(dict.fromkeys(told)) or "nothing was compared"


def _by_arm(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield from ((str(arm), of_arm) for arm, of_arm in rows.groupby("arm", sort=False))


def _together(parts: Mapping[str, Sequence[Part]]) -> str:
    """The verdicts of all conditions in one sentence; those alike are told once."""
    alike: dict[str, list[str]] = {}
    for condition, some in parts.items():
        alike.setdefault(_verdicts(some), []).append(condition)
    if len(alike) == 1:
        start = f"in all {len(parts)} conditions, " if len(parts) > 1 else ""
        return _sentence(f"{start}{next(iter(alike))}")
    told = [f"{verdict} ({', '.join(names)})" for verdict, names in alike.items()]
    return _sentence("; ".join(told))


def _numbers(parts: Sequence[Part]) -> str:
    """Test accuracies behind the verdicts; empty where several arms are compared."""
    rows = pd.concat([part.rows for part in parts])
    rows = rows[(rows["at"] == "") & (rows["measure"] == ACCURACY) & rows["effect"].notna()]
    if rows.empty or rows["arm"].nunique() > 1:
        return ""
    found = rows.to_dict("records")
    effects = [with_interval(row["effect"], row["low"], row["high"]) for row in found]
    if len(rows) == 1:
        values = f"{found[0]['value']:.2%} against {found[0]['baseline_value']:.2%}"
        seeds = seeds_words(found[0]["n"])
        return f"Test accuracy is {values}: {effects[0]} points [95% interval], {seeds}."
    told = [f"{effect} ({row['condition']})" for effect, row in zip(effects, found, strict=True)]
    more = f" and {len(told) - MOST} more" if len(told) > MOST else ""
    return _sentence(
        f"test accuracy differs by {', '.join(told[:MOST])}{more} points [95% interval]"
    )


def _block(part: Part, measures: Sequence[str], *, first: bool, alone: bool) -> Block:
    matched = [one for one in part.comparisons if "its own choice" not in one.how]
    return Block(
        title="" if alone else _short(part.title),
        headline=_sentence(_own(part, measures)),
        sentences=[
            _sentence(": ".join(filter(None, [_how(part, one), one.verdict]))) for one in matched
        ],
        table=effects_table(part.rows),
        settings=part.chosen,
        notes=list(_reasons(part.rows)),
        first=first,
    )


def _how(part: Part, one: Comparison) -> str:
    """Which runs are compared; where there are but two arms, without their names."""
    alone = part.rows["arm"].nunique() == 1
    return one.how.partition(", ")[2] or one.how if alone else one.how


def _sentence(text: str) -> str:
    """With a capital and a full stop, arms called as legends call them and lists made short."""
    text = re.sub(r"\bnorm=(\w+)(?![\w.:])", lambda found: style.label(found[1]), _short(text))
    return f"{text[:1].upper()}{text[1:]}."


def _short(text: str) -> str:
    """ "hidden 3×100" for "model.hidden=[100,100,100]"."""
    text = re.sub(
        r"\[(\d+)((?:,\s?\1)+)\]", lambda found: f"{1 + found[2].count(',')}×{found[1]}", text
    )
    return re.sub(r"\b\w+\.(\w+)=(?=\d+×)", r"\1 ", text)


def effects_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Effects of a trial for people who read them in a browser: a row per arm and measure."""
    found = pd.DataFrame([_effect_row(row) for _, row in rows.iterrows()])
    same = [name for name in found if (found[name] == "").all()]
    if rows["arm"].nunique() == 1:  # its name stands above its numbers
        found = found.rename(columns={"reaches": style.label(_kind(rows["arm"].iloc[0]))})
        same.append("arm")
    same += [
        name
        for name in ("choice", "seeds")  # these are told in words
        if name in found and found[name].nunique() == 1
    ]
    return found.drop(columns=same)


def _kind(arm: str) -> str:
    """ "batch" for "norm=batch", which has a label."""
    return arm.removeprefix("norm=")


def _effect_row(row: pd.Series) -> dict[str, Any]:
    is_accuracy = row["measure"] == ACCURACY
    return {
        "arm": row["arm"],
        "choice": _at(row["at"]) if row["at"] else "its own",
        "measure": _measure(row),
        "reaches": _value(row["value"], is_accuracy),
        style.label(_kind(row["baseline"])): _value(row["baseline_value"], is_accuracy),
        "difference [95% interval]": _difference(row, is_accuracy),
        "seeds": row["n"],
        "p": "" if pd.isna(row["p"]) else f"{row['p']:.2g}",
        "verdict": _verdict(row),
    }


def _reasons(rows: pd.DataFrame) -> Iterator[str]:
    """What is told of verdicts, each once, with the measures that it is told of."""
    for told, some in rows[rows["told"] != ""].groupby("told", sort=False):
        yield f"{_measures(some)}: {told}."


def _measures(rows: pd.DataFrame) -> str:
    """ "Steps to 40% and training seconds to 40%"."""
    names = dict.fromkeys(_measure(row) for _, row in rows.iterrows())
    text = " and ".join(names)
    return f"{text[:1].upper()}{text[1:]}"


def _measure(row: pd.Series) -> str:
    what = MEASURES[row["measure"]]
    return what if row["measure"] == ACCURACY else f"{what} to {row['target']:.0%}"


def _at(name: str) -> str:
    """ "none’s, lr × 5" for "norm=none, optimizer.lr × 5"."""
    arm, comma, factor = name.partition(", ")
    return f"{_kind(arm)}’s{comma}{factor.rpartition('.')[2]}"


def _verdict(row: pd.Series) -> str:
    if row["n"] < MIN_JUDGED:
        return "too few seeds"
    if row["measure"] != ACCURACY and 2 * min(row["never"], row["baseline_never"]) > row["n"]:
        return "not compared"
    better, worse = ("higher", "lower") if row["measure"] == ACCURACY else ("faster", "slower")
    return {SUPPORTED: better, CONTRADICTED: worse}.get(row["verdict"], "not told apart")


def _value(value: float, is_accuracy: bool) -> str:
    if is_accuracy:
        return f"{value:.2%}"
    return f"{value:,.4g}" if value < float("inf") else "never"


def _difference(row: pd.Series, is_accuracy: bool) -> str:
    if pd.isna(row["effect"]):
        return "–"
    if is_accuracy:
        return with_interval(row["effect"], row["low"], row["high"]) + " points"
    if 2 * min(row["never"], row["baseline_never"]) > row["n"]:
        return "most runs never got there"
    least = ""
    if bool(row["never"]) != bool(row["baseline_never"]):
        least = "at most " if row["never"] else "at least "
    ratio, low, high = (2 ** row[name] for name in ("effect", "low", "high"))
    return f"{least}{times(ratio, low, high)} as fast"


def _how_sure(record: Mapping[str, Any], table: pd.DataFrame) -> str:
    told = "Every arm was tuned alike." if table.empty else _seeds_told(int(table["n"].min()))
    return f"{told}{''.join(f' Smaller: {note}.' for note in _notes(record))}"


def _seeds_told(n: int) -> str:
    few = f" Fewer than {MIN_JUDGED} seeds are too few for a verdict." if n < MIN_JUDGED else ""
    return (
        f"Every arm was tuned alike; what it chose then ran on {seeds_words(n)} that no tuning run "
        "had. Both arms of a seed start from the same weights and see the same batches, so they "
        "are compared pair by pair; how many times as fast is the geometric mean of the pairs. In "
        "brackets: 95% intervals. A verdict takes one wholly on one side, and of steps that two "
        "other ways to count runs that never get there agree; p by sign flips, of which "
        f"{seeds_words(n)} can give none below {2 / 2**n:.2g}.{few}"
    )


def _notes(record: Mapping[str, Any]) -> Iterator[str]:
    yield from (note.rstrip(".") for note in smaller(record))
