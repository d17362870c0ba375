"""What second derivations share: packed runs, intervals and verdicts by pandas and SciPy alone."""

import io
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml
from conftest import ROOT
from scipy import stats

COMMITTED = ROOT / "outputs" / "reference" / "protocol-2"
RAW_PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
PAGE = " ".join(RAW_PAGE.split())
FIRST_REPORT_SEED = 100


def committed_claims() -> pd.DataFrame:
    """The table of verdicts as it was committed; text stays text where it is empty."""
    numbers = ("effect", "low", "high", "detectable", "null", "p", "p_holm")
    found = pd.read_csv(COMMITTED / "claims.csv", keep_default_na=False)
    return found.assign(**{name: pd.to_numeric(found[name]) for name in numbers})


def table(row: dict[str, str | None], name: str) -> pd.DataFrame:
    """A run's table, put together from its columns; a cell may be empty."""
    columns = {
        key: (row[f"{name}:{key}"] or "").splitlines() for key in (row[name] or "").split(",")
    }
    return pd.read_csv(io.StringIO(pd.DataFrame(columns).to_csv(index=False)))


def of_sweep(sweep: str) -> Iterator[tuple[dict[str, str | None], dict[str, Any]]]:
    """Of each run of a sweep its cells in the pack, what it was, and how it ended."""
    runs = pq.read_table(COMMITTED / "runs.parquet", filters=[("sweep", "==", sweep)])
    for packed in runs.to_pylist():
        config, result = yaml.safe_load(packed["config.yaml"]), json.loads(packed["result.json"])
        died = result["status"] == "diverged"
        yield (
            packed,
            {
                "config": config,
                "status": result["status"],
                "arm": config["norm"]["kind"],
                "layers": len(config["model"].get("hidden", [])),
                "lr": float(config["optimizer"]["lr"]),
                "stddev": float(config["init"].get("stddev", math.nan)),
                "scale": float(config["init"].get("scale", 1)),
                "schedule": config["schedule"]["kind"],
                "steps": config["trainer"]["steps"],
                "seed": config["seed"],
                "validation": 0.1 if died else result["final_val_accuracy"],
                "test": 0.1 if died else result["test_accuracy"],
                "loss": result["test_loss"],
            },
        )


def interval(values: pd.Series, confidence: float = 0.95) -> tuple[float, float]:
    """Student's t."""
    return stats.t.interval(confidence, len(values) - 1, loc=values.mean(), scale=stats.sem(values))


def by_rule_r(values: pd.Series, bound: float = 0) -> str:
    """Rule R: where the interval lies, against a bound that the claim says is exceeded."""
    low, high = interval(values)
    return "supported" if low > bound else "contradicted" if high < bound else "inconclusive"


def in_words(effect: float, low: float, high: float, digits: int = 2) -> str:
    """As pages print an effect: +0.23 [0.13, 0.33]."""
    return f"{effect:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def effect_in_words(values: pd.Series, digits: int = 2) -> str:
    return in_words(values.mean(), *interval(values), digits=digits)


def row_in_words(row: pd.Series, digits: int = 2) -> str:
    return in_words(row["effect"], row["low"], row["high"], digits=digits)


def norm_of(parts: pd.DataFrame) -> pd.Series:
    """Of all layers together, from the norm of each (a column for each)."""
    return np.sqrt((parts**2).sum(axis=1))
