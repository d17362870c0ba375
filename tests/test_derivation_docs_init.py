"""What docs/results.md says of init is what was judged."""

import pandas as pd
from derived import (
    FIRST_REPORT_SEED,
    committed_claims,
    effect_in_words,
    interval,
    of_sweep,
    points,
    row_in_words,
    sign_flip_p,
    stands,
)
from derived_init import SIGMAS, at_best_rate, begun, network, passing, range_of, range_over

OF_INIT = ["less-saturation", "init-robust"]
CLAIMS = committed_claims()
ROWS = CLAIMS[CLAIMS["claim"].isin(OF_INIT)].set_index(["claim", "part"])


def test_docs_have_every_primary_part():
    primary = ROWS[ROWS["primary"].astype(bool)]
    assert len(primary) == len(OF_INIT)
    for (claim, part), row in primary.iterrows():
        stands(f"| {claim}: {part} | {row_in_words(row)} points | {row['verdict_holm']} |")


# --- initial weights


NETWORKS = [(activation, arm) for activation in ("sigmoid", "relu") for arm in ("none", "batch")]
BEGINS = {"σ 0.005": 0.005, "σ 0.05": 0.05, "σ 0.5": 0.5, "σ 1": 1, "σ 5": 5}
BEGINS |= {"Glorot": "glorot", "He": "he"}


def percent(values: pd.Series) -> str:
    return f"{values.mean():.2%}"


def at(runs: pd.DataFrame, rate: float) -> pd.DataFrame:
    return runs[runs["lr"] == rate]


def test_what_is_told_of_initial_weights_is_what_was_judged():
    for name, weights in BEGINS.items():
        best = [at_best_rate(begun(network(*one), weights)) for one in NETWORKS]
        cells = [f"{percent(runs['validation'])} ({runs['lr'].iloc[0]:g})" for runs in best]
        stands(f"| {name} | {' | '.join(cells)} |")
    ranges = [f"{range_over(network(*one)).mean():.2f}" for one in NETWORKS]
    relu = row_in_words(ROWS.loc[("init-robust", "activation=relu, range")])
    pairs = [f"{passing(network(*one)).mean():.3g}" for one in NETWORKS]
    stands(
        f"sigmoids vary by {ranges[1]} points with BN and by {ranges[0]} without, ReLUs by "
        f"{ranges[3]} and {ranges[2]}, {relu}.",
        f"{pairs[1]} pass 90% with BN and {pairs[0]} without; of ReLUs {pairs[3]} and {pairs[2]}",
    )
    beyond = [at_best_rate(begun(network("sigmoid", arm), 0.05)) for arm in ("batch", "none")]
    shares = [f"{runs['share'].mean():.2f}%" for runs in beyond]
    growth = [f"{(runs['end'] - runs['start']).mean():.2f}" for runs in beyond]
    assert all((runs["start"] < 0.01).all() for runs in beyond)
    others = [
        ROWS.loc[("less-saturation", f"σ = {s}"), "effect"] for s in ("0.005", "0.5", "1", "5")
    ]
    stands(
        f"{shares[0]} of what enters the sigmoids lies beyond ±4 with BN, and {shares[1]} without",
        f"by {growth[0]} and by {growth[1]} points",
        f"+{others[0]:.2f}, +{others[1]:.2f}, +{others[2]:.2f} and +{others[3]:.2f}. All of this",
    )
    assert (ROWS.loc[OF_INIT, "verdict"] == "supported").all()
    gains = [
        points(
            *[at_best_rate(begun(network(activation, arm), weights)) for arm in ("batch", "none")],
            "validation",
        )
        for activation in ("sigmoid", "relu")
        for weights in ("glorot", "he")
    ]
    means = [values.mean() for values in gains]
    stands(
        f"ahead by {min(means):.2f} to {max(means):.2f} points (two of four intervals include 0)"
    )
    assert sorted(interval(values)[0] > 0 for values in gains) == [False, False, True, True]


