"""Claims of robustness, deep networks and recipes give each of their verdicts; n = 5 is too few."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from synthetic import multiplied, reported, rising, run, runs, trial_evidence

from bnexp.analysis import tables
from bnexp.analysis.claims import deep, recipe, robustness
from bnexp.analysis.claims.model import NOT_RUN, Finding, Judgement
from bnexp.analysis.claims.table import claims_table, headline
from bnexp.analysis.evidence import evidence
from bnexp.analysis.measures import MeasureError
from bnexp.analysis.statistics import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Estimate
from bnexp.folders.runs import DIVERGED

ARMS = ("none", "batch")
CLAIMS = [*robustness.CLAIMS, *deep.CLAIMS, *recipe.CLAIMS]
BY_SWEEP = {(claim.id, claim.sweep): claim for claim in CLAIMS}
VERDICT = {1: SUPPORTED, -1: CONTRADICTED, 0: INCONCLUSIVE}


def noise(arm: str, seed: int) -> float:
    return float(np.sin(5.0 * seed + 2.0 * (arm == "batch") + 0.3))


def lead(arm: str, sign: int, size: float) -> float:
    """Half of what an arm is better by, if BN is to be better (1), worse (-1) or as good (0)."""
    return sign * size / 2 * (1 if arm == "batch" else -1)


def less_saturation(sign: int, seeds: int):
    for arm, stddev, seed in itertools.product(ARMS, (0.05, 5.0), range(seeds)):
        share = 0.4 - lead(arm, sign, 0.4) + 0.01 * noise(arm, seed)
        probes = [
            (step, "activations", layer, "saturation", share * (1 + step / 900))
            for step in (0, 900)
            for layer in "123"
        ]
        yield run({"norm.kind": arm, "init.stddev": stddev}, rising(0.9), seed=seed, probes=probes)


def higher_learning_rate(sign: int, seeds: int):
    for arm, k, seed in itertools.product(ARMS, range(-6, 7), range(seeds)):
        middle = {1: 1.5, -1: -1.0, 0: 0.5}[sign] * (1 if arm == "batch" else -1)
        trains = k <= round(middle + noise(arm, seed))
        losses = [2.3, 0.2 if trains else 2.2]
        config = {"norm.kind": arm, "optimizer.lr": 2.0**k}
        yield run(config, [0.1, 0.9], seed=seed, losses=losses)


def init_robust(sign: int, seeds: int):
    for arm, stddev, lr, seed in itertools.product(ARMS, (0.05, 5.0), (0.1, 1.0), range(seeds)):
        loss = (stddev != 0.05) * (0.2 - lead(arm, sign, 0.2)) + 0.01 * noise(arm, seed) * stddev
        config = {"norm.kind": arm, "init.stddev": stddev, "optimizer.lr": lr}
        yield run(config, rising(0.95 - loss), seed=seed)


def two_arms(finals: dict[str, float], seeds: int, **settings):
    for arm, seed in itertools.product(ARMS, range(seeds)):
        final = finals[arm] + 0.002 * noise(arm, seed)
        made = run({"norm.kind": arm, **settings}, rising(final), seed=100 + seed)
        yield reported(made, f"norm={arm}")


def deep_sigmoid(sign: int, seeds: int):
    batch = {1: 0.6, -1: 0.2, 0: 0.30}[sign]
    for one in two_arms({"none": 0.1, "batch": batch}, seeds):
        if not sign and "none" not in one["row"]["norm.kind"]:
            wide = batch + 0.1 * noise("batch", one["row"]["seed"])
            one["row"]["test_accuracy"] = wide
        yield one


def depth(sign: int, seeds: int):
    finals = {
        1: {"none": 0.11, "batch": 0.95},
        -1: {"none": 0.96, "batch": 0.94},
        0: {"none": 0.5, "batch": 0.6},
    }[sign]
    for layers in (3, 8):
        here = {"none": 0.95, "batch": 0.96} if layers == 3 else finals
        for one in two_arms(here, seeds, **{"model.hidden": "-".join(["100"] * layers)}):
            yield reported(one, one["reported"][2], condition=f"layers={layers}")


def fewer_steps(sign: int, seeds: int):
    """The baseline passes its maximum at step 2,000 or so; BN far earlier, or later."""
    for arm, factor, seed in itertools.product(ARMS, (1, 5, 30), range(seeds)):
        steps, final = 20 + 2 * noise("none", seed), 0.9
        if arm == "batch":
            steps /= 2 ** ({1: 3, -1: 0, 0: 1}[sign] + 0.4 * noise(arm, seed))
            final = 0.92 if factor < 30 else 0.92 + 0.02 * sign + 0.003 * noise(arm, seed)
        elif factor > 1:
            final = 0.1
        curve = list(np.clip(final * np.arange(1, 31) / steps, 0, final))
        made = run({"norm.kind": arm, "optimizer.lr": 0.07 * factor}, curve, seed=100 + seed)
        made = reported(made, f"norm={arm}") if factor == 1 else made
        yield multiplied(made, f"norm={arm}", factor)


def regularizes(sign: int, seeds: int):
    for arm, share, seed in itertools.product(ARMS, (0.0, 0.1, 0.5), range(seeds)):
        final = 0.9 + (0.01 * sign if not share else 0) - 0.01 * (share == 0.1)
        final += {0: 0.01, 1: 0.001, -1: 0.001}[sign] * noise(arm if share else "other", 3 * seed)
        final -= 0.002 * (not share and not sign)
        gap = 0.3 - lead(arm, sign, 0.2) + 0.02 * noise(arm, seed)
        train = [1.0, 0.5, 0.1]
        made = run(
            {"norm.kind": arm, "model.dropout": share},
            [0.3, 0.6, final],
            seed=100 + seed,
            losses=[value + gap for value in train],
            train_losses=train,
        )
        yield reported(made, f"norm={arm}", part=f"dropout_{share}", score=0.9 - (share == 0.1))


def four_arms(key: str, values, sign: int, seeds: int, noisy: float = 0.001):
    """The second value gains 1 point with BN, loses it, or does neither."""
    for arm, value, seed in itertools.product(ARMS, values, range(seeds)):
        gain = 0.01 * sign * (value == values[1]) * (arm == "batch")
        final = 0.9 + gain + noisy * noise(arm if value == values[0] else "batch", 2 * seed + 1)
        final += noisy * noise("none", seed + 7 * (value == values[0]))
        made = run({"norm.kind": arm, key: value}, rising(final), seed=100 + seed)
        yield reported(made, f"norm={arm} {key}={value}")


def shuffling(sign: int, seeds: int):
    return four_arms("trainer.reshuffle", (False, True), sign, seeds)


def lrn(sign: int, seeds: int):
    return four_arms("model.lrn", (True, False), sign, seeds, noisy=0.001 if sign else 0.01)


def weight_decay(sign: int, seeds: int):
    for arm, l2, every, seed in itertools.product(ARMS, (1e-4, 5e-4), (100, 600), range(seeds)):
        final = 0.9 + lead(arm, sign, 0.02) * ((l2 == 1e-4) + (every == 100))
        final += 0.002 * noise(arm, 3 * seed + every + round(l2 * 1e4))
        config = {"norm.kind": arm, "optimizer.weight_decay": l2, "schedule.every": every}
        made = run(config, rising(final), seed=100 + seed)
        yield reported(made, f"norm={arm} optimizer.weight_decay={l2} schedule.every={every}")


def small_batches(sign: int, seeds: int):
    for size, arm, seed in itertools.product((2, 16, 60), (*ARMS, "group"), range(seeds)):
        slope = 0.004 + (arm != "group") * lead(arm, sign, 0.004) + 0.0005 * noise(arm, seed)
        config = {"norm.kind": arm, "trainer.batch_size": size}
        made = run(config, rising(0.9 + slope * np.log2(size)), seed=100 + seed)
        yield reported(made, f"norm={arm}", condition=f"trainer.batch_size={size}")


SCENARIOS: dict[tuple[str, str], Callable] = {
    ("less-saturation", "init"): less_saturation,
    ("higher-learning-rate", "learning_rate"): higher_learning_rate,
    ("init-robust", "init"): init_robust,
    ("saturating-nonlinearities", "deep_sigmoid"): deep_sigmoid,
    ("saturating-nonlinearities", "depth"): depth,
    ("fewer-steps", "deep"): fewer_steps,
    ("fewer-steps", "inception"): fewer_steps,
    ("regularizes", "regularization"): regularizes,
    ("shuffling-helps", "shuffling"): shuffling,
    ("less-l2-faster-decay", "weight_decay"): weight_decay,
    ("no-lrn", "lrn"): lrn,
    ("small-batches", "batch_size"): small_batches,
}
SECONDARY = {("saturating-nonlinearities", "depth"), ("fewer-steps", "inception")}


def findings(key: tuple[str, str], sign: int, seeds: int = 8) -> list[Finding]:
    return list(BY_SWEEP[key].judge(trial_evidence(list(SCENARIOS[key](sign, seeds)))))


def test_every_claim_has_a_scenario_and_one_primary_part():
    assert set(BY_SWEEP) == {*SCENARIOS, ("ensemble", "deep")}
    for key in SCENARIOS:
        primary = [finding for finding in findings(key, 1) if finding.primary]
        assert len(primary) == (key not in SECONDARY), key


@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("key", SCENARIOS)
def test_verdict(key: tuple[str, str], sign: int):
    first, *others = findings(key, sign)
    assert first.verdict == VERDICT[sign], first.sentence
    assert first.primary == (key not in SECONDARY)
    for finding in (first, *others):
        assert finding.sentence.endswith(".")
        assert "nan" not in finding.sentence
        alike = len(set(finding.effect.values)) == 1
        told = "All seeds have the same value" if alike else "Could have told"
        assert told in finding.sentence
        assert finding.measure
        assert finding.unit


@pytest.mark.parametrize("key", SCENARIOS)
def test_five_seeds_are_never_enough(key: tuple[str, str]):
    assert {finding.verdict for finding in findings(key, 1, seeds=5)} == {INCONCLUSIVE}


@pytest.mark.parametrize("key", [*SCENARIOS, ("ensemble", "deep")])
def test_one_arm_alone_or_no_trial_says_what_is_missing(key: tuple[str, str]):
    alone = evidence(runs([run({"norm.kind": "none"}, [0.5])]))
    with pytest.raises(MeasureError):
        list(BY_SWEEP[key].judge(alone))


def judged(key: tuple[str, str], made: list) -> list[Finding]:
    return list(BY_SWEEP[key].judge(trial_evidence(made)))


def test_what_is_secondary_is_named():
    parts = {key: [finding.part for finding in findings(key, 1)] for key in SCENARIOS}
    assert parts["less-saturation", "init"] == ["σ = 0.05", "σ = 0.05, growth", "σ = 5"]
    assert parts["fewer-steps", "deep"] == [
        "5η*",
        "η*",
        "the better of 5η* and 30η*",
        "maximum at 30η*",
    ]
    assert parts["regularizes", "regularization"][1:] == ["generalization gap", "none with dropout"]
    assert parts["less-l2-faster-decay", "weight_decay"] == [
        "both",
        "less L2",
        "faster decay",
        "difference",
    ]
    assert parts["small-batches", "batch_size"] == ["", "without batches of 2", "norm=group"]


def test_a_ratio_below_two_does_not_support_higher_rates():
    made = [
        run({"norm.kind": arm, "optimizer.lr": lr}, [0.9], seed=seed, losses=[loss])
        for seed in range(6)
        for arm, lr, loss in (
            ("none", 1.0, 0.1),
            ("none", 1.5, 2.3),
            ("batch", 1.0, 0.1),
            ("batch", 1.5, 0.1),
        )
    ]
    [finding] = judged(("higher-learning-rate", "learning_rate"), made)
    assert finding.effect.low > 0
    assert finding.verdict == CONTRADICTED
    assert "For 6 of 6 seeds the highest tried still trains with BN." in finding.sentence


def test_what_trains_by_step_5000_is_read_from_longer_runs():
    made = [
        run(
            {"norm.kind": arm, "optimizer.lr": lr, "trainer.steps": 10000},
            [0.5, 0.5],
            every=5000,
            seed=seed,
            losses=[0.1 if arm == "batch" else 2.3, 0.1],
        )
        for seed, arm, lr in itertools.product(range(6), ARMS, (1.0, 4.0))
    ]
    end, early = judged(("higher-learning-rate", "learning_rate"), made)
    assert (end.effect.mean, early.effect.mean) == (0, 3)  # log2 of 4 / 0.5
    assert "no rate trains without BN: half the lowest tried" in early.sentence
    assert (end.primary, early.primary) == (True, False)


def test_half_of_guessing_depends_on_the_number_of_classes():
    made = [
        run({"optimizer.lr": 1.0}, [0.5], losses=[1.15], classes=10),  # ln(10) / 2 = 1.1513
        run({"optimizer.lr": 2.0}, [0.5], losses=[1.16], classes=10),
        run({"optimizer.lr": 4.0}, [0.9], losses=[0.1], status=DIVERGED, classes=10),
        run({"optimizer.lr": 8.0}, [0.5], losses=[1.16], classes=100, seed=1),
    ]
    table = runs(made)
    assert list(robustness.largest_rate(table, table.runs)) == [1.0, 8.0]


def test_sigmoid_networks_whose_baseline_learns_somewhere_contradict():
    made = [
        reported(one, one["reported"][2], tried=[{"score": 0.1}, {"score": 0.4}])
        for one in deep_sigmoid(1, 6)
    ]
    [finding] = judged(("saturating-nonlinearities", "deep_sigmoid"), made)
    assert finding.effect.low > 20
    assert finding.verdict == CONTRADICTED
    assert "norm=none passes 15% in 1 of 2 combinations" in finding.sentence


def test_the_smallest_depth_that_only_bn_trains_is_named():
    [finding] = findings(("saturating-nonlinearities", "depth"), 1)
    assert "The smallest depth that only BN trains is 8." in finding.sentence


def test_dead_and_diverged_baselines_at_five_times_the_rate_are_told():
    made = list(fewer_steps(1, 6))
    first = judged(("fewer-steps", "deep"), made)[0]
    assert "The baseline at 5η* is dead or diverged in 6 of 6 runs." in first.sentence
    with pytest.raises(MeasureError, match=r"no runs of norm=batch at 30 times"):
        judged(("fewer-steps", "deep"), [m for m in made if m["row"]["optimizer.lr"] < 2])


def test_figure_3_counts_steps_to_the_baselines_own_maximum():
    made = [
        run({"norm.kind": "none", "optimizer.lr": 0.1}, [0.2, 0.5, 0.8, 0.7]),
        run({"norm.kind": "none", "optimizer.lr": 0.5}, [0.1], status=DIVERGED),
        run({"norm.kind": "batch", "optimizer.lr": 0.1}, [0.3, 0.8, 0.9, 0.9]),
        run({"norm.kind": "batch", "optimizer.lr": 0.5}, [0.6, 0.7, 0.7, 0.7]),
    ]
    table = deep.figure3(runs(made))
    assert list(table["steps to the baseline's maximum"]) == [300, np.inf, 200, np.inf]
    assert list(table["maximum"]) == [0.8, 0.1, 0.9, 0.7]
    assert list(table["diverged"]) == [0, 1, 0, 0]
    assert list(table["times the baseline"]) == [1, 5, 1, 5]


def test_figure_3_of_a_trial_holds_the_multiples_of_the_rate_that_the_baseline_chose():
    table = deep.figure3(trial_evidence(list(fewer_steps(1, 6))))
    assert list(table["arm"]) == ["none"] * 3 + ["batch"] * 3
    assert list(table["times the baseline"]) == pytest.approx([1, 5, 30] * 2)
    assert set(table["n"]) == {6}
    others = [
        {**one, "multiplied": (arm, factor), "reported": (*told[:2], arm, told[3])}
        for one in fewer_steps(1, 6)
        for name, factor in [one["multiplied"]]
        for arm in [{"norm=none": "optimizer=sgd", "norm=batch": "optimizer=adam"}[name]]
        for told in [one.get("reported", ("", "tuned", arm, {}))]
    ]
    for one in others:
        if one["multiplied"][1] != 1:
            one.pop("reported")
    named = deep.figure3(trial_evidence(others))
    assert list(named["arm"]) == ["optimizer=sgd"] * 3 + ["optimizer=adam"] * 3
    assert "in the paper" not in tables.figure3_text(named.assign(network=""))
    none, batch = table["steps to the baseline's maximum"][[0, 4]]
    assert batch < none / 2


def test_the_best_dropout_is_chosen_by_its_score_while_tuning():
    first = findings(("regularizes", "regularization"), 1)[0]
    assert "norm=batch with its best dropout, 0.5 (the highest tried)" in first.sentence


def test_an_ensemble_that_outvotes_its_networks(monkeypatch: pytest.MonkeyPatch):
    made = list(two_arms({"none": 0.5, "batch": 0.9}, 6))
    with pytest.raises(MeasureError, match="6 of 6 report runs have not kept their predictions"):
        judged(("ensemble", "deep"), made)
    labels = np.zeros(60, int)

    def kept(ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
        probabilities = np.tile([0.9, 0.1], (len(ids), len(labels), 1))
        for i in range(len(ids)):
            probabilities[i, 8 * i : 8 * i + 5 + i % 2] = [0.4, 0.6]  # each errs elsewhere
        return probabilities, labels

    monkeypatch.setattr(deep, "kept_probabilities", kept)
    together, apart = judged(("ensemble", "deep"), made)
    assert (together.verdict, together.primary, together.effect.n) == (SUPPORTED, True, 6)
    assert together.effect.mean == pytest.approx(100 * 5.5 / 60)
    assert (apart.beside, apart.effect.mean) == (True, pytest.approx(100 * 11 / 60))


def test_a_claim_of_two_presets_is_counted_once():
    one, other = (BY_SWEEP["fewer-steps", sweep] for sweep in ("deep", "inception"))
    effect = Estimate(6, 2.0, 0.1, 1.9, 2.1)
    primary = Finding("5η*", "m", "u", effect, SUPPORTED, ".", p=0.001, primary=True)
    table = claims_table([Judgement(one, [primary]), Judgement(other, [], "no runs")])
    assert next(iter(table["p_holm"])) == pytest.approx(0.001)
    assert headline(table).to_dict() == {SUPPORTED: 1}
    table = claims_table([Judgement(one, [], "no runs"), Judgement(other, [], "no runs")])
    assert headline(table).to_dict() == {NOT_RUN: 1}


@pytest.mark.parametrize(
    ("key", "column"),
    [
        (("regularizes", "regularization"), "model.dropout"),
        (("no-lrn", "lrn"), "model.lrn"),
        (("less-l2-faster-decay", "weight_decay"), "schedule.every"),
    ],
)
def test_runs_without_the_setting_in_question_say_so(key: tuple[str, str], column: str):
    made = trial_evidence(list(SCENARIOS[key](1, 6)))
    lacking = replace(made, runs=made.runs.drop(columns=column))
    with pytest.raises(MeasureError, match=column):
        list(BY_SWEEP[key].judge(lacking))
