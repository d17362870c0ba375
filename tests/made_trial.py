"""Made-up trials: a trial.json without folders, for made-up runs named r0, r1, ..."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from synthetic import runs

from bnexp.analysis.evidence import Evidence, evidence

TUNE_SEEDS, REPORT_SEEDS = tuple(range(6)), tuple(range(100, 110))
# By seed, for two arms: of mean 0 over ten seeds, so that paired differences have a spread.
NOISE = (
    (0.4, -1.0, 0.9, -0.6, 0.3, -0.3, 0.6, -0.9, 1.0, -0.4),
    (-0.8, 0.5, 0.1, 0.7, -0.5, 0.5, -0.7, -0.1, -0.5, 0.8),
)
Config = Mapping[str, Any]


def noise(arm: int, seed: int) -> float:
    """Seed by seed another deviation; `arm` is 0 or 1."""
    return NOISE[arm % 2][seed % 10]


def judged(made: Sequence[Mapping[str, Any]], trial: dict[str, Any] | None = None) -> Evidence:
    """What a claim is judged by: made-up runs, and their trial if they have one."""
    return replace(evidence(runs(made)), trial=trial)


def trial_of(
    made: Sequence[Mapping[str, Any]],
    arms: Mapping[str, Config],
    *,
    conditions: Mapping[str, Config] | None = None,
    rate: float = 1.0,
    edges: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The trial of made-up runs in which every arm chose the same learning rate.

    Args:
        made: runs; those on `REPORT_SEEDS` at the rate are the ones that judge.
        arms: the settings of each, the baseline first.
        conditions: the settings of each.
        rate: that was chosen.
        edges: of the grids that were met, by key.
    """
    one = {"version": 1, "settings": {"tune_seeds": list(TUNE_SEEDS)}, "plan": {}}
    trials = []
    for label, condition in (conditions or {"": {}}).items():
        found = {
            arm: {
                "chosen": {"optimizer.lr": rate},
                "edges": dict(edges or {}),
                "report": _report(made, {**condition, **config, "optimizer.lr": rate}),
            }
            for arm, config in arms.items()
        }
        part = {"part": "tuned", "choose_by": "accuracy", "target": None, "arms": found}
        trials.append({"condition": label, "parts": [part]})
    return {**one, "trials": trials}


def _report(made: Sequence[Mapping[str, Any]], config: Config) -> dict[str, str]:
    return {
        str(one["row"]["seed"]): f"r{i}"
        for i, one in enumerate(made)
        if one["row"]["seed"] in REPORT_SEEDS
        and all(one["row"][key] == value for key, value in config.items())
    }
