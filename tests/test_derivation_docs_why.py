"""What docs/why.md says of later work's claims is what was judged, and what the runs say."""

import re

import pandas as pd
import pytest
from derived import (
    FIRST_REPORT_SEED,
    WHY,
    committed_claims,
    effect_in_words,
    interval,
    of_sweep,
    row_in_words,
    stands,
    with_tables,
)

UNITS = {"percentage points": "points"}
CLAIMS = committed_claims()
ROWS = CLAIMS[CLAIMS["section"] == "W"].set_index(["claim", "part"])
SIGMOID, RELU = "activation=sigmoid", "activation=relu"


def numbers(claim: str, part: str, pattern: str) -> list[str]:
    """Those that a verdict's sentence has in the places of `#`."""
    found = re.search(pattern.replace("#", r"([\d.]+)"), ROWS.loc[(claim, part), "sentence"])
    assert found, pattern
    return list(found.groups())


def in_words(claim: str, part: str) -> str:
    return row_in_words(ROWS.loc[(claim, part)])


def factor(claim: str, part: str) -> float:
    return 2 ** ROWS.loc[(claim, part), "effect"]


def test_the_page_has_every_primary_part_that_was_judged_and_no_other():
    primary = ROWS[ROWS["primary"].astype(bool) & ROWS["effect"].notna()]
    wanted = []
    for (claim, part), row in primary.iterrows():
        name = f"{claim}: {part}" if part else claim
        effect = f"{row_in_words(row)} {UNITS.get(row['unit'], row['unit'])}"
        wanted.append(f"| {name} | {effect} | {row['verdict_holm']} |")
    table = WHY.partition("\nVerdicts are")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    shown = [" | ".join([claim, *row]) for claim, _, *row in rows]  # without what it is of
    assert shown[1:] == [re.sub(r"-(?=\d)", "−", line) for line in wanted]


# --- tuning, the learning rate


def test_what_is_told_of_tuning_and_of_large_rates_is_what_was_judged():
    accuracy = ROWS.loc[("survives-tuning", "accuracy")]
    stands(f"a tenth to a third of a point is left, {row_in_words(accuracy)}")
    early = CLAIMS.set_index(["claim", "part"]).loc[("faster-training", "tuned, 90%")]
    published = CLAIMS.set_index(["claim", "part"]).loc[("faster-training", "as published, 95%")]
    stands(f"BN takes {2 ** published['effect']:.1f} times fewer steps to 95%")
    stands(f"(to 90% more is left, {row_in_words(early)})")
    left = "Left of the mean gain: #%"
    [share] = numbers("large-rate-is-the-cause", "", left)
    stands(f"{share}% of the mean gain are left where both have what the baseline chose")
    part = "fig1, as published"
    [share] = numbers("large-rate-is-the-cause", part, left)
    stands(f"{share}% are left, which contradicts the claim there")
    assert ROWS.loc[("large-rate-is-the-cause", part), "verdict"] == "contradicted"
    rates = numbers(
        "large-rate-is-the-cause", part, "batch: optimizer.lr=#,.*none: optimizer.lr=#,"
    )
    stands(f"BN's own rate ({rates[0]}) is lower than the baseline's ({rates[1]})")


def test_what_is_told_of_seeds_of_deep_is_what_the_runs_say():
    runs = with_tables("deep")
    fresh = runs[runs.index >= FIRST_REPORT_SEED]
    cells = {key: one["test"] * 100 for key, one in fresh.groupby(["arm", "lr", "scale"])}
    none, kept, faster = cells["none", 0.03, 1], cells["batch", 0.03, 1], cells["batch", 0.15, 1]
    [best] = [one for (arm, _, scale), one in cells.items() if arm == "batch" and scale < 1]
    by_seed = ((best - none) / 2 - (kept - none)).sort_values()
    assert by_seed.mean() == pytest.approx(ROWS.loc[("large-rate-is-the-cause", ""), "effect"])
    stuck = none[by_seed.index[:2]]
    assert set(stuck.round(1)) == {25.6} and none.drop(stuck.index).min() > 37
    stands(
        f"give {by_seed.iloc[1]:.1f} and {by_seed.iloc[0]:.1f}, which speak against the claim, the "
        f"other four {by_seed.iloc[2]:+.1f} to {by_seed.iloc[-1]:+.1f}",
        f"has {effect_in_words(faster - kept).replace('+', '').replace(' ', ' points ', 1)} more",
    )


