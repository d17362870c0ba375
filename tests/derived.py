"""What second derivations share: packed runs, intervals and verdicts by pandas and SciPy alone."""

import functools
import io
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT
from scipy import optimize, stats

COMMITTED = ROOT / "outputs" / "reference"
RAW_PAGE, WHY = (
    (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("results.md", "why.md")
)
PAGE = " ".join(f"{RAW_PAGE} {WHY}".split())  # what is told of the runs
FIRST_REPORT_SEED = 100
PRIMARY_PARTS = 30  # of sections A and W, also where they were not run
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast


def committed_claims() -> pd.DataFrame:
    """The table of verdicts as it was committed; text stays text where it is empty."""
    numbers = ("effect", "low", "high", "detectable", "null", "p", "p_holm")
    found = pd.read_csv(COMMITTED / "report" / "tables" / "claims.csv", keep_default_na=False)
    return found.assign(**{name: pd.to_numeric(found[name]) for name in numbers})


def table(row: dict[str, str | None], name: str) -> pd.DataFrame:
    """A run's table, put together from its columns; a cell may be empty."""
    columns = {
        key: (row[f"{name}:{key}"] or "").splitlines() for key in (row[name] or "").split(",")
    }
    return pd.read_csv(io.StringIO(pd.DataFrame(columns).to_csv(index=False)))


def of_sweep(
    sweep: str, tables: list[str] | None = None
) -> Iterator[tuple[dict[str, str | None], dict[str, Any]]]:
    """Of each run of a sweep its cells in the pack, what it was, and how it ended.

    `tables` names the columns of tables that are read, all of them if it is None.
    """
    columns = None if tables is None else ["config.yaml", "result.json", *tables]
    here = [("sweep", "==", sweep)]
    runs = pq.read_table(COMMITTED / "runs.parquet", columns=columns, filters=here)
    for packed in runs.to_pylist():
        config = yaml.load(packed["config.yaml"], LOADER)
        result = json.loads(packed["result.json"])
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
                "made": result["steps"],
                "seed": config["seed"],
                "validation": 0.1 if died else result["final_val_accuracy"],
                "test": 0.1 if died else result["test_accuracy"],
                "loss": result["test_loss"],
            },
        )


def error_of_mean(values: pd.Series, step: float = 0) -> float:
    """Of values known to a step of a grid alone, no less than that of two roundings to it."""
    rounding = math.sqrt(step**2 / 12 + step**2 / 12) / math.sqrt(len(values))
    return max(stats.sem(values), rounding)


def interval(values: pd.Series, confidence: float = 0.95, step: float = 0) -> tuple[float, float]:
    """Student's t; without width where all are alike and no grid says how coarse they are."""
    scale = error_of_mean(values, step)
    if (values.nunique() == 1 and not step) or not scale:
        return values.iloc[0], values.iloc[0]
    return stats.t.interval(confidence, len(values) - 1, loc=values.mean(), scale=scale)


def p_value(values: pd.Series, bound: float = 0, step: float = 0) -> float:
    """Two-sided, of Student's t; that of equal signs where there is no spread."""
    if values.nunique() == 1 and not step:
        return 2 * 0.5 ** len(values)
    t = (values.mean() - bound) / error_of_mean(values, step)
    return 2 * stats.t.sf(abs(t), len(values) - 1)


def by_rule_r(values: pd.Series, bound: float = 0, step: float = 0) -> str:
    """Rule R: where the interval lies, against a bound that the claim says is exceeded."""
    low, high = interval(values, step=step)
    return "supported" if low > bound else "contradicted" if high < bound else "inconclusive"


