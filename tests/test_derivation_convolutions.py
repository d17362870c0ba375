"""A second derivation of lrn and deep_sigmoid, from docs/claims.md and the packed runs alone."""

import pandas as pd
import pytest
from conftest import ROOT
from derived import (
    FIRST_REPORT_SEED,
    committed_claims,
    effect_in_words,
    interval,
    of_sweep,
    points,
    row_in_words,
    setting,
    stands,
)
from derived_trial import Question, differing, grid_of, play, report, tuning_runs
from derived_trials import Part, check_holm, check_row
from scipy import stats

SEEDS, ARMS = 6, ("none", "batch")
LRN_MARGIN, LEAD, STUCK = 0.5, 20, 0.15
LRN_PARTS = {"with BN": "batch", "without BN": "none"}


def read(sweep: str) -> pd.DataFrame:
    return pd.DataFrame([row for _, row in of_sweep(sweep, [])])


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


def of(claims: pd.DataFrame, sweep: str) -> pd.DataFrame:
    return claims[claims["sweep"] == sweep].set_index("part")


# --- lrn: a rate for each of four arms, on one tuning seed


@pytest.fixture(scope="module")
def lrn() -> pd.DataFrame:
    """The arm is its norm, and whether it has LRN."""
    found = read("lrn")
    return found.assign(norm=found["arm"], lrn=setting(found, "model.lrn"))


@pytest.fixture(scope="module")
def lrn_reports(lrn) -> dict[tuple[str, bool], pd.DataFrame]:
    found = {}
    groups = dict(list(lrn.groupby(["norm", "lrn"])))
    named = pd.concat([one.assign(arm=str(key)) for key, one in groups.items()])
    asked = {key: Question(str(key)) for key in groups}
    chosen, grid, made = play(named, grid_of("lrn"), asked)
    assert tuning_runs(named, grid) == made
    for key, (rate,) in chosen.items():
        found[key] = report(named, str(key), SEEDS, lr=rate)
    assert len(named) == len(made) + SEEDS * len(groups)
    return found


def test_lrn_ran_what_the_preset_asks_for(lrn, lrn_reports):
    assert set(lrn_reports) == {(norm, with_lrn) for norm in ARMS for with_lrn in (False, True)}
    assert differing(lrn.assign(arm=lrn["norm"]), "lrn") == []
    assert set(lrn["status"]) <= {"finished", "diverged"}


@pytest.fixture(scope="module")
def without_lrn(lrn_reports) -> dict[str, pd.Series]:
    """Test accuracy without LRN less that with it, by part."""
    return {
        part: points(lrn_reports[norm, False], lrn_reports[norm, True])
        for part, norm in LRN_PARTS.items()
    }


def no_worse(values: pd.Series) -> str:
    """By a 90% interval against one margin."""
    low, high = stats.t.interval(0.9, len(values) - 1, values.mean(), stats.sem(values))
    return (
        "supported"
        if low > -LRN_MARGIN
        else "contradicted"
        if high < -LRN_MARGIN
        else "inconclusive"
    )


@pytest.mark.parametrize("part", LRN_PARTS)
def test_no_lrn_is_that_of_a_second_derivation(without_lrn, lrn_reports, claims, part):
    row, values = of(claims, "lrn").loc[part], without_lrn[part]
    told = tuple(row[["effect", "low", "high"]])
    low, high = stats.t.interval(0.95, SEEDS - 1, values.mean(), stats.sem(values))
    assert told == pytest.approx((values.mean(), low, high), rel=1e-6)
    p = stats.ttest_1samp(values, -LRN_MARGIN, alternative="greater").pvalue
    assert row["p"] == pytest.approx(p, rel=1e-6)
    assert row["n"] == len(values) == SEEDS and row["verdict"] == no_worse(values)
    assert row["primary"] == (part == "with BN") and not row["beside"]
    for with_lrn in (False, True):
        mean = lrn_reports[LRN_PARTS[part], with_lrn]["test"].mean()
        assert f"{100 * mean:.2f}%" in row["sentence"]