def test_what_is_told_of_the_effective_rate_is_what_was_judged():
    claim = "effective-learning-rate"
    fixed, free = numbers(claim, "without BN", "accuracy is #% with fixed norm and #% with L2")
    [own] = numbers(claim, "without BN, own rates", "accuracy is #% with fixed norm")
    stands(
        f"`effective_rate` ({len(with_tables('effective_rate'))} runs, 10,000 steps)",
        f"accuracy is the same, {in_words(claim, 'with BN')} points: equal",
        f"{fixed}% against {free}%, {in_words(claim, 'without BN')}, and {own}% where",
    )


# --- the landscape


def test_what_is_told_of_the_shift_is_what_was_judged():
    claim, runs = "shift-not-reduced", with_tables("landscape")
    shares = numbers(claim, SIGMOID, "by # of its norm with norm=batch and # with")
    same = f"{SIGMOID}, both at the rate of norm=none"
    of_relu = [f"{RELU}, both at the rate of norm={arm}" for arm in ("none", "batch")]
    rates = [numbers(claim, one, "norm=batch: optimizer.lr=#;")[0] for one in of_relu]
    each = [in_words(claim, one) for one in of_relu]
    verdicts = [ROWS.loc[(claim, one), "verdict"] for one in of_relu]
    stands(
        f"`landscape` ({len(runs)} runs, 5,000 steps)",
        f"by {shares[0]} of its norm with BN and by {shares[1]} without, log2 "
        f"{in_words(claim, SIGMOID)}; with both at the rate of 3 that the baseline chose it is "
        f"log2 {in_words(claim, same)}.",
        f"log2 {in_words(claim, RELU)}: above the −0.5",
        f"it is more, {each[0]} at {rates[0]} ({verdicts[0]}) and {each[1]} at {rates[1]} "
        f"({verdicts[1]})",
    )
    cosines = numbers(claim, f"{SIGMOID}, cosine", "is # with norm=batch and # with norm=none")
    stands(f"(cosine {cosines[0]} and {cosines[1]}); with ReLUs no difference could be told")
    assert ROWS.loc[(claim, f"{RELU}, cosine"), "verdict"] == "inconclusive"
    assert numbers(claim, same, "norm=none: optimizer.lr=#\\)") == ["3"]


def test_what_is_told_of_smoothness_is_what_was_judged():
    claim = "smoother-landscape"
    change, length = f"{SIGMOID}, gradient change", f"{SIGMOID}, smoothness"
    same = f"{SIGMOID}, both at the rate of norm=none, smoothness"
    rates = numbers(claim, change, "norm=batch: optimizer.lr=#; norm=none: optimizer.lr=#\\)")
    stands(
        f"{factor(claim, change):.2f} times as large without BN, log2 {in_words(claim, change)}, "
        f"though BN's rate is {rates[0]} and the other's {rates[1]}",
        f"over the length of the step {factor(claim, length):.1f} times, {in_words(claim, length)} "
        f"({factor(claim, same):.1f} times where both have a rate of 3)",
        f"larger *with* BN, log2 {in_words(claim, f'{SIGMOID}, range')}, and "
        f"{in_words(claim, f'{SIGMOID}, both at the rate of norm=none, range')} where both have a "
        "rate of 3. ReLUs say the same",
    )
    parts = [("range", "contradicted"), ("gradient change", "supported")]
    for part, verdict in [*parts, ("smoothness", "supported")]:
        assert ROWS.loc[(claim, f"{RELU}, {part}"), "verdict"] == verdict


