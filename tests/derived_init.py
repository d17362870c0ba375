"""What the second derivation of `init` and the test of its docs share: its grid, read at one go."""

import functools

import pandas as pd
from derived import of_sweep, setting

SIGMAS = (0.005, 0.05, 0.5, 1, 5)
ACCURACY = "history.csv:val_accuracy"
PROBES = [f"probes.csv:{column}" for column in ("step", "layer", "statistic", "value")]


def beyond(packed: dict[str, str | None]) -> dict[tuple[int, int], float]:
    """Share of a nonlinearity's inputs above 4 in absolute value, in points, by step and layer."""
    cells = zip(*[(packed[column] or "").splitlines() for column in PROBES], strict=True)
    return {
        (int(step), int(layer)): 100 * float(value)
        for step, layer, statistic, value in cells
        if statistic == "saturation"
    }


@functools.cache
def grid() -> pd.DataFrame:
    """A row for each run, in the order of seeds.

    `share` is the mean of what lies beyond ±4 over layers and training, `start` and `end` are the
    means over layers at the first and the last step, `end_1` to `end_3` the layers one by one.
    `accuracy` has validation accuracy every 500 steps.
    """
    found = [
        (row | {"accuracy": packed[ACCURACY].splitlines()}, beyond(packed))
        for packed, row in of_sweep("init", [ACCURACY, *PROBES])
    ]
    runs, shares = (pd.DataFrame(list(part)) for part in zip(*found, strict=True))
    shares.columns = pd.MultiIndex.from_tuples(shares.columns)
    runs["share"] = shares.mean(axis=1)
    runs["start"], runs["end"] = (shares[step].mean(axis=1) for step in (0, 5000))
    for layer in (1, 2, 3):
        runs[f"end_{layer}"] = shares[5000, layer]
    runs["weights"], runs["activation"] = setting(runs, "init"), setting(runs, "model.activation")
    return runs.set_index("seed").sort_index()


def network(activation: str, arm: str) -> pd.DataFrame:
    runs = grid()
    return runs[(runs["activation"] == activation) & (runs["arm"] == arm)]


def begun(runs: pd.DataFrame, weights: str | float) -> pd.DataFrame:
    """With these initial weights: the σ of a Gaussian, or what the weights are called."""
    if isinstance(weights, str):
        return runs[runs["weights"] == weights]
    return runs[(runs["weights"] == "gaussian") & (runs["stddev"] == weights)]


def at_best_rate(runs: pd.DataFrame) -> pd.DataFrame:
    """Those at the rate with the best mean accuracy on validation."""
    return runs[runs["lr"] == runs.groupby("lr")["validation"].mean().idxmax()]


def range_over(runs: pd.DataFrame, sigmas: tuple[float, ...] = SIGMAS) -> pd.Series:
    """Of the validation accuracy at the best rate of each σ."""
    return range_of([at_best_rate(begun(runs, sigma))["validation"] for sigma in sigmas])


def range_of(accuracies: list[pd.Series]) -> pd.Series:
    """By seed, in points."""
    found = 100 * pd.concat(accuracies, axis=1)
    return found.max(axis=1) - found.min(axis=1)


def passing(runs: pd.DataFrame) -> pd.Series:
    """By seed, how many pairs of initial weights and rate pass 90%."""
    return (runs["validation"] > 0.9).groupby(level=0).sum().astype(float)
