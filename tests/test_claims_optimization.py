"""The claims on tuning, noise and rates give each of their verdicts; so do rules that ask twice."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_choices import choices_of
from made_trial import REPORT_SEEDS, judged, noise
from scipy import stats
from synthetic import multiplied, reported, run, trial_evidence

from bnexp.analysis.claims import optimization
from bnexp.analysis.claims.combining import all_of, by_apart, or_equal, within
from bnexp.analysis.claims.model import POINTS, Finding, by_rule_e, by_rule_r
from bnexp.analysis.evidence import Evidence
from bnexp.analysis.measures import MeasureError
from bnexp.analysis.statistics import (
    CONTRADICTED,
    EQUAL,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
    t_interval,
)
from bnexp.analysis.steps import Speed
from bnexp.folders.runs import DIVERGED

BY_SWEEP = {(claim.id, claim.sweep): claim for claim in optimization.CLAIMS}
NORMS = ("none", "batch", "noisy")
ARMS = {f"norm={kind}": {"norm.kind": kind} for kind in NORMS}
TWO = {arm: ARMS[arm] for arm in ("norm=none", "norm=batch")}
Made = list[dict[str, Any]]


def parts(claim: str, sweep: str, runs: Evidence) -> dict[str, Finding]:
    return {one.part: one for one in BY_SWEEP[claim, sweep].judge(runs)}


def verdicts(found: dict[str, Finding], *names: str) -> tuple[str, ...]:
    return tuple(found[name].verdict for name in names)


def crossing(config: dict[str, Any], at: float, test: float, seed: int, **more: Any):
    """A run, evaluated every 20 steps, that is at 96% from the evaluation `at` on."""
    first = round(at)
    curve = [0.5] * (first - 1) + [0.96] * (400 - first)
    return run(config, curve, seed=seed, every=20, test_accuracy=test, **more)


def p_of_r(values: Sequence[float], null: float = 0.0) -> float:
    return float(stats.ttest_1samp(values, null).pvalue)


def p_of_e(values: Sequence[float], margin: float) -> float:
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    return float(max(above, below))


# --- survives-tuning


def tuned(lead: float, faster: float, noise_of: tuple[float, float]) -> Evidence:
    """Fig. 1's tuned part: BN ahead by so many points, and by log2 of steps."""
    made = [
        crossing(
            {"norm.kind": kind, "optimizer.lr": 1.0},
            100 * 2 ** (faster * (kind == "none") + noise_of[1] * noise(arm, seed)),
            0.97 + (lead * arm + noise_of[0] * noise(arm, seed)) / 100,
            seed,
        )
        for (arm, kind), seed in itertools.product(enumerate(NORMS[:2]), REPORT_SEEDS)
    ]
    record = choices_of(made, TWO, dict.fromkeys(TWO, 1.0))
    [one] = record["trials"]
    one["parts"] = [{**one["parts"][0], "choose_by": by} for by in ("accuracy", "steps")]
    return judged(made, record)


@pytest.mark.parametrize(
    ("lead", "faster", "noisy", "expected"),
    [
        (0.5, 1.0, (0.1, 0.1), (SUPPORTED, SUPPORTED, SUPPORTED)),
        (-0.5, 1.0, (0.1, 0.1), (CONTRADICTED, CONTRADICTED, SUPPORTED)),
        (0.5, -1.0, (0.1, 0.1), (CONTRADICTED, SUPPORTED, CONTRADICTED)),
        (0.0, 0.0, (0.05, 0.05), (EQUAL, EQUAL, EQUAL)),
        (0.5, 0.0, (0.1, 0.05), (INCONCLUSIVE, SUPPORTED, EQUAL)),
        (0.0, 0.0, (0.5, 0.05), (INCONCLUSIVE, INCONCLUSIVE, EQUAL)),
        (0.0, 0.0, (0.05, 0.5), (INCONCLUSIVE, EQUAL, INCONCLUSIVE)),
        (0.0, 1.0, (0.5, 0.1), (INCONCLUSIVE, INCONCLUSIVE, SUPPORTED)),
    ],
)
def test_a_lead_is_asked_for_in_accuracy_and_in_steps(lead, faster, noisy, expected):
    found = parts("survives-tuning", "fig1", tuned(lead, faster, noisy))
    assert verdicts(found, "", "accuracy", "steps") == expected
    assert [one.part for one in found.values() if one.primary] == [""]
    assert (found[""].p < 0.05) == (expected[0] != INCONCLUSIVE)