def records(arm: str, rate: float) -> pd.DataFrame:
    """What the probe saw of sigmoids from step 500 on, a row a record."""
    runs = with_tables("landscape")
    sigmoids = runs["config"].map(lambda config: config["model"]["activation"]) == "sigmoid"
    chosen = runs[sigmoids & (runs["arm"] == arm) & (runs["lr"] == rate)]
    seen = pd.concat(chosen.loc[chosen.index >= FIRST_REPORT_SEED, "probes"].to_list())
    seen = seen[(seen["probe"] == "landscape") & (seen["step"] > 0)]
    found = seen.assign(record=seen.groupby("statistic").cumcount())
    return found.pivot(index=["record", "step"], columns="statistic", values="value").reset_index()


def test_where_the_loss_rises_along_the_gradient_is_what_the_probe_saw():
    batch, none = records("batch", 10), records("none", 3)
    assert len(batch) == len(none) == 100
    rises = [(seen["loss_high"] > seen["loss"]).mean() for seen in (batch, none)]
    stands(
        f"in {rises[1]:.0%} of all records from step 500 on without BN and in {rises[0]:.0%} with"
    )
    [highest] = numbers("smoother-landscape", f"{SIGMOID}, range", "training loss \\(# to")
    compared = [seen[seen["loss"] <= float(highest)] for seen in (batch, none)]
    assert all((seen["loss_high"] < seen["loss"]).all() and len(seen) > 70 for seen in compared)
    falls = [(1 - seen["loss_low"] / seen["loss"]).mean() for seen in compared]
    assert falls[0] > falls[1]


def test_what_is_told_of_the_hessian_is_what_was_judged():
    claim = "hessian-outliers"
    ratio, share, largest = (f"{SIGMOID}, {part}" for part in ("λ1/λ11", "gradient share", "λ1"))
    of_relu = [factor(claim, f"{RELU}, {part}") for part in ("λ1/λ11", "gradient share")]
    whole = ROWS.loc[(claim, SIGMOID)]
    stands(
        f"λ1/λ11 is {factor(claim, ratio):.2f} times as large without BN with sigmoids, log2 "
        f"{in_words(claim, ratio)}",
        f"directions {factor(claim, share):.2f} times, log2 {in_words(claim, share)}; with ReLUs "
        f"{of_relu[0]:.2f} and {of_relu[1]:.2f} times",
        f"(p = {whole['p']:.3f}, corrected {whole['p_holm']:.3f})",
        f"{factor(claim, largest):.1f} times as large without BN, log2 {in_words(claim, largest)}",
    )


# --- what else does it

SUBSTITUTES = {
    "Group Norm": ("Group Norm", "group"),
    "Layer Norm": ("Layer Norm", "layer"),
    "RMS Norm": ("RMS Norm", "rms"),
    "weight standardization": ("weight standardization", "standardization"),
    "SkipInit": ("SkipInit, with shortcuts", "skip_init"),
    "Fixup": ("Fixup, with shortcuts", "fixup"),
    "none": ("none", "none"),
}


def fresh(sweep: str) -> pd.DataFrame:
    """Its report runs with the settings of their networks as columns."""
    runs = pd.DataFrame([row for _, row in of_sweep(sweep, [])])
    models = pd.DataFrame([config["model"] for config in runs["config"]])
    models = models.reindex(columns=["activation", "skip", "skip_init", "fixup"])
    found = pd.concat([runs, models], axis="columns")
    return found[found["seed"] >= FIRST_REPORT_SEED]


def named(runs: pd.DataFrame) -> pd.Series:
    """Each run's arm, also of those that differ in their network."""
    return runs["arm"].mask(runs["skip_init"], "skip_init").mask(runs["fixup"], "fixup")


def by_arm(runs: pd.DataFrame) -> pd.Series:
    """Mean test accuracy of each substitute."""
    return runs["test"].groupby(named(runs)).mean()


