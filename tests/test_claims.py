"""The claims of Fig. 1 give each of their verdicts where a trial says so; judging as a whole."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from synthetic import noise, rising, run, runs

from bnexp.analysis.claims import figure1
from bnexp.analysis.claims import judge as judging
from bnexp.analysis.claims.judge import all_claims, family, judge
from bnexp.analysis.claims.model import PAPER, WHY, Claim, Finding, could_tell
from bnexp.analysis.evidence import Evidence, evidence
from bnexp.analysis.statistics import CONTRADICTED, INCONCLUSIVE, SUPPORTED, t_interval
from bnexp.folders.runs import DIVERGED

ARMS = ("none", "batch")
BY_ID = {claim.id: claim for claim in figure1.CLAIMS}
VERDICT = {1: SUPPORTED, -1: CONTRADICTED, 0: INCONCLUSIVE}


def advantage(arm: str, sign: int, size: float) -> float:
    """What an arm is better by, if BN is to be better (1), worse (-1) or as good (0)."""
    return sign * size / 2 * (1 if arm == "batch" else -1)


def higher_accuracy(sign: int, seeds: int):
    """A sweep over rates, for the tables."""
    for arm, lr, seed in itertools.product(ARMS, (0.1, 1.0), range(seeds)):
        final = 0.9 + advantage(arm, sign, 0.04) + 0.002 * noise(arm, seed) - 0.05 * (lr == 0.1)
        yield run({"norm.kind": arm, "optimizer.lr": lr}, rising(final), seed=seed, sweep="fig1")


def activations(arm: str, sign: int, seed: int):
    move = 0.1 * 2 ** (-2 * advantage(arm, sign, 1) + 0.2 * noise(arm, seed % 5))
    for step, layer in itertools.product(range(0, 3001, 500), "123"):
        for statistic in ("median_move", "spread_move"):
            yield step, "activations", layer, statistic, move
        yield step, "activations", layer, "spread", 2.0


def figure_1(sign: int, seeds: int, *, dead: int = 0) -> Evidence:
    """A trial as of preset fig1, in which both criteria and parts chose the same runs."""
    made, ids = [], {arm: {} for arm in ARMS}
    for arm, seed in itertools.product(ARMS, range(100, 100 + seeds)):
        drawn = noise(arm, seed % 5)
        final = 0.975 + advantage(arm, sign, 0.008) + 0.0005 * drawn
        steps = 12 - 8 * advantage(arm, sign, 1) + 0.5 * drawn
        curve = np.clip(final * np.arange(1, 31) / steps, 0, final)
        died = arm == "none" and seed - 100 < dead
        ids[arm][str(seed)] = f"r{len(made)}"
        made.append(
            run(
                {"norm.kind": arm},
                [] if died else list(curve),
                seed=seed,
                sweep="fig1",
                probes=activations(arm, sign, seed),
                classes=10,
                **({"status": DIVERGED} if died else {}),
            )
        )
    return replace(evidence(runs(made)), trial=record(ids))


def record(ids: dict[str, dict[str, str]]) -> dict[str, Any]:
    chosen = {
        f"norm={arm}": {
            "chosen": {"optimizer.lr": 1.0},
            "edges": {"optimizer.lr": "highest"} if arm == "none" else {},
            "report": ids[arm],
            "matched": {f"norm={other}": ids[other] for other in ARMS},
        }
        for arm in ARMS
    }
    parts = [
        {"part": part, "choose_by": by, "target": 0.95, "arms": chosen}
        for part in ("tuned", "as_published")
        for by in ("accuracy", "steps")
    ]
    return {"settings": {}, "plan": {}, "trials": [{"condition": "", "parts": parts}]}


def findings(claim: str, sign: int, seeds: int = 10, **how: int) -> list[Finding]:
    return list(BY_ID[claim].judge(figure_1(sign, seeds, **how)))


@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("claim", BY_ID)
def test_verdict(claim: str, sign: int):
    [primary] = [one for one in findings(claim, sign) if one.primary]
    assert primary.verdict == VERDICT[sign]
    assert primary.part.startswith("tuned" if claim != "stable-inputs" else "as published")


@pytest.mark.parametrize("claim", BY_ID)
def test_five_seeds_are_inconclusive(claim: str):
    assert {one.verdict for one in findings(claim, 1, seeds=5)} == {INCONCLUSIVE}


@pytest.mark.parametrize("claim", BY_ID)
def test_sentences_and_effects_are_whole(claim: str):
    for finding in findings(claim, 1):
        assert "nan" not in finding.sentence
        assert "Could have told" in finding.sentence
        assert finding.sentence.endswith(".")
        assert np.isfinite([finding.effect.mean, finding.effect.low, finding.effect.high]).all()
        assert np.isfinite(finding.p)
        assert finding.measure
        assert finding.unit


def test_no_effect_is_called_detectable_where_all_seeds_are_alike():
    """As the largest rate of a grid can be; 0.1 added up six times is not 0.6."""
    alike = "All seeds have the same value, so the interval has no width; sign-flip p = 0.031."
    assert could_tell(t_interval([0.1] * 6)) == f" {alike}"
    assert " Could have told " in could_tell(t_interval([0.1] * 5 + [0.2]))


def test_the_parts_are_those_of_the_protocol():
    assert [one.part for one in findings("higher-accuracy", 1)] == [
        "tuned",
        "as published",
        "as published, both at the rate of norm=none",
        "as published, both at the rate of norm=batch",
    ]
    parts = [one.part for one in findings("faster-training", 1)]
    assert parts[:4] == ["tuned, 95%", "tuned, 90%", "tuned, 97%", "tuned, 95%, seconds"]
    assert parts[4:] == [part.replace("tuned", "as published") for part in parts[:4]]


def test_edges_and_deaths_are_told_and_a_diverged_run_counts_as_chance():
    [first, *_] = findings("higher-accuracy", 1, dead=3)
    assert "optimizer.lr=1 (the highest tried)" in first.sentence
    assert "Diverged, counted as chance: 0 of 10 runs with norm=batch, 3 of 10" in first.sentence
    assert first.effect.mean > 20
    [first, *_] = findings("faster-training", 1, dead=3)
    assert "Never there, counted as the budget: 0 of 10 runs with norm=batch, 3" in first.sentence


@pytest.mark.parametrize("claim", BY_ID)
def test_runs_that_are_no_trial_say_so(claim: str):
    found = runs(list(higher_accuracy(1, 3)))
    judgements = [one for one in judge(found) if one.claim.id == claim]
    assert [one.findings for one in judgements] == [[]]
    assert "experiment=fig1" in judgements[0].reason


def test_without_its_runs_a_claim_is_not_run():
    other = runs([run({}, [0.5], sweep="another")])
    for judgement in judge(other):
        assert not judgement.findings
        assert judgement.reason == f"no runs of experiment={judgement.claim.sweep}"


def test_the_family_is_that_of_the_protocol():
    ids = {section: {c.id for c in all_claims() if c.section == section} for section in "AW"}
    assert (len(ids[PAPER]), len(ids[WHY]), family()) == (19, 11, 30)


def test_a_claim_of_ones_own_that_fails_costs_no_other(monkeypatch):
    def broken(found: Evidence):
        raise KeyError("lr")

    own = Claim("mine", "Mine.", "me", "Rule R.", "my_sweep", broken)
    monkeypatch.setattr(judging, "all_claims", lambda: [own, *figure1.CLAIMS])
    first, *others = judge(runs([run({}, [0.5], sweep="my_sweep")]))
    assert first.reason == "its judge failed: KeyError: 'lr'"
    assert len(others) >= len(figure1.CLAIMS)
