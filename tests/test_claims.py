"""Every claim gives each of its verdicts where the runs say so; two seeds are never enough."""

import itertools

import numpy as np
import pytest
from synthetic import noise, rising, run, runs

from bnexp.analysis.claims import mechanism, recipe, robustness
from bnexp.analysis.claims.judge import all_claims, judge
from bnexp.analysis.claims.model import NOT_RUN, Claim, Finding, Judgement
from bnexp.analysis.claims.table import claims_table
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
)
from bnexp.folders.runs import DIVERGED

ARMS = ("none", "batch")
BY_ID = {claim.id: claim for claim in all_claims()}
VERDICT = {1: SUPPORTED, -1: CONTRADICTED, 0: INCONCLUSIVE}


def advantage(arm: str, sign: int, size: float) -> float:
    """What an arm is better by, if BN is to be better (1), worse (-1) or as good (0)."""
    return sign * size / 2 * (1 if arm == "batch" else -1)


def higher_accuracy(sign: int, seeds: int):
    for arm, lr, seed in itertools.product(ARMS, (0.1, 1.0), range(seeds)):
        final = 0.9 + advantage(arm, sign, 0.04) + 0.002 * noise(arm, seed) - 0.05 * (lr == 0.1)
        yield run({"norm.kind": arm, "optimizer.lr": lr}, rising(final), seed=seed, sweep="fig1")


def faster_training(sign: int, seeds: int):
    for arm, lr, seed in itertools.product(ARMS, (0.1, 1.0), range(seeds)):
        steps = 12 - 8 * advantage(arm, sign, 1) + 2 * noise(arm, seed) + 5 * (lr == 0.1)
        curve = np.clip(0.98 * np.arange(1, 31) / steps, 0, 0.98)
        yield run({"norm.kind": arm, "optimizer.lr": lr}, list(curve), seed=seed, sweep="fig1")


def activations(arm: str, sign: int, seed: int):
    move = 0.1 * 2 ** (-2 * advantage(arm, sign, 1) + 0.2 * noise(arm, seed))
    for step, layer in itertools.product(range(0, 3001, 500), "123"):
        for statistic in ("median_move", "spread_move"):
            yield step, "activations", layer, statistic, move
        yield step, "activations", layer, "spread", 2.0


def stable_inputs(sign: int, seeds: int):
    for arm, seed in itertools.product(ARMS, range(seeds)):
        probes = activations(arm, sign, seed)
        yield run({"norm.kind": arm}, rising(0.9), seed=seed, sweep="fig1", probes=probes)


def less_saturation(sign: int, seeds: int):
    for arm, stddev, seed in itertools.product(ARMS, (0.05, 5.0), range(seeds)):
        share = 0.4 - advantage(arm, sign, 0.4) + 0.01 * noise(arm, seed)
        probes = [
            (step, "activations", layer, "saturation", share)
            for step in (0, 900)
            for layer in "123"
        ]
        config = {"norm.kind": arm, "init.stddev": stddev}
        yield run(config, rising(0.9), seed=seed, sweep="init", probes=probes)


def higher_learning_rate(sign: int, seeds: int):
    for arm, k, seed in itertools.product(ARMS, range(-4, 5), range(seeds)):
        largest = round(2 * advantage(arm, sign, 2) + noise(arm, seed))
        trains = k <= largest
        config = {"norm.kind": arm, "optimizer.lr": 2.0**k}
        if k == 4 and not trains:
            yield run(config, [], seed=seed, sweep="learning_rate", status=DIVERGED)
        else:
            losses = [2.3, 0.2 if trains else 2.2]
            yield run(config, [0.1, 0.9], seed=seed, sweep="learning_rate", losses=losses)


def init_robust(sign: int, seeds: int):
    cells = itertools.product(ARMS, (0.005, 0.05, 5.0), (0.1, 1.0), range(seeds))
    for arm, stddev, lr, seed in cells:
        loss = (stddev != 0.05) * (0.17 - advantage(arm, sign, 0.3)) - 0.02 * noise(arm, seed)
        config = {"norm.kind": arm, "init.stddev": stddev, "optimizer.lr": lr}
        if not sign:  # other cells pass with other seeds
            loss = 0.2 * ((seed + int(lr) + (arm == "batch")) % 2) - 0.02 * noise(arm, seed)
        yield run(config, rising(0.95 - loss), seed=seed, sweep="init")