def test_what_is_told_of_substitutes_is_what_was_judged_and_run():
    runs, others = fresh("substitutes"), fresh("substitutes_residual")
    dense, residual = by_arm(runs), by_arm(others)
    counts = [len(list(of_sweep(f"substitutes{name}", []))) for name in ("", "_residual")]
    stands(
        f"`substitutes` ({counts[0]} runs), they stand",
        f"against that of BN, {dense['batch']:.2%}; *equal* takes",
        f"`substitutes_residual` ({counts[1]} runs): 16 convolutions with shortcuts, all arms",
        f"1,000 steps, six seeds, against {residual['batch']:.2%} with BN",
    )
    for part, (name, arm) in SUBSTITUTES.items():
        cells = []
        for prefix, means in (("", dense), ("residual network, ", residual)):
            row = ROWS.loc[("not-unique", f"{prefix}{part}")]
            verdict = "" if row["beside"] else f" {row['verdict']}"
            cells.append(f"{means[arm]:.2%} | {row_in_words(row)} |{verdict} |")
            assert row["low"] > -0.6 or prefix
            assert row["high"] < -11 or not prefix or row["beside"]
        stands(f"| {name} | {' '.join(cells)}")
    chosen = runs.loc[runs["arm"] == "batch", "lr"].unique()
    assert [f"{rate:.2f}" for rate in chosen] == ["3.33"]
    accuracies = others.assign(arm=named(others)).pivot(index="seed", columns="arm", values="test")
    none = accuracies.pop("none")
    stands(f"whose six seeds have {none.min():.1%} to {none.max():.1%}")
    for arm in accuracies.drop(columns="batch"):  # could not be told from no norm
        low, high = interval(accuracies[arm] - none)
        assert low < 0 < high, arm


def test_what_is_told_of_fixup_is_what_the_runs_say():
    whole = pd.DataFrame([row for _, row in of_sweep("substitutes_residual", [])])
    mine = whole[[one["model"]["fixup"] for one in whole["config"]]].set_index("lr")
    high = mine[mine.index >= 0.1]
    assert (high["validation"].round(3) == 0.1).all() and set(high["seed"]) == {0}
    runs = pd.DataFrame([row for _, row in of_sweep("substitutes_fixup", [])])
    assert {one["model"]["fixup_rate"] for one in runs["config"]} == {0.1}
    tuning = runs[runs["seed"] < FIRST_REPORT_SEED].set_index("lr")["validation"]
    report = runs[runs["seed"] >= FIRST_REPORT_SEED]
    assert len(tuning) == 4 and len(report) == 6
    assert set(report["lr"]) == {tuning.idxmax()}
    stands(
        f"at the best of four rates on one seed, six seeds have {report['test'].mean():.2%} "
        f"(`substitutes_fixup` ({len(runs)} runs))"
    )


def test_what_is_told_of_shortcuts_is_what_was_judged_and_run():
    runs = fresh("skips")
    stands(f"`skips` ({len(list(of_sweep('skips', [])))} runs), nothing is normalized")
    means = runs.groupby(["layers", "activation", "skip"])["test"].mean().round(6)
    for activation, name in (("relu", "ReLUs"), ("sigmoid", "sigmoids")):
        for layers in (20, 50):
            ways = means[layers, activation]
            row = ROWS.loc[("skips-suffice", f"residual, {layers} layers of {activation}")]
            plain, residual, highway = (f"{ways[w]:.2%}" for w in ("none", "residual", "highway"))
            stands(
                f"| {layers} layers of {name} | {plain} | {residual} | {row_in_words(row)} | "
                f"{highway} |"
            )
    for layers in (20, 50):
        assert ROWS.loc[("skips-suffice", f"residual, {layers} layers of sigmoid"), "high"] < 1.5


def test_what_is_told_of_gates_is_what_the_runs_say():
    runs = fresh("skips_gate")
    gates = {config["model"]["gate_bias"] for config in runs["config"]}
    assert gates == {-4} and len(runs) == 24
    assert (runs.groupby("activation")[["lr", "scale"]].nunique() == 1).all(axis=None)
    means = runs.groupby(["activation", "layers"])["test"].mean()
    relu, sigmoid = (means[activation] for activation in ("relu", "sigmoid"))
    stands(
        f"50 layers of highways have {relu[50]:.2%} with ReLUs and {sigmoid[50]:.2%} with sigmoids "
        f"(20 layers {relu[20]:.2%} and {sigmoid[20]:.2%}; `skips_gate` ({len(runs)} runs)"
    )
