"""Every claim gives each of its verdicts where the runs say so; two seeds are never enough."""

import itertools

import numpy as np
import pytest
from synthetic import noise, rising, run, runs

from bnexp.analysis.claims import figure1, mechanism
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
    here = {figure1.__name__, mechanism.__name__}
    ids = [claim.id for claim in all_claims() if claim.judge.__module__ in here]
    assert list(SCENARIOS) == ids


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
