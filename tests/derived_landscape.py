"""What `landscape` was judged by, from its probes: at matched loss, and by layers and steps."""

import numpy as np
import pandas as pd

LOSSES = 20


def recorded(probes: pd.DataFrame, probe: str) -> pd.DataFrame:
    """Of a network as a whole: a row for each step, without step 0."""
    here = probes[(probes["probe"] == probe) & probes["layer"].isna() & (probes["step"] > 0)]
    return here.pivot(index="step", columns="statistic", values="value")


def measures(probes: pd.DataFrame) -> dict[tuple[str, str], tuple[pd.Series, pd.Series]]:
    """By claim and part: the loss and the measure at each step."""
    along, curved = recorded(probes, "landscape"), recorded(probes, "hessian")
    return {
        ("smoother-landscape", "range"): (along["loss"], along["loss_high"] - along["loss_low"]),
        ("smoother-landscape", "gradient change"): (along["loss"], along["gradient_change"]),
        ("smoother-landscape", "smoothness"): (along["loss"], along["smoothness"]),
        ("hessian-outliers", "λ1/λ11"): (
            curved["loss"],
            curved["eigenvalue_1"] / curved["eigenvalue_11"],
        ),
        ("hessian-outliers", "gradient share"): (curved["loss"], curved["gradient_share"]),
        ("hessian-outliers", "λ1"): (curved["loss"], curved["eigenvalue_1"]),
    }


def descent(loss: pd.Series, measure: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Where the loss is below all before it: log of the loss, rising, and log2 of the measure."""
    assert (measure > 0).all()
    lower = loss < loss.cummin().shift(fill_value=np.inf)
    return np.log(loss[lower])[::-1].to_numpy(), np.log2(measure[lower])[::-1].to_numpy()


def in_common(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """By claim and part, for each seed whose runs pass a loss in common.

    `ratio` is the mean of log2 ours/theirs over losses, `first` and `last` are the ends of these.
    """
    found = {}
    for seed in ours.index:
        mine, other = (measures(one.loc[seed, "probes"]) for one in (ours, theirs))
        for part in mine:
            (x, y), (u, v) = descent(*mine[part]), descent(*other[part])
            last, first = max(x[0], u[0]), min(x[-1], u[-1])
            seeds = found.setdefault(part, {})
            if last < first:
                at = np.linspace(last, first, LOSSES)
                ratio = np.mean(np.interp(at, x, y) - np.interp(at, u, v))
                seeds[seed] = {"ratio": ratio, "first": np.exp(first), "last": np.exp(last)}
    columns = ["ratio", "first", "last"]
    return {
        part: pd.DataFrame.from_dict(seeds, orient="index", columns=columns)
        for part, seeds in found.items()
    }


def largest_residual(runs: pd.DataFrame) -> float:
    return max(recorded(one, "hessian")["residual"].max() for one in runs["probes"])


def by_layer(runs: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """A row for each seed, a column for each layer from the second on and step from 500 on."""

    def one(probes: pd.DataFrame) -> pd.Series:
        here = probes[(probes["statistic"] == statistic) & (probes["step"] > 0)]
        return here.set_index(["layer", "step"])["value"]

    found = pd.DataFrame({seed: one(probes) for seed, probes in runs["probes"].items()}).T
    assert sorted(found.columns) == [(n, k) for n in (2, 3, 4) for k in range(500, 5001, 500)]
    return found


def change_by_layer(runs: pd.DataFrame) -> pd.DataFrame:
    """log2 ‖G − G′‖ / ‖G‖; a gradient that does not change at all has none."""
    change = by_layer(runs, "change")
    return np.log2(change[change > 0])


def shift(batch: pd.DataFrame, none: pd.DataFrame) -> pd.DataFrame:
    """log2 BN/none, by seed, layer and step."""
    return change_by_layer(batch) - change_by_layer(none)


def cosine(runs: pd.DataFrame) -> pd.Series:
    return by_layer(runs, "cosine").mean(axis=1)