def test_the_lead_and_its_p_are_those_of_plain_arithmetic():
    runs = tuned(0.5, 1.0, (0.1, 0.1))
    found = parts("survives-tuning", "fig1", runs)
    tests = runs.runs.set_index(["norm.kind", "seed"])["test_accuracy"]
    ahead = 100 * (tests["batch"] - tests["none"]).to_numpy()
    assert found["accuracy"].effect.mean == pytest.approx(ahead.mean()) == pytest.approx(0.5)
    late = [
        math.log2(round(100 * 2 ** (1 + 0.1 * noise(0, s))) / round(100 * 2 ** (0.1 * noise(1, s))))
        for s in REPORT_SEEDS
    ]
    assert list(found["steps"].effect.values) == pytest.approx(late)
    assert found[""].p == pytest.approx(max(p_of_r(ahead), p_of_r(late)))
    equal = parts("survives-tuning", "fig1", tuned(0, 0, (0.05, 0.05)))
    inside = [0.05 * (noise(1, s) - noise(0, s)) for s in REPORT_SEEDS]
    assert equal["accuracy"].p == pytest.approx(p_of_e(inside, 0.1))
    assert equal["accuracy"].null is None
    assert "equal within a margin of 0.1 percentage points" in equal["accuracy"].sentence


# --- noisy-bn


def noisy(unstable: float, slower: float, spread: float = 0.1) -> Evidence:
    """The noisy arm's drift against none, and its steps against BN, as log2."""
    made = []
    for (arm, kind), seed in itertools.product(enumerate(NORMS), REPORT_SEEDS):
        move = 0.1 * 2 ** (unstable * (kind == "noisy") + spread * noise(arm, seed))
        at = 100 * 2 ** (slower * (kind == "noisy") + spread * noise(arm + 1, seed))
        probes = [
            (step, "activations", layer, statistic, 2.0 if statistic == "spread" else move)
            for step, layer in itertools.product(range(0, 4001, 500), "123")
            for statistic in ("median_move", "spread_move", "spread")
        ]
        config = {"norm.kind": kind, "optimizer.lr": 1.0}
        made.append(crossing(config, at, 0.97, seed, probes=probes))
    return judged(made, choices_of(made, ARMS, dict.fromkeys(ARMS, 1.0), choose_by="steps"))


@pytest.mark.parametrize(
    ("unstable", "slower", "spread", "expected"),
    [
        (1.0, 0.0, 0.1, (SUPPORTED, SUPPORTED, EQUAL)),
        (-1.0, 0.0, 0.1, (CONTRADICTED, CONTRADICTED, EQUAL)),
        (1.0, 1.0, 0.1, (CONTRADICTED, SUPPORTED, CONTRADICTED)),
        (1.0, -1.0, 0.1, (CONTRADICTED, SUPPORTED, CONTRADICTED)),
        (1.0, 0.32, 0.1, (INCONCLUSIVE, SUPPORTED, INCONCLUSIVE)),
        (0.0, 0.0, 0.1, (INCONCLUSIVE, INCONCLUSIVE, EQUAL)),
    ],
)
def test_noise_must_unsettle_and_not_slow(unstable, slower, spread, expected):
    found = parts("noisy-bn", "noisy_bn", noisy(unstable, slower, spread))
    assert verdicts(found, "", "drift, median", "steps") == expected
    assert list(found) == [
        "",
        "drift, median",
        "steps",
        "drift, spread",
        "drift against BN, median",
    ]
    assert [one.part for one in found.values() if one.primary] == [""]
    assert [one.part for one in found.values() if one.beside] == ["drift against BN, median"]
    assert found["drift, median"].effect.mean == pytest.approx(unstable)
    assert found["steps"].effect.mean == pytest.approx(slower, abs=0.02)
    assert (found[""].p < 0.05) == (expected[0] != INCONCLUSIVE)


def test_the_arm_with_noise_is_needed():
    runs = noisy(1, 0)
    del runs.trial["trials"][0]["parts"][0]["arms"]["norm=noisy"]
    with pytest.raises(MeasureError, match=r"needs one arm with norm.kind=noisy"):
        parts("noisy-bn", "noisy_bn", runs)