def test_what_is_told_of_ranges_is_what_the_runs_say():
    def between(activation: str, sigmas: tuple[float, ...]) -> tuple[str, str, str]:
        none, batch = (range_over(network(activation, arm), sigmas) for arm in ("none", "batch"))
        return f"{none.mean():.2f}", f"{batch.mean():.2f}", effect_in_words(none - batch)

    most, middle = between("sigmoid", SIGMAS[:4]), between("sigmoid", (0.05, 0.5))
    relu = between("relu", (0.05, 0.5, 1))
    stands(
        f"vary by {most[0]} points without BN and by {most[1]} with it, {most[2]}, over 0.05 and "
        f"0.5 by {middle[0]} and {middle[1]}, {middle[2]}",
        f"ReLUs, over 0.05 to 1, vary by {relu[0]} and {relu[1]}, {relu[2]}, without BN at rates",
    )
    for sigma in (0.05, 0.5, 1):
        assert 0.0001 < at_best_rate(begun(network("relu", "none"), sigma))["lr"].iloc[0] < 3


def course(runs: pd.DataFrame) -> pd.DataFrame:
    """Validation accuracy, a row for each seed, a column for each 500 steps."""
    found = pd.DataFrame(runs["accuracy"].to_list(), dtype=float)
    return found.set_axis(range(500, 5001, 500), axis=1)


def test_what_is_told_of_relus_that_were_stopped_is_what_the_runs_say():
    none = network("relu", "none")
    small, large = (at_best_rate(begun(none, sigma)) for sigma in (0.005, 5))
    assert (small["lr"] == 0.3).all() and (large["lr"] == 0.0001).all()
    late, fallen = course(small), course(large)[500]
    assert late.loc[:, :3500].max(axis=None) < 0.12 and late[4000].max() > 0.4
    stands(
        f"and at {late[5000].min():.0%} to {late[5000].max():.0%} at step 5,000",
        f"is {fallen.mean():.1%} at step 500 and falls to {percent(large['validation'])}",
    )


def test_what_is_told_of_rates_at_the_edge_is_what_the_runs_say():
    none, batch = network("sigmoid", "none"), network("sigmoid", "batch")
    edges = [at_best_rate(begun(none, sigma))["lr"].iloc[0] == 3 for sigma in SIGMAS]
    assert edges == [True, True, True, True, False]
    fig1 = pd.DataFrame([row for _, row in of_sweep("fig1", [])])
    fig1 = fig1[(fig1["seed"] < FIRST_REPORT_SEED) & (fig1["schedule"] == "constant")]
    cells = fig1.groupby(["arm", "stddev", "lr", "steps"])["validation"]
    scores, seeds = cells.mean(), cells.count()
    for sigma in (0.05, 0.5):
        assert scores["none", sigma, 10, 10000] < 0.11 and seeds["none", sigma, 10, 10000] == 2
        assert scores["batch", sigma, 10, 10000] > 0.9
    found = {
        rate: " and ".join(f"{scores['batch', sigma, rate, 10000]:.2%}" for sigma in (0.05, 0.5))
        for rate in (3, 10)
    }
    rises = {
        sigma: [percent(at(begun(batch, sigma), rate)["validation"]) for rate in (1, 3)]
        for sigma in (1, 5)
    }
    late = [f"{scores['none', 0.05, 0.03, steps]:.2%}" for steps in (10000, 50000)]
    stands(
        f"BN has {found[10]} there, {found[3]} at 3",
        f"from {rises[1][0]} to {rises[1][1]} and from {rises[5][0]} to {rises[5][1]}",
        f"is at {late[0]} after 10,000 steps and at {late[1]} after 50,000",
    )