def sign_flip_p(values: pd.Series) -> float:
    """Share of all choices of signs whose sum is as far from 0."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= abs(values.sum()) * (1 - 1e-12)))


def detectable(values: pd.Series, step: float = 0) -> float:
    """With 80% power at 5%, two-sided."""
    freedom, limit = len(values) - 1, stats.t.ppf(0.975, len(values) - 1)
    shift = optimize.brentq(lambda shift: stats.nct.sf(limit, freedom, shift) - 0.8, 1, 10)
    return shift * error_of_mean(values, step)


def holm(claims: pd.DataFrame) -> pd.Series:
    """Corrected p-values of the primary parts that have one."""
    primary = claims.loc[claims["primary"].astype(bool) & claims["p"].notna(), "p"].sort_values()
    by_rank = primary * (PRIMARY_PARTS - np.arange(len(primary)))
    return by_rank.cummax().clip(upper=1)


def stands(*sentences: str) -> None:
    """On the page, minus signs as they are printed."""
    for sentence in sentences:
        assert re.sub(r"-(?=\d)", "−", sentence) in PAGE, sentence


def in_words(effect: float, low: float, high: float, digits: int = 2) -> str:
    """As pages print an effect: +0.23 [0.13, 0.33]."""
    return f"{effect:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def effect_in_words(values: pd.Series, digits: int = 2) -> str:
    return in_words(values.mean(), *interval(values), digits=digits)


def row_in_words(row: pd.Series, digits: int = 2) -> str:
    return in_words(row["effect"], row["low"], row["high"], digits=digits)


def judged(claims: pd.DataFrame, claim: str, part: str) -> pd.Series:
    return claims.set_index(["claim", "part"]).loc[(claim, part)]


def agrees(row: pd.Series, values: pd.Series, p: float, step: float = 0, bound: float = 0) -> None:
    """A part as it was judged, with a derived value for each seed and a derived p-value."""
    least = detectable(values, step)
    found = (values.mean(), *interval(values, step=step), least, p)
    told = tuple(row[["effect", "low", "high", "detectable", "p"]])
    assert told == pytest.approx(found, rel=1e-6, abs=1e-12)
    assert row["n"] == len(values) and not row["beside"]
    assert f", n = {len(values)}. " in row["sentence"]
    signs = (
        f"sign-flip p = {sign_flip_p(values - bound):.2g}{f' against {bound:g}' if bound else ''}"
    )
    assert f"Could have told {least:.2g} from {bound:g}; {signs}." in row["sentence"]


# --- runs with their tables


@functools.cache
def with_tables(sweep: str) -> pd.DataFrame:
    """A row for each run of a sweep with its tables, in the order of seeds."""
    rows = [
        row
        | {
            name: table(packed, f"{name}.csv") if packed[f"{name}.csv"] else None
            for name in ("history", "probes")
        }
        for packed, row in of_sweep(sweep)
    ]
    return pd.DataFrame(rows).set_index("seed").sort_index()


def setting(runs: pd.DataFrame, key: str) -> pd.Series:
    """What a dotted key had in each run; a group's name stands for its option."""
    group, _, name = key.partition(".")
    return runs["config"].map(lambda config: config[group].get(name or "kind"))


def probed(runs: pd.DataFrame, statistic: str, step: int) -> pd.DataFrame:
    """A row for each seed, a column for each layer."""

    def by_layer(probes: pd.DataFrame) -> pd.Series:
        here = probes[(probes["statistic"] == statistic) & (probes["step"] == step)]
        return here.set_index("layer")["value"]

    return pd.DataFrame({seed: by_layer(probes) for seed, probes in runs["probes"].items()}).T


def tuned(runs: pd.DataFrame, tuning_seeds: int = 2, report_seeds: int = 10) -> pd.DataFrame:
    """The report runs of one arm, at the rate with the best mean accuracy on validation."""
    scores = runs[runs.index < FIRST_REPORT_SEED].groupby("lr")["validation"]
    assert (scores.count() == tuning_seeds).all()
    best = scores.mean().idxmax()
    assert scores.mean().index.min() < best < scores.mean().index.max()  # not at an edge
    found = runs[(runs.index >= FIRST_REPORT_SEED) & (runs["lr"] == best)]
    assert list(found.index) == list(range(FIRST_REPORT_SEED, FIRST_REPORT_SEED + report_seeds))
    return found


def arms(runs: pd.DataFrame, key: str) -> dict[str, pd.DataFrame]:
    return {arm: tuned(runs[setting(runs, key) == arm]) for arm in setting(runs, key).unique()}


def population_loss(runs: pd.DataFrame, how: str, step: int) -> pd.Series:
    return runs["probes"].map(
        lambda one: one[(one["statistic"] == f"loss_{how}") & (one["step"] == step)]["value"].item()
    )


def norm_of(parts: pd.DataFrame) -> pd.Series:
    """Of all layers together, from the norm of each (a column for each)."""
    return np.sqrt((parts**2).sum(axis=1))


def path_length(runs: pd.DataFrame, statistic: str) -> pd.Series:
    """Of the last hidden layer's inputs, from step 1,000 on; not divided by a spread."""

    def length(probes: pd.DataFrame) -> float:
        late = probes[(probes["step"] > 1000) & (probes["layer"] == 3)]
        return late.loc[late["statistic"] == f"{statistic}_move", "value"].sum()

    return runs["probes"].map(length)


def points(more: pd.DataFrame, less: pd.DataFrame, name: str = "test") -> pd.Series:
    """Differences of accuracies by seed."""
    return 100 * (more[name] - less[name])