# --- large-rate-is-the-cause


def shared_out(gain: float, left: float, spread: float = 1.0) -> Made:
    """Accuracies of none, of BN at its best, and of BN with what none chose; in points."""
    return [
        run(
            {"norm.kind": kind, "optimizer.lr": rate},
            [0.5 + (higher + spread * noise(arm, seed)) / 100],
            seed=seed,
        )
        for (arm, (kind, rate, higher)), seed in itertools.product(
            enumerate((("none", 0.1, 0.0), ("batch", 1.0, gain), ("batch", 0.1, left))),
            REPORT_SEEDS,
        )
    ]


def deep(gain: float, left: float) -> Evidence:
    """Six report seeds; BN at the baseline's choice is the factor 1 (trial.factors)."""

    def marked() -> Iterator[dict[str, Any]]:
        for i, one in enumerate(shared_out(gain, left)):
            if i % 10 < 6 and i < 20:
                yield reported(one, f"norm={one['row']['norm.kind']}")
            elif i % 10 < 6:
                yield multiplied(one, "norm=batch", 1)

    return trial_evidence(list(marked()))


def as_published(gain: float, left: float, *, matched: bool = True) -> Evidence:
    made = shared_out(gain, left)
    made += [{**one, "row": {**one["row"], "optimizer.lr": 1.0}} for one in made[:10]]
    rates = {"norm=none": 0.1, "norm=batch": 1.0}
    return judged(made, choices_of(made, TWO, rates, matched=matched, part="as_published"))


SHARES = [
    (10.0, 1.0, SUPPORTED),
    (10.0, 9.0, CONTRADICTED),
    (10.0, 5.0, INCONCLUSIVE),
    (0.0, -5.0, INCONCLUSIVE),
    (-10.0, -20.0, INCONCLUSIVE),
]


@pytest.mark.parametrize(("gain", "left", "verdict"), SHARES)
def test_what_is_left_of_the_gain_at_the_baselines_choice(gain, left, verdict):
    found = {
        "deep": parts("large-rate-is-the-cause", "deep", deep(gain, left)),
        "fig1": parts("large-rate-is-the-cause", "fig1", as_published(gain, left)),
    }
    for sweep, (name, n) in {"deep": ("", 6), "fig1": ("fig1, as published", 10)}.items():
        finding = found[sweep][name]
        assert (finding.verdict, finding.effect.n) == (verdict, n)
        assert finding.primary == (sweep == "deep")
        assert ("none to share out" in finding.sentence) == (gain <= 0)
        assert (finding.p < 0.05) == (verdict != INCONCLUSIVE)
    assert found["fig1"]["fig1, as published"].effect.mean == pytest.approx(gain / 2 - left)


def test_the_share_of_the_means_is_told():
    [finding] = parts("large-rate-is-the-cause", "fig1", as_published(10, 2)).values()
    assert "Left of the mean gain: 20%." in finding.sentence
    with pytest.raises(MeasureError, match=r"not run with what norm=none chose \(trial.matched\)"):
        parts("large-rate-is-the-cause", "fig1", as_published(10, 2, matched=False))


# --- effective-learning-rate

PENALTIES = {f"optimizer={kind}": {"optimizer.kind": kind} for kind in ("sgd", "fixed_norm")}
RATES = {"optimizer=sgd": 1.0, "optimizer=fixed_norm": 3.0}


def penalties(with_bn: float, without: float, spread: float = 0.05) -> Evidence:
    """Fixed norm − L2 in points at the rate of L2; at that of the fixed norm 5 points more."""
    made = []
    for norm, arm, rate in itertools.product(("none", "batch"), (0, 1), RATES.values()):
        ahead = (with_bn if norm == "batch" else without) + 5 * (rate == 3.0)
        config = {"norm.kind": norm, "optimizer.lr": rate, **list(PENALTIES.values())[arm]}
        made += [
            run(config, [0.8 + (ahead * arm + spread * noise(arm, seed)) / 100], seed=seed)
            for seed in REPORT_SEEDS
        ]
    norms = {f"norm={kind}": {"norm.kind": kind} for kind in ("none", "batch")}
    return judged(made, choices_of(made, PENALTIES, RATES, conditions=norms, matched=True))


