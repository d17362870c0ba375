"""The claims on starts, batches, substitutes and shortcuts give each of their verdicts."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats
from synthetic import reported, run, runs, trial_evidence

from bnexp.analysis.claims import alternatives, recipe
from bnexp.analysis.claims.model import NOT_RUN, WHY, Claim, Finding
from bnexp.analysis.evidence import evidence
from bnexp.analysis.measures import MeasureError
from bnexp.analysis.statistics import CONTRADICTED, EQUAL, INCONCLUSIVE, SUPPORTED
from bnexp.folders.runs import DIVERGED

Made = list[dict[str, Any]]
Key = tuple[str, str]
CLAIMS: dict[Key, Claim] = {(claim.id, claim.sweep): claim for claim in alternatives.CLAIMS}
VERDICT = {1: SUPPORTED, -1: CONTRADICTED, 0: INCONCLUSIVE}
SEEDS = 10


def noise(what: str, seed: int) -> float:
    """Of mean 0 over ten seeds, another for each word."""
    values = np.random.default_rng([*what.encode()]).normal(size=SEEDS)
    return float((values - values.mean())[seed % SEEDS])


# --- made-up runs: the claim holds (1), its opposite does (-1), or neither can be told (0)

DEPTHS = (3, 10, 50)


def deep_start(sign: int, seeds: int = SEEDS) -> Made:
    """With BN a soft rank of 2 ** (2 * sign) times the other, and e ** (0.2 * sign) a layer."""
    made = []
    for arm, depth, seed in itertools.product(("none", "batch"), DEPTHS, range(seeds)):
        ours = arm == "batch"
        rank = 4.0 * 2 ** (2 * sign * ours + 0.3 * noise(arm, seed))
        slope = ours * (0.2 * sign + 0.05 * noise("slope", seed)) + 0.01 * noise("none", seed)
        probes = [
            (step, "rank", str(layer), statistic, value * (1 if step == 0 else 100))
            for step in (0, 1)
            for layer in range(1, depth + 1)
            for statistic, value in (
                ("soft_rank", rank if layer == depth else 50.0),
                ("gradient_norm", 0.1 * math.exp(slope * (depth - layer))),
            )
        ]
        config = {"norm.kind": arm, "model.hidden": "-".join(["100"] * depth)}
        made.append(run(config, [0.1], seed=seed, sweep="deep_start", probes=probes))
    return made


BATCH_ARMS: dict[str, dict[str, Any]] = {
    "norm=none": {"norm.kind": "none"},
    "norm=batch": {},
    "norm=batch norm.renorm=true": {"norm.renorm": True},
    "norm=batch norm.ghost_size=2": {"norm.ghost_size": 2},
    "norm=group": {"norm.kind": "group"},
    "norm=batch norm.population=exact": {"norm.population": "exact"},
}
OF_BN = {"norm.kind": "batch", "norm.population": "moving", "norm.renorm": False}
LOSS = {2: 0.2, 4: 0.1, 60: 0.0}  # what BN loses, by batch


def batch_size(sign: int, seeds: int = SEEDS, gap: float = 1.0) -> Made:
    """Exact statistics and renorm win back 80%, 20% or about half of what BN loses."""
    won, made = {1: 0.8, -1: 0.2, 0: 0.5}[sign], []
    for size, (arm, config), seed in itertools.product(LOSS, BATCH_ARMS.items(), range(seeds)):
        back = won * arm.endswith(("exact", "true"))
        final = 0.95 - gap * LOSS[size] * (1 - back) + 0.004 * noise(f"{arm}{size}", seed)
        settings = {**OF_BN, "norm.ghost_size": None, **config, "trainer.batch_size": size}
        one = run(settings, [final], seed=100 + seed, sweep="batch_size")
        made.append(reported(one, arm, condition=f"trainer.batch_size={size}"))
    return made


SUBSTITUTES: dict[str, dict[str, Any]] = {
    "norm=batch": {"norm.kind": "batch"},
    "norm=none": {},
    "norm=group": {"norm.kind": "group"},
    "norm=layer": {"norm.kind": "layer"},
    "norm=rms": {"norm.kind": "rms"},
    "norm=standardization": {"norm.kind": "standardization"},
    "norm=none model.skip_init=true": {"model.skip_init": True},
    "norm=none model.fixup=true": {"model.fixup": True},
}


def substitutes(
    sign: int, seeds: int = SEEDS, apart: Mapping[str, float] | None = None, wide: float = 0.0
) -> Made:
    """All within the margin, half a point off, or too widely spread to tell."""
    made = []
    for (arm, config), seed in itertools.product(SUBSTITUTES.items(), range(seeds)):
        off = (apart or {}).get(arm, -0.005 * (sign < 0) * (arm != "norm=batch"))
        spread = 0.005 if not sign else wide or 0.0005
        final = 0.95 + off + spread * noise(arm, seed)
        settings = {"norm.kind": "none", "model.skip_init": False, "model.fixup": False, **config}
        made.append(reported(run(settings, [final], seed=100 + seed), arm))
    return made


WAYS = ("none", "residual", "highway")
NETWORKS = [*itertools.product(("sigmoid", "relu"), (20, 50))]


def skips(sign: int, seeds: int = SEEDS, but: tuple[str, int] | None = None) -> Made:
    """A shortcut gains 20 points, loses them, or neither; in one network it may do nothing."""
    made = []
    for (kind, depth), skip, seed in itertools.product(NETWORKS, WAYS, range(seeds)):
        gain = 0.2 * sign * (skip != "none") * ((kind, depth) != but)
        final = 0.5 + gain + 0.02 * noise(f"{kind}{depth}{skip}", seed)
        config = {
            "norm.kind": "none",
            "model.activation": kind,
            "model.hidden": "-".join(["100"] * depth),
            "model.skip": skip,
        }
        one = run(config, [final], seed=100 + seed, sweep="skips")
        made.append(reported(one, f"model.skip={skip}", condition=f"{kind}, {depth}"))
    return made


SCENARIOS: dict[Key, Callable[..., Made]] = {
    ("deep-start", "deep_start"): deep_start,
    ("batch-mismatch", "batch_size"): batch_size,
    ("not-unique", "substitutes"): substitutes,
    ("not-unique", "substitutes_residual"): substitutes,
    ("skips-suffice", "skips"): skips,
}
PRIMARY = {
    "deep_start": [""],
    "batch_size": ["exact statistics"],
    "substitutes": ["all"],
    "substitutes_residual": [],
    "skips": ["residual"],
}
START, MISMATCH, SAME, RESIDUAL, SKIPS = SCENARIOS


def found(key: Key, made: Made) -> list[Finding]:
    return list(CLAIMS[key].judge(trial_evidence(made)))


def by_part(key: Key, made: Made) -> dict[str, Finding]:
    return {finding.part: finding for finding in found(key, made)}


def finals(made: Made, settings: Mapping[str, Any]) -> np.ndarray:
    """Test accuracies in points, by seed, of the runs with these settings."""
    chosen = [one["row"] for one in made if settings.items() <= one["row"].items()]
    return np.array([100 * row["test_accuracy"] for row in sorted(chosen, key=lambda r: r["seed"])])


def p_of(values: np.ndarray) -> float:
    return float(stats.ttest_1samp(values, 0).pvalue)


# --- all of them


def test_the_claims_are_those_of_later_work_in_their_order():
    assert [*CLAIMS] == [*SCENARIOS]
    assert {claim.section for claim in CLAIMS.values()} == {WHY}


@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("key", SCENARIOS)
def test_the_first_part_has_its_verdict_and_alone_is_primary(key: Key, sign: int):
    first, *others = found(key, SCENARIOS[key](sign))
    assert first.verdict == VERDICT[sign], first.sentence
    assert (first.p < 0.05) == bool(sign)
    assert [one.part for one in (first, *others) if one.primary] == PRIMARY[key[1]]


@pytest.mark.parametrize("key", SCENARIOS)
def test_five_seeds_are_never_enough(key: Key):
    for one in found(key, SCENARIOS[key](1, 5)):
        assert (one.verdict, one.effect.n) == (INCONCLUSIVE, 5)


@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("key", SCENARIOS)
def test_sentences_and_effects_are_whole(key: Key, sign: int):
    for one in found(key, SCENARIOS[key](sign)):
        assert "nan" not in one.sentence
        assert "Could have told " in one.sentence
        assert one.sentence.endswith(".")
        assert np.isfinite([one.effect.mean, one.effect.low, one.effect.high, one.p]).all()
        assert one.measure
        assert one.unit
        assert one.verdict != NOT_RUN


@pytest.mark.parametrize("key", SCENARIOS)
def test_other_runs_say_what_is_missing(key: Key):
    with pytest.raises(MeasureError):
        list(CLAIMS[key].judge(evidence(runs([run({"norm.kind": "none"}, [0.5])]))))


# --- deep networks at their start


def test_the_start_is_judged_at_fifty_layers_and_at_step_0():
    made = deep_start(1)
    parts = by_part(START, made)
    assert [*parts][:4] == [
        "",
        "50 layers, soft rank",
        "50 layers, gradient",
        "50 layers, gradient without BN",
    ]
    assert len(parts) == 1 + 3 * len(DEPTHS)
    rank = np.array([2 + 0.3 * (noise("batch", s) - noise("none", s)) for s in range(SEEDS)])
    assert parts["50 layers, soft rank"].effect.values == pytest.approx(rank)
    slopes = [
        0.2 + 0.05 * noise("slope", seed) + 0.01 * noise("none", seed) for seed in range(SEEDS)
    ]
    for depth in DEPTHS:
        assert parts[f"{depth} layers, gradient"].effect.values == pytest.approx(slopes)
        assert parts[f"{depth} layers, gradient without BN"].beside
    assert parts[""].p == pytest.approx(max(p_of(rank), p_of(np.array(slopes))))
    assert "1.21 is expected, log 0.191)" in parts["50 layers, gradient"].sentence
    assert "a factor of 1.22 for each layer toward the input with norm=batch" in (
        parts["50 layers, gradient"].sentence
    )


def test_a_rank_that_is_kept_is_not_enough_where_gradients_do_not_explode():
    """Also where they do so in shallower networks."""
    made = deep_start(1)
    for one, other in zip(made, deep_start(-1), strict=True):
        if one["row"]["model.hidden"].count("100") == 50:
            ranks = [row for row in one["probes"] if row[3] == "soft_rank"]
            one["probes"] = [*ranks, *(row for row in other["probes"] if row[3] != "soft_rank")]
    parts = by_part(START, made)
    assert parts["50 layers, soft rank"].verdict == SUPPORTED
    assert parts["50 layers, gradient"].verdict == CONTRADICTED
    assert parts["10 layers, gradient"].verdict == SUPPORTED
    assert parts[""].verdict == CONTRADICTED


def test_a_network_without_a_gradient_is_left_out_and_told():
    made = deep_start(1)
    for one in made:
        if one["row"]["seed"] == 0:
            one["probes"] = [(*place, 0.0) for *place, _ in one["probes"]]
    part = by_part(START, made)["50 layers, gradient"]
    assert part.effect.n == SEEDS - 1
    assert "Without a value, and so left out: 1 of 10 runs with norm=batch." in (part.sentence)


def test_without_the_deepest_networks_or_their_probe_nothing_is_judged():
    with pytest.raises(MeasureError, match="no run of 50 hidden layers"):
        found(START, [one for one in deep_start(1) if one["row"]["model.hidden"].count("0") < 99])
    with pytest.raises(MeasureError, match="without probes=rank"):
        found(START, [{**one, "probes": []} for one in deep_start(1)])


# --- training and inference


def test_half_of_the_gap_is_the_mark_and_batches_count_alike():
    made = batch_size(1)
    parts = by_part(MISMATCH, made)
    names = ["exact statistics", "renorm"]
    assert [*parts] == [
        *names,
        *(f"{name}, batches of {size}" for name in names for size in (2, 4)),
        "gap",
        "gap, batches of 2",
        "gap, batches of 4",
    ]
    plain = {**OF_BN, "norm.ghost_size": None}
    bn = {size: finals(made, {**plain, "trainer.batch_size": size}) for size in (2, 4, 60)}
    for name, changed in zip(
        names, ({"norm.population": "exact"}, {"norm.renorm": True}), strict=True
    ):
        cured = {
            size: finals(made, {**plain, **changed, "trainer.batch_size": size}) for size in (2, 4)
        }
        contrast = {size: cured[size] - bn[size] - (bn[60] - bn[size]) / 2 for size in (2, 4)}
        both = (contrast[2] + contrast[4]) / 2
        assert parts[name].effect.values == pytest.approx(both)
        gap = bn[60] - (bn[2] + bn[4]) / 2
        assert parts[name].p == pytest.approx(max(p_of(both), p_of(gap)))
        for size in (2, 4):
            assert parts[f"{name}, batches of {size}"].effect.values == pytest.approx(
                contrast[size]
            )
    assert parts["gap"].effect.mean == pytest.approx(15)
    assert parts["gap, batches of 4"].effect.mean == pytest.approx(10)
    assert "batches of 2: 16.00 of 20.00 points, 80% (optimizer.lr=0.1; BN: optimizer.lr=0.1)" in (
        parts["exact statistics"].sentence
    )


@pytest.mark.parametrize("gap", [0.0, -1.0])
def test_where_bn_loses_nothing_there_is_nothing_to_close(gap: float):
    """With a negative gap the difference itself is clearly above, or below, half of it."""
    for sign in (1, -1):
        parts = by_part(MISMATCH, batch_size(sign, gap=gap))
        for name in ("exact statistics", "renorm", "renorm, batches of 2"):
            assert parts[name].verdict == INCONCLUSIVE
            assert parts[name].p >= 0.05
            assert "there is nothing to close" in parts[name].sentence
        assert parts["gap"].verdict == (CONTRADICTED if gap else INCONCLUSIVE)


def test_the_arms_of_batch_size_are_told_apart_by_their_settings():
    """Whatever their order; and six of them are judged for small-batches too."""
    made = batch_size(1)
    others = sorted(made, key=lambda one: one["reported"][2])
    first, second = by_part(MISMATCH, made), by_part(MISMATCH, others)
    assert {k: v.effect.mean for k, v in first.items()} == pytest.approx(
        {k: v.effect.mean for k, v in second.items()}
    )
    [small] = [claim for claim in recipe.CLAIMS if claim.id == "small-batches"]
    parts = [one.part for one in small.judge(trial_evidence(made))]
    assert parts == ["", "without batches of 2", *[*BATCH_ARMS][2:]]


def test_batches_or_arms_that_are_missing_are_named():
    made = batch_size(1)
    with pytest.raises(MeasureError, match="needs batches of 4 too"):
        found(MISMATCH, [one for one in made if one["row"]["trainer.batch_size"] != 4])
    with pytest.raises(MeasureError, match=r"needs one arm with .*norm\.population=exact"):
        found(MISMATCH, [one for one in made if not one["reported"][2].endswith("exact")])


def test_diverged_runs_count_as_chance_and_are_told():
    made = batch_size(1)
    for one in made:
        if one["reported"][2] == "norm=batch" and one["row"]["trainer.batch_size"] == 2:
            one["row"] |= {"status": DIVERGED, "test_accuracy": None}
    parts = by_part(MISMATCH, made)
    assert parts["gap, batches of 2"].effect.mean == pytest.approx(85)
    assert "Diverged, counted as chance: 10 of 10 runs with batches of 2, 0 of 10" in (
        parts["gap, batches of 2"].sentence
    )
    assert "exact, 10 of 30 with BN." in parts["exact statistics"].sentence


# --- other methods


def test_each_method_is_compared_with_bn():
    made = substitutes(1)
    parts = by_part(SAME, made)
    assert [*parts] == ["all", *alternatives.SUBSTITUTES, "none"]
    batch = finals(made, {"norm.kind": "batch"})
    for name, settings in alternatives.SUBSTITUTES.items():
        kind = {"norm.kind": "none", "model.skip_init": False, "model.fixup": False, **settings}
        apart = finals(made, kind) - batch
        assert parts[name].effect.values == pytest.approx(apart)
        assert parts[name].verdict == EQUAL
    assert parts["none"].beside
    assert parts["all"].p == max(parts[name].p for name in alternatives.SUBSTITUTES)


@pytest.mark.parametrize("off", [0.01, -0.01])
def test_one_method_that_is_better_or_worse_contradicts(off: float):
    arm = "norm=none model.fixup=true"
    parts = by_part(SAME, substitutes(1, apart={arm: off}))
    assert [name for name, one in parts.items() if one.verdict == CONTRADICTED] == ["all", "Fixup"]
    assert parts["all"].effect.mean == pytest.approx(100 * off)
    assert parts["all"].p < 0.05
    assert "RMS Norm, weight standardization, SkipInit: equal; Fixup: contradicted." in (
        parts["all"].sentence
    )


def test_what_none_does_is_not_asked():
    parts = by_part(SAME, substitutes(1, apart={"norm=none": -0.2}))
    assert parts["all"].verdict == SUPPORTED
    assert parts["none"].effect.mean == pytest.approx(-20)


def test_of_residual_networks_every_part_says_so_and_is_secondary():
    for one in found(RESIDUAL, substitutes(1)):
        assert one.part.startswith("residual network, ")
        assert not one.primary


# --- shortcuts


def test_residual_connections_are_asked_for_in_all_four_networks():
    made = skips(1)
    parts = by_part(SKIPS, made)
    networks = [f"{depth} layers of {kind}" for kind, depth in NETWORKS]
    assert [*parts] == [
        name
        for skip in ("residual", "highway")
        for name in (skip, *(f"{skip}, {network}" for network in networks))
    ]
    for (kind, depth), skip in itertools.product(NETWORKS, WAYS[1:]):
        settings = {"model.activation": kind, "model.hidden": "-".join(["100"] * depth)}
        plain, other = (finals(made, {**settings, "model.skip": way}) for way in ("none", skip))
        part = parts[f"{skip}, {depth} layers of {kind}"]
        assert part.effect.values == pytest.approx(other - plain)
        assert part.p == pytest.approx(p_of(other - plain))
    assert parts["residual"].p == max(parts[f"residual, {network}"].p for network in networks)


def test_three_networks_of_four_are_not_enough():
    parts = by_part(SKIPS, skips(1, but=("sigmoid", 50)))
    assert parts["residual"].verdict == INCONCLUSIVE
    assert parts["residual"].effect == parts["residual, 50 layers of sigmoid"].effect
    assert parts["residual, 50 layers of relu"].verdict == SUPPORTED
