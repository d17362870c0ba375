"""A second derivation of deep_start, from packed files alone, and what docs say of it."""

import numpy as np
import pandas as pd
import pytest
from derived import (
    by_rule_r,
    committed_claims,
    effect_in_words,
    interval,
    probed,
    stands,
    with_tables,
)

DEPTHS = (3, 5, 10, 20, 30, 50)


@pytest.fixture(scope="module")
def judged() -> pd.DataFrame:
    found = committed_claims()
    return found[found["sweep"] == "deep_start"].set_index("part")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return with_tables("deep_start")


def ranks(runs: pd.DataFrame, arm: str, depth: int) -> pd.Series:
    """Of the last hidden layer, by seed."""
    mine = runs[(runs["arm"] == arm) & (runs["layers"] == depth)]
    assert list(mine.index) == list(range(10))
    return probed(mine, "soft_rank", 0)[depth]


def slopes(runs: pd.DataFrame, arm: str, depth: int) -> pd.Series:
    """Of the log of the gradient's norm on the layers toward the input, by seed."""
    mine = runs[(runs["arm"] == arm) & (runs["layers"] == depth)]
    norms = probed(mine, "gradient_norm", 0)
    assert sorted(norms.columns) == list(range(1, depth + 1))
    logs = np.log(norms[range(1, depth + 1)])
    return logs.apply(lambda row: -np.polyfit(np.arange(depth), row, 1)[0], axis=1)


def test_every_part_is_that_of_a_second_derivation(runs, judged):
    for depth in DEPTHS:
        ratio = np.log2(ranks(runs, "batch", depth) / ranks(runs, "none", depth))
        for part, values in (("soft rank", ratio), ("gradient", slopes(runs, "batch", depth))):
            row = judged.loc[f"{depth} layers, {part}"]
            found = (values.mean(), *interval(values))
            assert (row["effect"], row["low"], row["high"]) == pytest.approx(found, rel=1e-6)
            assert row["n"] == 10
            assert row["verdict"] == by_rule_r(values) == "supported"
        beside = judged.loc[f"{depth} layers, gradient without BN"]
        assert beside["effect"] == pytest.approx(slopes(runs, "none", depth).mean(), abs=1e-9)
    whole, weaker = judged.loc[""], judged.loc["50 layers, soft rank"]
    assert weaker["p"] > judged.loc["50 layers, gradient", "p"]
    for column in ("effect", "low", "high", "p", "verdict"):
        assert whole[column] == weaker[column]


def test_what_docs_say_of_networks_at_their_start_is_what_the_runs_say(runs):
    with_bn, without = (slopes(runs, arm, 50) for arm in ("batch", "none"))
    ours, theirs = (ranks(runs, arm, 50).mean() for arm in ("batch", "none"))
    stands(
        f"fills {ours:.3g} directions with BN and {theirs:.3g} without",
        f"by a factor of {np.exp(with_bn.mean()):.2f} for each layer toward the input, log "
        f"{effect_in_words(with_bn, 3)}",
        f"without BN it stays, {effect_in_words(without, 3)}",
    )
    deepest = runs[runs["layers"] == 50]
    first = [
        probed(deepest[deepest["arm"] == arm], "soft_rank", 0)[1].mean()
        for arm in ("batch", "none")
    ]
    stands(f"it is {first[0]:.1f} with BN and {first[1]:.1f} without already")
    assert 1000 < np.exp(49 * with_bn.mean()) < 10_000  # thousands of times