@pytest.mark.parametrize(
    ("with_bn", "without", "spread", "expected"),
    [
        (0.0, 1.0, 0.05, (SUPPORTED, EQUAL, SUPPORTED)),
        (0.0, -1.0, 0.05, (SUPPORTED, EQUAL, SUPPORTED)),
        (0.0, 0.0, 0.05, (CONTRADICTED, EQUAL, CONTRADICTED)),
        (1.0, 1.0, 0.05, (CONTRADICTED, CONTRADICTED, SUPPORTED)),
        (0.0, 0.2, 0.05, (INCONCLUSIVE, EQUAL, INCONCLUSIVE)),
        (0.0, 5.0, 1.0, (INCONCLUSIVE, INCONCLUSIVE, SUPPORTED)),
    ],
)
def test_equal_with_bn_and_not_equal_without(with_bn, without, spread, expected):
    found = parts("effective-learning-rate", "effective_rate", penalties(with_bn, without, spread))
    assert verdicts(found, "", "with BN", "without BN") == expected
    assert [one.part for one in found.values() if one.primary] == [""]
    assert found["with BN"].effect.mean == pytest.approx(with_bn)
    assert found["without BN"].effect.mean == pytest.approx(without)
    assert found["with BN, own rates"].effect.mean == pytest.approx(with_bn + 5)
    assert (found[""].p < 0.05) == (expected[0] != INCONCLUSIVE)
    assert found["with BN, loss"].beside


def test_the_arms_have_short_names_and_both_norms_are_needed():
    runs = penalties(0, 1)
    found = parts("effective-learning-rate", "effective_rate", runs)
    assert found["with BN"].measure == "test accuracy, fixed norm + BN − L2 + BN"
    assert found["without BN"].measure == "test accuracy, fixed norm − L2, not equal"
    trial = {**runs.trial, "trials": runs.trial["trials"][:1]}
    with pytest.raises(MeasureError, match="the trial has no condition norm=batch"):
        parts("effective-learning-rate", "effective_rate", replace(runs, trial=trial))


# --- all of them

WHOLE = {
    ("survives-tuning", "fig1"): lambda: tuned(0.5, 1.0, (0.1, 0.1)),
    ("noisy-bn", "noisy_bn"): lambda: noisy(1, 0),
    ("large-rate-is-the-cause", "deep"): lambda: deep(10, 1),
    ("large-rate-is-the-cause", "fig1"): lambda: as_published(10, 1),
    ("effective-learning-rate", "effective_rate"): lambda: penalties(0, 1),
}


@pytest.mark.parametrize("claim", WHOLE)
def test_sentences_and_effects_are_whole(claim):
    for one in BY_SWEEP[claim].judge(WHOLE[claim]()):
        assert "nan" not in one.sentence
        assert "Could have told " in one.sentence
        assert one.sentence.endswith(".")
        assert np.isfinite([one.effect.mean, one.effect.low, one.effect.high, one.p]).all()
        assert one.measure
        assert one.unit


@pytest.mark.parametrize("claim", WHOLE)
def test_five_seeds_are_never_enough(claim):
    runs = WHOLE[claim]()
    keep_five(runs.trial)
    found = [one for one in BY_SWEEP[claim].judge(runs) if not one.beside]
    assert {(one.verdict, one.effect.n) for one in found} == {(INCONCLUSIVE, 5)}


def keep_five(record: Any) -> None:
    """In every list by seed of a trial's record."""
    if isinstance(record, dict):
        for seed in [key for key in record if str(key).isdigit()][5:]:
            del record[seed]
    for value in record.values() if isinstance(record, dict) else record:
        if isinstance(value, dict | list):
            keep_five(value)


@pytest.mark.parametrize("claim", WHOLE)
def test_runs_that_diverged_are_told(claim):
    runs = WHOLE[claim]()
    runs.runs.loc[runs.runs.index[0], "status"] = DIVERGED
    assert any("iverged" in one.sentence for one in BY_SWEEP[claim].judge(runs))


# --- rules that ask twice


def finding(*values: float, margin: float | None = None) -> Finding:
    effect = t_interval(values)
    if margin is None:
        return by_rule_r("", "m", POINTS, effect, "Seen.")
    return by_rule_e("", "m", POINTS, effect, "Seen.", margin)


