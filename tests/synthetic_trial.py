"""Made-up trials: report runs with given results, and the trial.json that names them."""

from collections.abc import Callable, Sequence
from typing import Any

from synthetic import run, runs

from bnexp.analysis.loading import Runs
from bnexp.folders.runs import DIVERGED

Curve = Callable[[str, int], Sequence[float] | None]  # of an arm and a seed; None: it diverges


def trial(
    curve: Curve,
    *,
    arms: Sequence[str] = ("norm=none", "norm=batch"),
    seeds: Sequence[int] = range(100, 110),
    target: float | None = 0.9,
    part: str = "tuned",
    choose_by: str = "accuracy",
    condition: str = "",
    edges: dict[str, str] | None = None,
) -> tuple[dict[str, Any], Runs]:
    """trial.json's content and its runs, each named by its arm and seed."""
    made, ids = [], {}
    for arm in arms:
        for seed in seeds:
            found = curve(arm, seed)
            kind = arm.partition("=")[2]
            status = {"status": DIVERGED} if found is None else {}
            made.append(run({"norm.kind": kind}, found or [], seed=seed, classes=10, **status))
            ids.setdefault(arm, {})[str(seed)] = f"r{len(made) - 1}"
    chosen = {
        arm: {"chosen": {"optimizer.lr": 0.1}, "edges": edges or {}, "report": ids[arm]}
        for arm in arms
    }
    one = {"part": part, "choose_by": choose_by, "target": target, "arms": chosen}
    record = {"settings": {}, "plan": {}, "trials": [{"condition": condition, "parts": [one]}]}
    return record, runs(made)
