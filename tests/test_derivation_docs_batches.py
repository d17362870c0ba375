"""What docs say of batch_size is what its packed runs say."""

import pandas as pd
import pytest
from derived import (
    FIRST_REPORT_SEED,
    committed_claims,
    effect_in_words,
    interval,
    of_sweep,
    row_in_words,
    stands,
)

SIZES = (2, 4, 8, 16, 60)
CLAIMS = committed_claims()
ROWS = CLAIMS[CLAIMS["sweep"] == "batch_size"].set_index(["claim", "part"])


def arm_of(norm: dict) -> str:
    if norm["kind"] != "batch":
        return norm["kind"]
    special = {"renorm": norm["renorm"], "ghost": norm["ghost_size"]}
    special["exact"] = norm["population"] == "exact"
    return next((name for name, there in special.items() if there), "batch")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    rows = [row for _, row in of_sweep("batch_size", [])]
    return pd.DataFrame(rows).assign(
        arm=[arm_of(row["config"]["norm"]) for row in rows],
        size=[row["config"]["trainer"]["batch_size"] for row in rows],
    )


@pytest.fixture(scope="module")
def tests(runs) -> pd.DataFrame:
    """Test accuracy in percent, a row for each batch and report seed, a column for each arm."""
    fresh = runs[runs["seed"] >= FIRST_REPORT_SEED]
    found = fresh.pivot(index=["size", "seed"], columns="arm", values="test") * 100
    assert found.notna().all(axis=None) and len(found) == 10 * len(SIZES)
    return found


def rates(runs: pd.DataFrame, arm: str) -> dict[int, float]:
    """That each arm chose, by batch."""
    mine = runs[(runs["arm"] == arm) & (runs["seed"] >= FIRST_REPORT_SEED)]
    assert (mine.groupby("size")["lr"].nunique() == 1).all()
    return mine.groupby("size")["lr"].first().to_dict()


def test_the_table_is_that_of_the_report_seeds(runs):
    stands(f"`batch_size` ({len(runs)} runs) trains the paper's network")
    fresh = runs[runs["seed"] >= FIRST_REPORT_SEED]
    means = fresh.groupby(["size", "arm"])["test"].mean()
    for size in SIZES:
        arms = ("none", "batch", "renorm", "exact", "ghost", "group")
        row = " | ".join(f"{means[size, arm]:.2%}" for arm in arms)
        stands(f"| {size} | {row} |")


def test_slopes_are_those_that_were_judged():
    row = ROWS.loc[("small-batches", "")]
    assert row["verdict_holm"] == "supported"
    stands(f"| small-batches | {row_in_words(row)} points a doubling | supported |")
    assert "gains 1.42 points of test accuracy with" in row["sentence"]
    assert "and −0.13 with norm=none" in row["sentence"]
    others = {
        part.rpartition(".")[2]: row_in_words(one)
        for (claim, part), one in ROWS.iterrows()
        if claim == "small-batches"
    }
    stands(
        "gains BN 1.42 points and costs the network without it 0.13; without batches of 2 the "
        f"difference is {others['without batches of 2']}",
        f"Renorm loses less, {others['99 norm.renorm=true'.rpartition('.')[2]]} against",
        f"Group Norm no more than the network without a norm, {others['norm=group']}",
    )


def test_who_is_behind_the_network_without_bn_is_what_the_runs_say(runs, tests):
    behind = {
        arm: {
            size: (values.mean(), interval(values)[1] < 0)
            for size, values in tests[arm].sub(tests["none"]).groupby("size")
        }
        for arm in ("batch", "renorm")
    }
    assert [size for size in SIZES if behind["batch"][size][1]] == [2, 4, 8]
    assert [size for size in SIZES if behind["renorm"][size][1]] == [2]
    tuning = runs[(runs["arm"] == "batch") & (runs["size"] == 8) & (runs["seed"] < 100)]
    scores = tuning.groupby("lr")["validation"].mean()
    apart = scores[3] - scores[0.3]
    two, four, eight = (-behind["batch"][size][0] for size in (2, 4, 8))
    rate = rates(runs, "exact")[8]
    exact = tests["exact"].sub(tests["none"]).groupby("size").mean()[8]
    stands(
        f"behind the network without it, by {two:.2f} and {four:.2f} points, and renorm in batches "
        f"of 2, by {-behind['renorm'][2][0]:.2f} (at 4 no difference could be told, "
        f"{behind['renorm'][4][0]:.2f}).",
        f"behind by {eight:.2f} at a rate of 3, which it chose over 0.3 by {100 * apart:.2f} "
        f"points on the tuning seeds; with exact statistics, at {rate:g}, it is ahead by "
        f"{exact:.2f}.",
    )
    chosen = rates(runs, "batch")
    stands(f"BN's best rate is {chosen[2]:g} where it is {chosen[60]:g} in batches of 60")


def test_what_is_told_of_the_mismatch_is_what_the_runs_say(runs, tests):
    of = {size: tests.loc[size] for size in SIZES}
    gaps = {size: of[60]["batch"] - of[size]["batch"] for size in (2, 4)}
    words = {size: effect_in_words(gap) for size, gap in gaps.items()}
    won = {
        arm: [(of[size][arm] - of[size]["batch"]).mean() for size in (2, 4)]
        for arm in ("exact", "renorm")
    }
    stands(
        f"BN loses {words[2].replace('+', '').replace(' ', ' points ', 1)} in batches of 2, and "
        f"{words[4].replace('+', '')} in batches of 4",
        f"win back {won['exact'][0]:.2f} and {won['exact'][1]:.2f} points: less half of the gap, "
        f"{row_in_words(ROWS.loc[('batch-mismatch', 'exact statistics')])}. Renorm",
        f"wins back {won['renorm'][0]:.2f} and {won['renorm'][1]:.2f}, "
        f"{row_in_words(ROWS.loc[('batch-mismatch', 'renorm')])} above half",
        f"inside batches of 60 has {of[60]['ghost'].mean():.2f}%; in batches of 2 it has "
        f"{of[2]['batch'].mean():.2f}%",
        f"are {(of[8]['exact'] - of[8]['batch']).mean():.2f} points ahead, at a tenth",
    )
    assert rates(runs, "batch")[8] == 10 * rates(runs, "exact")[8]