def near(mean: float, spread: float = 0.1) -> tuple[float, ...]:
    return tuple(mean + spread * np.linspace(-1, 1, 8))


def test_and_hangs_on_the_weakest():
    strong, weak = finding(*near(5)), replace(finding(*near(1, 1)), measure="weak")
    assert strong.p < weak.p < 0.05
    for asked in ({"a": strong, "b": weak}, {"a": weak, "b": strong}):
        found = all_of("part", asked, primary=True)
        assert (found.verdict, found.p, found.effect) == (SUPPORTED, weak.p, weak.effect)
        assert found.part == "part" and found.primary and found.null is None
        assert found.measure == "all of a, b; shown: weak"
        hinge = "b" if asked["b"] is weak else "a"
        assert found.sentence == (
            f"Asked for together: a, b: supported. It hangs on {hinge}: {weak.sentence}"
        )


def test_one_contradicted_is_enough_and_is_what_is_shown():
    holds, open_one, against = (finding(*near(mean)) for mean in (5, 0, -5))
    found = all_of("", {"a": holds, "b": open_one, "c": against})
    assert (found.verdict, found.effect) == (CONTRADICTED, against.effect)
    assert found.p == open_one.p  # the largest one, as docs/claims.md has it
    told = "Asked for together: a: supported; b: inconclusive; c: contradicted. It hangs on c: "
    assert found.sentence.startswith(told)


def test_all_equal_are_equal_if_that_is_not_what_was_claimed():
    one, other = finding(*near(0), margin=0.5), finding(*near(0.1), margin=0.5)
    assert all_of("", {"a": one, "b": other}).verdict == EQUAL
    assert all_of("", {"a": one, "b": other}, holds=(EQUAL,)).verdict == SUPPORTED
    mixed = all_of("", {"a": one, "b": finding(*near(5))})
    assert (mixed.verdict, mixed.p) == (INCONCLUSIVE, 0.05)


def test_what_has_no_value_is_inconclusive():
    found = all_of("", {"a": finding(*near(5)), "b": finding(1.0)})
    assert (found.verdict, found.p) == (INCONCLUSIVE, 1)


def test_equality_is_asked_only_where_rule_r_cannot_tell():
    small = finding(*near(0.2, 0.01))
    assert or_equal(small, 0.5) is small
    wide = finding(*near(0, 9))
    assert or_equal(wide, 0.5) is wide
    assert or_equal(finding(*near(0)), 0.5).verdict == EQUAL


NEVER = math.inf


def speed(values: Sequence[float], *, earlier: float = 0.0, never: int = 0) -> Speed:
    late = np.array(values, float)
    late[:never] = NEVER
    return Speed(t_interval(values), t_interval([v + earlier for v in values]), late)


@pytest.mark.parametrize(
    ("compared", "verdict"),
    [
        (speed(near(0)), EQUAL),
        (speed(near(0), earlier=0.3), INCONCLUSIVE),
        (speed(near(0), never=1), INCONCLUSIVE),
        (speed(near(0.3)), INCONCLUSIVE),
        (speed(near(2)), CONTRADICTED),
        (speed(near(-2)), CONTRADICTED),
        (speed(near(2), never=8), CONTRADICTED),
        (speed(near(-2), never=4), INCONCLUSIVE),
        (speed(near(2)[:5]), INCONCLUSIVE),
    ],
)
def test_steps_are_equal_by_all_conventions_or_not_at_all(compared: Speed, verdict: str):
    assert within(compared, 0.32) == verdict


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [
        (t_interval(near(1)), SUPPORTED),
        (t_interval(near(-1)), SUPPORTED),
        (t_interval(near(0)), CONTRADICTED),
        (t_interval(near(0.2)), INCONCLUSIVE),
        (t_interval(near(0, 5)), INCONCLUSIVE),
        (t_interval(near(1)[:5]), INCONCLUSIVE),
    ],
)
def test_not_equal_is_beyond_the_margin_on_either_side(effect: Estimate, verdict: str):
    found = by_apart("", "m", POINTS, effect, "Seen.", 0.2)
    assert found.verdict == verdict
    if verdict == SUPPORTED:
        assert found.p == pytest.approx(p_of_r(np.abs(effect.values), 0.2))
    if verdict == CONTRADICTED:
        assert found.p == pytest.approx(p_of_e(effect.values, 0.2))
