"""What a trial shows: effects of the runs that trial.json names; in words: `trial_words`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import TEST, VALIDATION, by_seed, chance_of, ended
from bnexp.analysis.statistics import (
    INCONCLUSIVE,
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
LEARNS = 1.5  # times chance: an arm that stays below does not set a target
COARSE = "evaluated too rarely to tell finer (trainer.eval_every)"
UNCERTAIN = "not by all conventions for runs that never get there"


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


def of_choices(part: Mapping[str, Any]) -> dict[str, dict[str, dict[str, str]]]:
    """The run ids that one part of a trial compares, by seed.

    Returns:
        By whose combination all arms have (empty: each its own), then by arm.
    """
    arms = part["arms"]
    compared = {"": {arm: record["report"] for arm, record in arms.items()}}
    compared |= {arm: record["matched"] for arm, record in arms.items() if "matched" in record}
    return compared | {at_factor(arms, one): one["report"] for one in part.get("factors", [])}


def _part_rows(
    condition: str,
    part: Mapping[str, Any],
    runs: Runs,
    table: pd.DataFrame,
    places: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    times = {
        column: crossings(runs, part["target"], column)
        for column in (STEP, SECONDS)
        if part["target"] is not None
    }
    for at, of_arms in of_choices(part).items():
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
        if 2 * min(mine.never, base.never) > effect.n:
            verdict = INCONCLUSIVE  # the budgets are compared
        told = "" if verdict == rule_r(effect) else UNCERTAIN
        if compared.coarse:
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