def test_what_docs_say_of_lrn_is_what_the_runs_say(lrn, lrn_reports, without_lrn, claims):
    for part, norm in LRN_PARTS.items():
        told = [
            f"{found['test'].mean():.2%} ({found['lr'].iloc[0]:g})"
            for found in (lrn_reports[norm, False], lrn_reports[norm, True])
        ]
        row = of(claims, "lrn").loc[part]
        stands(f"| {part} | {' | '.join(told)} | {row_in_words(row)} |")
    low, high = interval(without_lrn["with BN"], 0.9)
    stands(f"its 90% interval, [{low:.2f}, {high:.2f}], lies below 0 and across the margin")
    less = without_lrn["with BN"] - without_lrn["without BN"]
    gained = points(lrn_reports["batch", False], lrn_reports["none", False])
    stands(
        f"the one difference less the other is {effect_in_words(less)}",
        f"no gain of BN itself could be told here, {effect_in_words(gained)} points without LRN",
    )
    epochs = lrn["config"].map(lambda one: one["trainer"]["batch_size"] * one["trainer"]["steps"])
    assert set((epochs / 47_500).round(1)) == {2.0}


# --- deep_sigmoid: rate and scale of the weights, the worse half dropped after one seed


@pytest.fixture(scope="module")
def sigmoids() -> pd.DataFrame:
    return read("deep_sigmoid")


@pytest.fixture(scope="module")
def sigmoid_reports(sigmoids) -> dict[str, pd.DataFrame]:
    asked = {arm: Question(arm, halving=True) for arm in ARMS}
    chosen, grid, made = play(sigmoids, grid_of("deep_sigmoid"), asked)
    assert tuning_runs(sigmoids, grid) == made
    assert len(sigmoids) == len(made) + SEEDS * len(ARMS)
    return {
        arm: report(sigmoids, arm, SEEDS, **dict(zip(grid, cell, strict=True)))
        for arm, cell in chosen.items()
    }


def test_deep_sigmoid_ran_what_the_preset_asks_for(sigmoids):
    assert differing(sigmoids, "deep_sigmoid") == []
    assert set(sigmoids["status"]) <= {"finished", "diverged"}


@pytest.fixture(scope="module")
def cells(sigmoids) -> pd.Series:
    """Of each combination without BN the mean validation accuracy of its tuning seeds."""
    tuning = sigmoids[(sigmoids["arm"] == "none") & (sigmoids["seed"] < FIRST_REPORT_SEED)]
    return tuning.groupby(["lr", "scale"])["validation"].mean()


def test_saturating_nonlinearities_are_those_of_a_second_derivation(sigmoid_reports, cells, claims):
    part = Part(points(sigmoid_reports["batch"], sigmoid_reports["none"]), bound=LEAD)
    learning = int((cells > STUCK + 1e-9).sum())
    assert not learning and sigmoid_reports["none"]["test"].mean() <= STUCK  # else contradicted
    row = of(claims, "deep_sigmoid").loc[""]
    check_row(row, part)
    assert row["primary"] and row["n"] == SEEDS and row["null"] == LEAD
    told = f"passes 15% in {learning} of {len(cells)} combinations"
    assert told in row["sentence"]


# --- both


@pytest.mark.parametrize("sweep", ["lrn", "deep_sigmoid"])
def test_the_primary_verdict_after_holm_is_that_of_a_second_derivation(claims, sweep):
    assert len(check_holm(claims, sweep)) == 1


@pytest.mark.parametrize("sweep", ["lrn", "deep_sigmoid"])
def test_what_docs_say_of_both_is_what_was_judged(claims, sweep):
    stands(f"`{sweep}` ({len(read(sweep))} runs")
    for _, row in of(claims, sweep).iterrows():
        stands(row_in_words(row))


def test_what_docs_say_of_larger_weights_without_bn_is_what_the_runs_say():
    runs = read("deep_sigmoid_scale")
    assert set(runs["arm"]) == {"none"} and set(runs["seed"]) == {0} and len(runs) == 8
    best = runs.loc[runs.groupby("scale")["test"].idxmax()].set_index("scale")
    first, second = (best.loc[scale] for scale in (8, 16))
    stands(
        f"the baseline has {first['test']:.2%} at a scale of 8 (rate {first['lr']:g}) and "
        f"{second['test']:.2%} at 16 (rate {second['lr']:g};"
    )
    tuned = read("deep_sigmoid")["scale"].max()
    assert (
        f"initial weights {8 / tuned:.1f} and {16 / tuned:.1f} times the largest of that, the "
        f"network without BN begins to train ({first['test']:.0%} and {second['test']:.0%}, one "
        "seed)"
    ) in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
