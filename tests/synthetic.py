"""Made-up runs for tests of the analysis: tables as loading makes them, without folders."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.evidence import Evidence, evidence
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import with_names
from bnexp.folders.runs import FINISHED, HISTORY_COLUMNS, PROBE_COLUMNS

CONFIG = {
    "data.kind": "mnist",
    "model.kind": "mlp",
    "model.activation": "sigmoid",
    "model.hidden": "100-100-100",
    "model.dropout": 0.0,
    "norm.kind": "none",
    "norm.momentum": 0.9,
    "norm.position": "pre",
    "norm.gradient": "full",
    "init.kind": "gaussian",
    "init.stddev": 0.05,
    "init.scale": 1.0,
    "optimizer.lr": 0.1,
    "optimizer.weight_decay": 0.0,
    "schedule.rate": 1.0,
    "schedule.every": 1,
    "trainer.steps": 3000,
    "trainer.batch_size": 60,
    "trainer.reshuffle": True,
}
# Two patterns of noise over seeds with mean 0, so that paired differences have a spread.
NOISE = {
    "none": (0.4, -1.0, 0.9, -0.6, 0.3),
    "batch": (-0.8, 0.5, 0.1, 0.7, -0.5),
}


def run(
    config: Mapping[str, Any],
    accuracies: Sequence[float],
    *,
    seed: int = 0,
    sweep: str = "s",
    status: str = FINISHED,
    losses: Sequence[float] | None = None,
    train_losses: Sequence[float] | None = None,
    every: int = 100,
    probes: Iterable[tuple[int, str, str, str, float]] = (),
    **result: Any,
) -> dict[str, Any]:
    """One run with validation accuracies (and losses) at every 100th step."""
    steps = [every * (i + 1) for i in range(len(accuracies))]
    losses = losses or [1 - a for a in accuracies]
    columns = {
        "step": steps,
        "epoch": [step / 900 for step in steps],
        "train_loss": train_losses or losses,
        "val_loss": losses,
        "val_accuracy": list(accuracies),
        "seconds": [step / 1000 for step in steps],
    }
    final = accuracies[-1] if len(accuracies) else None
    fields = {
        "status": status,
        "steps": steps[-1] if steps else 1,
        "final_val_accuracy": final,
        "best_val_accuracy": max(accuracies, default=None),
        "test_accuracy": final if status == FINISHED else None,
        "test_log_loss": losses[-1] if losses and status == FINISHED else None,
        "steps_per_second": 1000.0,
        "error": None,
    }
    row = {"sweep": sweep, **CONFIG, **config, "seed": seed, **fields, **result}
    return {"row": row, "history": columns, "probes": list(probes)}


def runs(made: Sequence[Mapping[str, Any]]) -> Runs:
    """The tables of several runs, named r0, r1, ..."""
    rows = [{"run": f"r{i}", **one["row"]} for i, one in enumerate(made)]
    histories = [pd.DataFrame({"run": f"r{i}", **one["history"]}) for i, one in enumerate(made)]
    probes = [
        pd.DataFrame(one["probes"], columns=list(PROBE_COLUMNS)).assign(run=f"r{i}")
        for i, one in enumerate(made)
        if one["probes"]
    ]
    nothing = pd.DataFrame(columns=["run", *PROBE_COLUMNS])
    history = pd.concat(histories, ignore_index=True)
    history = history.astype(dict.fromkeys(HISTORY_COLUMNS, float) | {"step": int})
    return Runs(
        with_names(pd.DataFrame(rows).set_index("run")),
        history,
        pd.concat(probes, ignore_index=True) if probes else nothing,
    )


def noise(arm: str, seed: int) -> float:
    """Seed by seed another deviation, with mean 0 over five seeds."""
    return NOISE[arm][seed]


def rising(final: float, steps: int = 30, start: float = 0.1) -> list[float]:
    """Accuracies that rise evenly to the final one."""
    return list(np.linspace(start, final, steps))


def reported(
    one: Mapping[str, Any], arm: str, *, part: str = "tuned", condition: str = "", **record: Any
) -> dict[str, Any]:
    """A run as a report run of a trial's arm; `record` goes over what the arm has in trial.json."""
    return {**one, "reported": (condition, part, arm, record)}


def multiplied(one: Mapping[str, Any], arm: str, factor: float) -> dict[str, Any]:
    """A run as one with so many times the baseline's learning rate (trial.factors)."""
    return {**one, "multiplied": (arm, factor)}


def trial_of(made: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """trial.json of runs that `reported` marks."""
    conditions: dict[str, dict[str, dict[str, Any]]] = {}
    for i, one in enumerate(made):
        if "reported" not in one:
            continue
        condition, part, arm, changes = one["reported"]
        row = one["row"]
        score = row["final_val_accuracy"]
        arms = conditions.setdefault(condition, {}).setdefault(part, {})
        record = arms.setdefault(
            arm,
            {
                "chosen": {"optimizer.lr": row["optimizer.lr"]},
                "score": score,
                "edges": {},
                "tried": [{"score": score}],
                "report": {},
                **changes,
            },
        )
        record["report"][str(row["seed"])] = f"r{i}"
    trials = [
        {
            "condition": condition,
            "parts": [
                {
                    "part": part,
                    "choose_by": "accuracy",
                    "target": None,
                    "arms": arms,
                    "factors": _factors(made),
                }
                for part, arms in parts.items()
            ],
        }
        for condition, parts in conditions.items()
    ]
    return {"version": 1, "settings": {}, "plan": {}, "trials": trials}


def _factors(made: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[float, dict[str, Any]] = {}
    for i, one in enumerate(made):
        if "multiplied" in one:
            arm, factor = one["multiplied"]
            rate = one["row"]["optimizer.lr"]
            told = {"setting": "optimizer.lr", "factor": factor, "chosen": {"optimizer.lr": rate}}
            record = found.setdefault(factor, {**told, "report": {}})
            record["report"].setdefault(arm, {})[str(one["row"]["seed"])] = f"r{i}"
    return list(found.values())


def trial_evidence(made: Sequence[Mapping[str, Any]]) -> Evidence:
    """The runs with their trial, where some are marked by `reported`."""
    found = evidence(runs(made))
    return replace(found, trial=trial_of(made) if any("reported" in one for one in made) else None)