def test_what_is_told_of_pairs_that_pass_and_of_divergence_is_what_the_runs_say():
    none, batch = (
        (network("sigmoid", arm)["validation"] > 0.9)
        .groupby(
            [network("sigmoid", arm)[name] for name in ("weights", "stddev", "lr")], dropna=False
        )
        .sum()
        for arm in ("none", "batch")
    )
    assert set(none) == set(batch) == {0, 6} and (batch >= none).all()  # all seeds alike
    more = batch[batch > none].reset_index()
    low = 0
    for weights in BEGINS.values():
        mine = begun(network("sigmoid", "none"), weights)
        passed = mine.loc[mine["validation"] > 0.9, "lr"]
        assert passed.empty or passed.max() == 3
        low += (begun(more, weights)["lr"] < passed.min()).sum()
    sign = sign_flip_p(pd.Series([1.0] * 6))
    stands(
        f"Of the {len(more)} that BN has more, {len(begun(more, 5))} are at σ = 5 and {low} at "
        "rates below the lowest that pass without BN",
        f"(sign-flip p = {sign:.3f}, the least that six seeds can have)",
    )
    none, batch = network("relu", "none"), network("relu", "batch")
    died = none["status"] == "diverged"
    steps = none.loc[died, "made"].sort_values()
    low_none, low_batch = (runs["validation"] < 0.15 for runs in (none[~died], batch))
    ends = batch[low_batch]
    stands(
        f"Without BN {died.sum()} of {len(none)} runs with ReLUs did, {(steps <= 52).sum()} of "
        "them by step 52, and none with BN",
        f"another {low_none.sum()} end below 15% without BN, as do {low_batch.sum()} with it: "
        f"{len(at(ends, 0.0001))} at the lowest rate, and {len(at(begun(ends, 5), 3))} of six",
    )
    assert (steps == 52).any() and (batch["status"] == "finished").all()


def test_what_is_told_of_saturation_is_what_the_runs_say():
    none, batch = network("sigmoid", "none"), network("sigmoid", "batch")
    small = [begun(runs, 0.05) for runs in (none, batch)]
    apart = {
        rate: effect_in_words(at(small[0], rate)["share"] - at(small[1], rate)["share"])
        for rate in (3, 1, 0.3)
    }
    layers = [
        [f"{at_best_rate(runs)[f'end_{layer}'].mean():.1f}%" for layer in (1, 2, 3)]
        for runs in small
    ]
    starts = [f"{begun(none, sigma)['start'].mean():.1f}%" for sigma in (0.5, 1, 5)]
    for sigma in (0.5, 1, 5):
        best = at_best_rate(begun(none, sigma))
        assert best["start"].mean() > 0.45 * best["share"].mean()
    assert batch["start"].max() < 0.015
    stands(
        f"At equal rates it is {apart[3]} at 3, {apart[1]} at 1 and {apart[0.3]} at 0.3",
        f"{layers[0][0]} in the end, where the other two have {layers[0][1]} and {layers[0][2]} "
        f"(with BN {layers[1][0]}, {layers[1][1]} and {layers[1][2]})",
        f"{starts[0]}, {starts[1]} and {starts[2]} at step 0",
    )
    wide, high, low = at(begun(none, 1), 3), at(small[0], 3), at(small[0], 1)
    stuck = small[0][small[0]["lr"] <= 0.01]
    assert (stuck["validation"] < 0.12).all() and stuck["share"].max() < 0.005
    stands(
        f"With {wide['share'].mean():.2f}% beyond ±4 the baseline gets to "
        f"{percent(wide['validation'])} (σ = 1), and at σ = 0.05 to {percent(high['validation'])} "
        f"at 3 with {high['share'].mean():.2f}%, to {percent(low['validation'])} at 1 with "
        f"{low['share'].mean():.2f}%",
    )


def on_the_other_seeds(runs: pd.DataFrame) -> pd.Series:
    """Validation accuracy of each seed at the rate that is best on all but it."""
    scores = runs.set_index("lr", append=True)["validation"].unstack()
    return pd.Series(
        {seed: one[scores.drop(seed).mean().idxmax()] for seed, one in scores.iterrows()}
    )


def test_what_is_told_of_choosing_on_what_is_judged_is_what_the_runs_say():
    of = [[begun(network("sigmoid", arm), sigma) for sigma in SIGMAS] for arm in ("none", "batch")]
    none, batch = (range_of([on_the_other_seeds(runs) for runs in one]) for one in of)
    found = effect_in_words(none - batch)
    none, batch = (range_of([at_best_rate(runs)["test"] for runs in one]) for one in of)
    stands(f"`init-robust` is {found}, on test data {effect_in_words(none - batch)}")