def depth(sign: int, seeds: int):
    finals = {1: {"none": 0.11, "batch": 0.95}, -1: {"none": 0.96, "batch": 0.94}}
    finals[0] = {"none": 0.5, "batch": 0.6}
    for arm, layers, seed in itertools.product(ARMS, (3, 8), range(seeds)):
        shallow = {"none": 0.95, "batch": 0.96}[arm]
        final = (shallow if layers == 3 else finals[sign][arm]) + 0.001 * noise(arm, seed)
        config = {"norm.kind": arm, "model.hidden": "-".join(["100"] * layers)}
        yield run(config, rising(final), seed=seed, sweep="depth")


def sigmoid_cnn(sign: int, seeds: int):
    for one in higher_accuracy(sign, seeds):
        one["row"] |= {"sweep": "activation", "model.kind": "cnn"}
        yield one


def fewer_steps(sign: int, seeds: int):
    """The baseline passes its maximum of .9 at step 2,000 or so; BN far earlier, or later."""
    for arm, factor, seed in itertools.product(ARMS, (1, 5, 30), range(seeds)):
        steps = {1: 20, -1: 12, 0: 12}[sign] + 2 * noise("none", seed)
        final = 0.9
        if arm == "batch":
            steps /= 2 ** {1: 2, -1: 0, 0: 1}[sign] * 2 ** (0.2 * noise(arm, seed))
            final = 0.905 if factor < 30 else 0.9 + 0.02 * sign + 0.003 * noise(arm, seed)
        elif factor > 1:
            final = 0.5
        curve = list(np.clip(final * np.arange(1, 31) / steps, 0, final))
        config = {"norm.kind": arm, "optimizer.lr": 0.1 * factor}
        yield run(config, curve, seed=seed, sweep="fewer_steps")


def regularizes(sign: int, seeds: int):
    for arm, dropout, seed in itertools.product(ARMS, (0.0, 0.5), range(seeds)):
        final = 0.9 - 0.002 * (dropout == 0) + 0.002 * noise("none" if dropout else arm, seed)
        final += 0.02 * sign * (dropout == 0)
        gap = 0.3 - advantage(arm, sign, 0.2) + 0.02 * noise(arm, seed)
        train = [1.0, 0.5, 0.1]
        yield run(
            {"norm.kind": arm, "model.dropout": dropout},
            [0.3, 0.6, final],
            seed=seed,
            sweep="regularization",
            losses=[value + gap for value in train],
            train_losses=train,
        )


def shuffling(sign: int, seeds: int):
    for arm, reshuffle, seed in itertools.product(ARMS, (False, True), range(seeds)):
        gain = reshuffle * (0.01 + advantage(arm, sign, 0.01) + 0.001 * noise(arm, seed))
        config = {"norm.kind": arm, "trainer.reshuffle": reshuffle}
        yield run(config, rising(0.9 + gain), seed=seed, sweep="shuffling")


def weight_decay(sign: int, seeds: int):
    for l2, every, seed in itertools.product((0.0, 1e-4, 5e-4), (600, 100), range(seeds)):
        final = 0.9 + 0.01 * sign * (l2 == 1e-4) + 0.01 * sign * (every == 100)
        final += 0.002 * noise("batch" if l2 == 1e-4 else "none", (seed + every // 600) % 5)
        config = {
            "norm.kind": "batch",
            "optimizer.weight_decay": l2,
            "schedule.rate": 0.9,
            "schedule.every": every,
        }
        yield run(config, rising(final), seed=seed, sweep="weight_decay")


def small_batches(sign: int, seeds: int):
    for arm, size, seed in itertools.product(ARMS, (2, 16, 256), range(seeds)):
        slope = 0.004 + advantage(arm, sign, 0.004) + 0.0005 * noise(arm, seed)
        config = {"norm.kind": arm, "trainer.batch_size": size, "trainer.steps": 3000 * 60 // size}
        yield run(config, rising(0.9 + slope * np.log2(size)), seed=seed, sweep="batch_size")


def weight_scale(sign: int, seeds: int):
    exponents = {1: -1.0, -1: -0.5, 0: -1.03}
    for arm, scale, seed in itertools.product(ARMS, (1.0, 10.0, 100.0), range(seeds)):
        exponent = exponents[sign] + (0.01 if sign else 0.05) * noise("none", seed)
        probes = [
            (0, "gradients", layer, statistic, value)
            for layer in "123"
            for statistic, value in (("weight_norm", scale), ("gradient_norm", scale**exponent))
        ]
        config = {"norm.kind": arm, "init.scale": scale}
        yield run(config, rising(0.9), seed=seed, sweep="weight_scale", probes=probes)


def outside_gradient(sign: int, seeds: int):
    for gradient, seed in itertools.product(("full", "no_mean", "none"), range(seeds)):
        arm = "none" if gradient == "full" else "batch"
        growth = 2 + advantage(arm, sign, 3) + 0.3 * noise(arm, seed)
        probes = [
            (step, "gradients", layer, f"{norm}_norm", 1 + growth * step / 3000)
            for step in (0, 3000)
            for layer in "123"
            for norm in ("bias", "weight")
        ]
        config = {"norm.kind": "batch", "norm.gradient": gradient}
        yield run(config, rising(0.9), seed=seed, sweep="outside_gradient", probes=probes)


def position(sign: int, seeds: int):
    for place, seed in itertools.product(("pre", "post"), range(seeds)):
        arm = "batch" if place == "pre" else "none"
        final = 0.9 + advantage(arm, sign, 0.02) + 0.002 * noise(arm, seed)
        config = {"norm.kind": "batch", "norm.position": place}
        probes = activations(arm, sign, seed)
        yield run(config, rising(final), seed=seed, sweep="position", probes=probes)


def momentum(sign: int, seeds: int):
    for decay, seed in itertools.product((0.5, 0.9, 0.999), range(seeds)):
        arm = "batch" if decay == 0.999 else "none"
        gap = 0.5 + advantage(arm, sign, 0.6) + 0.05 * noise(arm, seed)
        probes = [
            (step, "population", "", statistic, value)
            for step in (0, 50, 500, 3000)
            for statistic, value in (
                ("loss_batch", 0.4),
                ("loss_population", 0.4 + gap if 0 < step <= 500 else 9.0),
            )
        ]
        config = {"norm.kind": "batch", "norm.momentum": decay}
        yield run(config, rising(0.9), seed=seed, sweep="momentum", probes=probes)


def jacobian(sign: int, seeds: int):
    for arm, seed in itertools.product(ARMS, range(seeds)):
        distance = 2 ** (-2 * advantage(arm, sign, 1) + 0.2 * noise(arm, seed))
        probes = [
            (step, "jacobian", layer, statistic, distance)
            for step in (0, 1000, 3000)
            for layer in "23"
            for statistic in ("median_abs_log", "condition")
        ]
        yield run({"norm.kind": arm}, rising(0.9), seed=seed, sweep="jacobian", probes=probes)


SCENARIOS = {
    "higher-accuracy": higher_accuracy,
    "faster-training": faster_training,
    "stable-inputs": stable_inputs,
    "less-saturation": less_saturation,
    "higher-learning-rate": higher_learning_rate,
    "init-robust": init_robust,
    "saturating-nonlinearities": depth,
    "sigmoid-cnn": sigmoid_cnn,
    "fewer-steps": fewer_steps,
    "regularizes": regularizes,
    "shuffling-helps": shuffling,
    "less-l2-faster-decay": weight_decay,
    "small-batches": small_batches,
    "large-weights-small-gradients": weight_scale,
    "normalize-inside-gradient": outside_gradient,
    "before-nonlinearity": position,
    "moving-average-lag": momentum,
    "jacobian": jacobian,
}


def findings(claim: str, sign: int, seeds: int = 5) -> list[Finding]:
    return list(BY_ID[claim].judge(runs(list(SCENARIOS[claim](sign, seeds)))))


def verdicts(claim: str, sign: int, seeds: int = 5) -> set[str]:
    judged = [finding for finding in findings(claim, sign, seeds) if not finding.beside]
    assert judged
    return {finding.verdict for finding in judged}


def test_every_claim_has_a_scenario():
    assert list(SCENARIOS) == list(BY_ID)


@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("claim", SCENARIOS)
def test_verdict(claim: str, sign: int):
    assert verdicts(claim, sign) == {VERDICT[sign]}


@pytest.mark.parametrize("claim", SCENARIOS)
def test_two_seeds_are_inconclusive(claim: str):
    assert verdicts(claim, 1, seeds=2) == {INCONCLUSIVE}


@pytest.mark.parametrize("claim", SCENARIOS)
def test_sentences_and_effects_are_whole(claim: str):
    for finding in findings(claim, 1):
        assert "nan" not in finding.sentence
        assert finding.sentence.endswith(".")
        assert np.isfinite([finding.effect.mean, finding.effect.low, finding.effect.high]).all()
        assert finding.measure
        assert finding.unit


@pytest.mark.parametrize("claim", SCENARIOS)
def test_without_its_runs_a_claim_is_not_run(claim: str):
    other = runs([run({}, [0.5], sweep="another")])
    [judgement] = [one for one in judge(other) if one.claim.id == claim]
    assert not judgement.findings
    assert judgement.reason == f"no runs of experiment={BY_ID[claim].sweep}"


@pytest.mark.parametrize("claim", SCENARIOS)
def test_one_arm_alone_says_what_is_missing(claim: str):
    """Half of a sweep: a reason in place of findings, and no exception."""
    made = [one for one in SCENARIOS[claim](1, 3) if one["row"]["norm.kind"] == "none"]
    made = made or [run({"norm.kind": "none"}, [0.5], sweep=BY_ID[claim].sweep)]
    [judgement] = [one for one in judge(runs(made)) if one.claim.id == claim]
    assert not judgement.findings
    assert judgement.reason


def test_runs_that_never_get_there_count_as_the_budget_and_are_told():
    made = []
    for seed in range(3):
        made.append(run({"norm.kind": "none"}, [0.5] * 30, seed=seed, sweep="fig1"))
        fast = [0.2] * (3 + seed) + [0.98] * (27 - seed)
        made.append(run({"norm.kind": "batch"}, fast, seed=seed, sweep="fig1"))
    first = next(iter(BY_ID["faster-training"].judge(runs(made))))
    logs = np.log2([3000 / 400, 3000 / 500, 3000 / 600])
    assert first.effect.mean == pytest.approx(logs.mean())
    assert first.verdict == SUPPORTED
    assert "counted as the budget: 0 of 3 runs with BN, 3 of 3 without." in first.sentence


def test_a_diverged_run_counts_as_chance_in_accuracy():
    made = list(higher_accuracy(1, 3))
    for one in made:
        if one["row"]["norm.kind"] == "none":
            one["row"] |= {"status": DIVERGED, "test_accuracy": None}
    first = next(iter(BY_ID["higher-accuracy"].judge(runs(made))))
    batch = 0.92 + 0.002 * np.mean([noise("batch", seed) for seed in range(3)])
    assert first.effect.mean == pytest.approx(100 * (batch - 0.1))


def test_the_edge_of_the_grid_is_told():
    [first, *_] = findings("higher-accuracy", 1)
    assert "learning rate 1 with BN, 1 without" in first.sentence
    assert "; with BN the highest tried and without BN the highest tried)" in first.sentence


def test_a_ratio_below_two_does_not_support_higher_rates():
    """Rule R alone would: BN trains at one grid step of 1.5 more, for every seed."""
    made = [
        run({"norm.kind": arm, "optimizer.lr": lr}, [0.9], seed=seed, losses=[loss])
        for seed in range(3)
        for arm, lr, loss in (
            ("none", 1.0, 0.1),
            ("none", 1.5, 2.3),
            ("batch", 1.0, 0.1),
            ("batch", 1.5, 0.1),
        )
    ]
    [finding] = BY_ID["higher-learning-rate"].judge(runs(made))
    assert finding.effect.low > 0
    assert finding.verdict == INCONCLUSIVE
    assert "For 3 of 3 seeds BN still trains at the highest tried." in finding.sentence


def test_where_no_rate_trains_half_the_lowest_is_counted():
    made = [
        run({"norm.kind": arm, "optimizer.lr": lr}, [0.9], seed=seed, losses=[loss])
        for seed in range(3)
        for arm, loss in (("none", 2.3), ("batch", 0.1))
        for lr in (1.0, 2.0)
    ]
    [finding] = BY_ID["higher-learning-rate"].judge(runs(made))
    assert finding.effect.mean == 2  # log2 of 2 / 0.5
    assert "half the lowest tried" in finding.sentence


def test_each_activation_is_judged_apart():
    made = []
    for activation, sign in (("sigmoid", 1), ("relu", -1)):
        for one in higher_learning_rate(sign, 5):
            one["row"]["model.activation"] = activation
            made.append(one)
    found = BY_ID["higher-learning-rate"].judge(runs(made))
    assert {finding.part: finding.verdict for finding in found} == {
        "activation=sigmoid": SUPPORTED,
        "activation=relu": CONTRADICTED,
    }


def test_deep_networks_the_smallest_depth_is_named_and_glorot_stands_beside():
    made = list(depth(1, 3))
    for seed, arm in itertools.product(range(3), ARMS):
        config = {"norm.kind": arm, "init.kind": "glorot", "model.hidden": "100-100"}
        made.append(run(config, rising(0.9), seed=seed, sweep="depth"))
    verdict, control = BY_ID["saturating-nonlinearities"].judge(runs(made))
    assert "The smallest depth that only BN trains is 8." in verdict.sentence
    assert (control.part, control.beside) == ("glorot, 2 layers", True)


def test_deep_networks_stuck_with_bn_too_contradict():
    made = [one for one in depth(1, 3) if one["row"]["norm.kind"] == "none"]
    for one in [*made]:
        row = {**one["row"], "norm.kind": "batch"}
        made.append({**one, "row": row})
    assert [f.verdict for f in BY_ID["saturating-nonlinearities"].judge(runs(made))] == [
        CONTRADICTED
    ]


def test_fewer_than_half_the_steps_is_asked_for():
    """BN needs 60% of the steps: fewer, but not fewer than half."""
    made = []
    for seed, factor in itertools.product(range(3), (1, 5, 30)):
        for arm, steps in (("none", 20 + seed), ("batch", 0.6 * (20 + seed) - 0.2)):
            final = 0.9 if arm == "batch" or factor == 1 else 0.2
            curve = list(np.clip(final * np.arange(1, 31) / steps, 0, final))
            made.append(run({"norm.kind": arm, "optimizer.lr": 0.1 * factor}, curve, seed=seed))
    same_rate = next(iter(BY_ID["fewer-steps"].judge(runs(made))))
    assert 0 < same_rate.effect.low < same_rate.effect.high < 1
    assert same_rate.verdict == CONTRADICTED


def test_figure_3_counts_steps_to_the_baselines_own_maximum():
    made = [
        run({"norm.kind": "none", "optimizer.lr": 0.1}, [0.2, 0.5, 0.8, 0.7]),
        run({"norm.kind": "none", "optimizer.lr": 0.5}, [0.1], status=DIVERGED),
        run({"norm.kind": "batch", "optimizer.lr": 0.1}, [0.3, 0.8, 0.9, 0.9]),
        run({"norm.kind": "batch", "optimizer.lr": 0.5}, [0.6, 0.7, 0.7, 0.7]),
    ]
    table = recipe.figure3(runs(made))
    steps = table["steps to the baseline's maximum"]
    assert list(steps) == [300, np.inf, 200, np.inf]
    assert list(table["maximum"]) == [0.8, 0.1, 0.9, 0.7]
    assert list(table["diverged"]) == [0, 1, 0, 0]
    assert list(table["times the baseline"]) == [1, 5, 1, 5]


@pytest.mark.parametrize(
    ("low", "high", "n", "verdict"),
    [
        (-1.04, -0.96, 3, SUPPORTED),
        (-1.04, -0.94, 3, INCONCLUSIVE),
        (-0.9, -0.8, 3, CONTRADICTED),
        (-1.3, -1.2, 3, CONTRADICTED),
        (-1.01, -0.99, 2, INCONCLUSIVE),
    ],
)
def test_within(low: float, high: float, n: int, verdict: str):
    assert mechanism.within(Estimate(n, -1, 0.1, low, high), -1.0, 0.05) == verdict


def test_largest_rate_needs_a_finished_run_below_half_of_guessing():
    made = [
        run({"optimizer.lr": 1.0}, [0.5], losses=[1.15]),  # ln(10) / 2 = 1.1513
        run({"optimizer.lr": 2.0}, [0.5], losses=[1.16]),
        run({"optimizer.lr": 4.0}, [0.9], losses=[0.1], status=DIVERGED),
    ]
    table = runs(made)
    assert list(robustness.largest_rate(table, table.runs)) == [1.0]


def _claim(name: str) -> Claim:
    return Claim(name, "", "", "", "", list)


def _finding(effect: Estimate, verdict: str, **changes) -> Finding:
    return Finding(
        **{"part": "", "measure": "m", "unit": "u", "sentence": "."}
        | {"effect": effect, "verdict": verdict, **changes}
    )


def test_the_table_corrects_for_the_number_of_verdicts():
    """Two effects with p = 0.03 each, which Holm doubles; what stands beside does not count."""
    from scipy import stats

    t = stats.t.ppf(1 - 0.03 / 2, 4)
    effect = Estimate(5, t, 5**0.5, 0.1, 2 * t)
    judgements = [
        Judgement(_claim("a"), [_finding(effect, SUPPORTED)]),
        Judgement(
            _claim("b"), [_finding(effect, SUPPORTED), _finding(effect, SUPPORTED, beside=True)]
        ),
        Judgement(_claim("exact"), [_finding(effect, SUPPORTED, null=None)]),
        Judgement(_claim("c"), [], "no runs"),
    ]
    table = claims_table(judgements)
    assert list(table["verdict"]) == [SUPPORTED, SUPPORTED, "", SUPPORTED, NOT_RUN]
    assert list(table["p_holm"][:2]) == pytest.approx([0.06, 0.06])
    assert list(table["verdict_holm"]) == [INCONCLUSIVE, INCONCLUSIVE, "", SUPPORTED, NOT_RUN]
    assert table["sentence"].iloc[-1] == "no runs"


def test_a_sweep_further_below_is_known_if_there_is_one_of_its_name():
    def judged(*sweeps: str) -> Judgement:
        made = [
            {**one, "row": {**one["row"], "sweep": sweep}}
            for sweep in sweeps
            for one in higher_accuracy(1, 3)
        ]
        return judge(runs(made))[0]

    assert judged("reference/fig1").findings
    assert judged("fig1", "reference/fig1").findings[0].effect.n == 3
    told = judged("a/fig1", "b/fig1")
    assert (told.findings, told.reason) == ([], "several sweeps of that name: a/fig1, b/fig1")


def test_the_baseline_at_five_times_its_rate_is_found_though_written_rounded():
    """0.07 × 5 is not 0.35 in floating point."""
    made = list(fewer_steps(1, 3))
    for one in made:
        row = one["row"]
        row["optimizer.lr"] = {1: 0.07, 5: 0.35, 30: 2.1}[round(row["optimizer.lr"] / 0.1)]
    same, faster, _ = BY_ID["fewer-steps"].judge(runs(made))
    assert "The baseline at 5× diverges in 0 of 3 runs." in same.sentence
    assert faster.verdict == SUPPORTED
