"""What counts for a claim: the preset's own settings, primary parts, corrected for all of them."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_trial import judged as evidence_of
from scipy import stats
from synthetic import rising, run, runs
from test_claims_mechanism import weight_scale

from bnexp.analysis import figures, presets, tables
from bnexp.analysis.claims import judge as judging
from bnexp.analysis.claims.judge import all_claims, judge
from bnexp.analysis.claims.model import (
    MATHEMATICS,
    NOT_RUN,
    OWN,
    PAPER,
    PROTOCOL,
    WHY,
    Claim,
    Finding,
    Judgement,
    by_rule_e,
    by_rule_r,
)
from bnexp.analysis.claims.table import claims_table, exactly, headline
from bnexp.analysis.evidence import Evidence
from bnexp.analysis.report import verdicts
from bnexp.analysis.statistics import (
    CONTRADICTED,
    EQUAL,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
    detectable,
    t_interval,
)
from bnexp.analysis.versions import in_todays_words
from bnexp.config import ConfigError, scientific
from bnexp.config.compose import compose_sweep, composed_sweep
from bnexp.folders import trials
from bnexp.sweeps.trial import refuse_another

WIDTH = np.linspace(-1, 1, 6)


def claim(name: str, section: str = PAPER, sweep: str = "s") -> Claim:
    return Claim(name, f"Statement of {name}.", f"source of {name}", "R.", sweep, list, section)


def finding(effect: Estimate, part: str = "", **changes: Any) -> Finding:
    return by_rule_r(part, "accuracy", "points", effect, "Seen.", **{"primary": True} | changes)


UP, DOWN, OPEN = (t_interval(shift + 0.01 * WIDTH) for shift in (1, -1, 0))


def with_p(p: float, n: int = 6) -> Estimate:
    """An effect whose two-sided t test has this p."""
    mean = float(stats.t.isf(p / 2, n - 1))
    half = float(stats.t.isf(0.025, n - 1))
    return Estimate(n, mean, n**0.5, mean - half, mean + half)


# --- presets: which runs are theirs

GRID, TRIAL = "weight_scale", "jacobian"


@pytest.fixture(scope="module")
def made() -> list[dict[str, Any]]:
    """The runs of a preset that is a grid, as loading makes them, with their probes."""
    probed = {
        (one["row"]["norm.kind"], one["row"]["init.scale"], one["row"]["seed"]): one["probes"]
        for one in weight_scale(1, 6)
    }
    found = []
    for config in compose_sweep(f"experiment={GRID}"):
        flat = in_todays_words(scientific(config))
        probes = probed[flat["norm.kind"], flat["init.scale"], flat["seed"]]
        one = run({}, rising(0.9), sweep=GRID, probes=probes)
        row = {key: value for key, value in one["row"].items() if "." not in key}
        found.append({**one, "row": {**row, **flat}})
    return found


def changed(made: list[dict[str, Any]], which: slice, **settings: Any) -> list[dict[str, Any]]:
    told = {key.replace("__", "."): value for key, value in settings.items()}
    chosen = range(len(made))[which]
    return [
        {**one, "row": {**one["row"], **told}} if i in chosen else one for i, one in enumerate(made)
    ]


def test_the_presets_own_runs_count(made):
    assert presets.claimable(evidence_of(made), GRID) == []
    elsewhere = changed(made, slice(None), data__path="/elsewhere/mnist.npz")
    assert presets.claimable(evidence_of(elsewhere), GRID) == []
    [judgement] = [one for one in judge(runs(made)) if one.claim.sweep == GRID]
    assert judgement.settings == []
    assert [one.verdict for one in judgement.findings if one.primary] == [SUPPORTED]


@pytest.mark.parametrize("which", [slice(None), slice(0, 1)])
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"trainer__steps": 100}, "trainer.steps=100.0"),
        ({"data__kind": "fashion_mnist"}, "data.kind=fashion_mnist"),
        ({"model__kind": "cnn"}, "model.kind=cnn"),
        ({"model__activation": "relu"}, "model.activation=relu"),
        ({"optimizer__lr": 3.0}, "optimizer.lr=3.0"),
        ({"data__binarize": 0.5}, "data.binarize=0.5"),
    ],
)
def test_runs_with_another_setting_never_count(made, settings, named, which):
    """Neither where all have it nor where a single one does."""
    others = changed(made, which, **settings)
    assert presets.claimable(evidence_of(others), GRID) == [named]


def test_other_seeds_fewer_runs_and_other_combinations_do_not_count(made):
    assert presets.claimable(evidence_of(made[1:]), GRID) == ["1 of 36 runs are missing"]
    assert presets.claimable(evidence_of(changed(made, slice(0, 1), seed=7)), GRID) == ["seed=7.0"]
    again = [*made, {**made[0], "row": {**made[0]["row"], "trainer.batch_size": 61}}]
    assert presets.claimable(evidence_of(again), GRID) == ["trainer.batch_size=61.0"]


@pytest.fixture(scope="module")
def trial() -> dict[str, Any]:
    return settings_of()


def settings_of(*overrides: str) -> dict[str, Any]:
    with composed_sweep([f"experiment={TRIAL}", *overrides]) as sweeper:
        from bnexp.sweeps.trial import asked  # only once Hydra has found its plugins

        return asked(sweeper.trials(sweeper.arguments), sweeper.settings)


def of_trial(settings: dict[str, Any] | None) -> Evidence:
    record = settings and {"version": 1, "settings": settings, "plan": {}, "trials": []}
    return evidence_of([run({}, [0.5], sweep=TRIAL)], record)


def test_the_presets_own_trial_counts(trial):
    assert presets.claimable(of_trial(trial), TRIAL) == []
    assert presets.claimable(of_trial(None), TRIAL) == ["no trial (trial.json)"]


def test_a_trial_from_before_a_setting_was_added_counts_and_goes_on(trial, tmp_path):
    """As its runs do, whose ids have no defaults."""
    older = copy.deepcopy(trial)
    for condition in older["conditions"]:
        for arm in condition["arms"].values():
            del arm["model"]["skip"], arm["trainer"]["reshuffle"], arm["optimizer"]["weight_decay"]
    assert presets.claimable(of_trial(older), TRIAL) == []
    trials.write(tmp_path, {"settings": older, "plan": {}, "trials": []})
    folder = SimpleNamespace(sweep_dir=tmp_path)
    refuse_another(folder, trial)
    other = json.loads(json.dumps(trial).replace('"skip": "none"', '"skip": "highway"'))
    with pytest.raises(ConfigError, match=r"other settings \(conditions.*model.skip"):
        refuse_another(folder, other)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("trainer.steps=100", "trainer.steps"),
        ("model.activation=tanh", "model.activation"),
        ("model.hidden=[50,50]", "model.hidden"),
        ("data=fashion_mnist", "data.kind"),
        ("trial.report_seeds=6", "report_seeds"),
        ("trial.tune=optimizer.lr=0.1,1", "tune.optimizer.lr"),
        ("trial.arms=norm=none,layer", "arms"),
    ],
)
def test_a_trial_with_another_setting_never_counts(override, named):
    words = ["probes=none"] if "layer" in override else []
    assert named in presets.claimable(of_trial(settings_of(override, *words)), TRIAL)


def test_a_copy_of_the_data_counts_as_the_data_and_is_told():
    settings = settings_of("data=cifar10")
    for content in (*presets.COPIES, "0" * 64):
        held = copy.deepcopy(settings)
        for arm in held["conditions"][0]["arms"].values():
            arm["data"] |= {"_target_": "bnexp.data.npz.npz", "kind": "npz", "path": "my.npz"}
            arm["data"]["_content_"] = content
        runs, found = of_trial(held), trials.differing(settings, presets._of_originals(held))
        is_copy = content in presets.COPIES
        assert (found == []) == is_copy
        assert ("JPEG" in presets.copy_told(runs)) == is_copy


def test_a_verdict_says_in_what_its_preset_is_smaller(made):
    told = presets.smaller("deep")
    assert told.startswith("The preset is smaller than elsewhere, to fit: tuning runs have 1,500")
    assert told.endswith("2,500 validation images.")
    assert presets.smaller("fig1") == presets.smaller("no_preset") == ""
    shorter = presets.smaller(GRID)
    assert "2,000 in place of 50,000" in shorter
    for rows, is_told in ((made, True), (changed(made, slice(None), trainer__steps=100), False)):
        found = [one for one in judge(runs(rows)) if one.claim.sweep == GRID and one.findings]
        sentences = [finding.sentence for one in found for finding in one.findings]
        assert sentences
        assert all((shorter in sentence) == is_told for sentence in sentences)


def test_a_claim_of_the_users_own_may_name_any_sweep():
    assert presets.claimable(of_trial(None), "no_preset") == []


# --- where they stand


def test_runs_with_other_settings_are_judged_apart(made):
    others = changed(made, slice(None), model__activation="relu")
    first, second = (one for one in judge(runs(others)) if one.claim.sweep == GRID)
    assert (first.findings, first.settings) == ([], ())
    assert first.reason.endswith("those that are here are judged apart")
    assert second.settings == ["model.activation=relu"]
    assert [one.verdict for one in second.findings if one.primary] == [SUPPORTED]


def test_of_several_sweeps_the_one_with_the_presets_settings_counts(made):
    def found(*sweeps: str) -> list[Judgement]:
        copies = [one for sweep in sweeps for one in changed(made, slice(None), sweep=sweep)]
        return [one for one in judge(runs(copies)) if one.claim.sweep == GRID]

    [below] = found(f"reference/{GRID}")
    assert below.findings
    [several] = found(f"a/{GRID}", f"b/{GRID}")
    assert not several.findings
    assert several.reason.endswith(f"a/{GRID}, b/{GRID}")
    apart = changed(made, slice(None), trainer__steps=100, sweep=f"mine/{GRID}")
    counted, mine = (one for one in judge(runs([*made, *apart])) if one.claim.sweep == GRID)
    assert counted.findings
    assert not counted.settings
    assert mine.settings == ["trainer.steps=100.0"]


def apart(name: str, *findings: Finding) -> Judgement:
    return Judgement(claim(name), findings, settings=["trainer.steps", "data.kind"])


def test_what_is_apart_is_in_no_count_and_not_under_the_papers_name():
    table = claims_table(
        [
            Judgement(claim("a"), [finding(UP), finding(DOWN, "other", primary=False)]),
            Judgement(claim("b"), [], "no runs of experiment=s with its settings"),
            apart("b", finding(DOWN)),
        ]
    )
    assert dict(headline(table)) == {SUPPORTED: 1, NOT_RUN: 1}
    assert np.isnan(table["p_holm"].iloc[-1])
    a, mine, absent = verdicts.claim_views(table)
    assert [view.group for view in (a, mine, absent)] == ["judged", "apart", "absent"]
    assert (mine.id, mine.settings) == ("b", "trainer.steps, data.kind")
    assert list(verdicts.printed(table)) == [
        "supported     a",
        "your settings (trainer.steps, data.kind):",
        "contradicted  b",
        f"claims, by {PROTOCOL}, after Holm's correction: 1 supported, 1 not run",
    ]
    text = tables.claims_text(table)
    assert list(text["your settings"]) == ["", "", "", "trainer.steps, data.kind"]
    assert list(text["source"]) == ["source of a", "source of a", "source of b", ""]
    assert set(text["protocol"]) == {PROTOCOL}
    counted, mine_drawn = figures.claims_figures(table)
    assert labels(counted) == ["a", "a: other"]
    assert labels(mine_drawn) == ["b"]
    assert "the runs differ in: trainer.steps, data.kind." in mine_drawn.caption


def labels(drawing: Any) -> list[str]:
    return [one.get_text() for axis in drawing.figure.axes for one in axis.get_yticklabels()]


def test_rows_for_people_of_other_settings_come_last():
    table = claims_table([apart("a", finding(DOWN)), Judgement(claim("b"), [finding(UP)])])
    assert list(tables.claims_text(table)["claim"]) == ["b", "a"]
    assert list(table["claim"]) == ["a", "b"]


# --- what is counted


def test_the_headline_counts_primary_parts_and_mathematics_apart():
    small = Estimate(9, 1e-15, np.nan, np.nan, np.nan)
    exact = Finding("", "error", "relative", small, SUPPORTED, "Small.", null=None)
    equal = by_rule_e("", "accuracy", "points", OPEN, "Seen.", 0.5, primary=True)
    table = claims_table(
        [
            Judgement(claim("up"), [finding(UP), finding(DOWN, "x", primary=False)]),
            Judgement(claim("down", WHY), [finding(DOWN), finding(UP, "y", primary=False)]),
            Judgement(claim("equal", WHY), [equal]),
            Judgement(claim("absent"), [], "no runs"),
            Judgement(claim("own", OWN), [finding(UP)]),
            Judgement(claim("exact", MATHEMATICS, ""), [exact, replace(exact, part="control")]),
            Judgement(
                claim("wrong", MATHEMATICS, ""), [exact, replace(exact, verdict=CONTRADICTED)]
            ),
        ]
    )
    assert dict(headline(table)) == {SUPPORTED: 1, CONTRADICTED: 1, EQUAL: 1, NOT_RUN: 1}
    assert dict(exactly(table)) == {SUPPORTED: 1, CONTRADICTED: 1}
    views = {view.id: view for view in verdicts.claim_views(table)}
    assert [badge.text for badge in views["up"].badges] == [SUPPORTED]
    assert [badge.text for badge in views["up"].secondary] == [f"1 {CONTRADICTED}"]
    assert [badge.symbol for badge in views["equal"].badges] == ["="]
    assert views["own"].group == "yours"
    assert views["own"].protocol == ""
    lines = list(verdicts.printed(table))
    assert "equal         equal" in lines
    assert "your own claims:" in lines
    assert lines[-1] == "claims that are mathematics: 1 supported, 1 contradicted"
    assert not [line for line in lines if line.endswith(": x")]


def test_how_small_an_effect_could_be_told_stands_in_every_form():
    table = claims_table([Judgement(claim("a"), [finding(UP)])])
    assert table["detectable"][0] == pytest.approx(detectable(UP))
    [view] = verdicts.claim_views(table)
    assert view.parts[0].detectable == f"{detectable(UP):.3g}"
    assert tables.claims_text(table)["could tell"][0] == f"{detectable(UP):.2g}"


# --- Holm's correction


def corrected(judgements: list[Judgement]) -> pd.DataFrame:
    return claims_table(judgements).set_index("claim")


def test_the_correction_is_for_all_primary_parts_also_those_not_run():
    absent = [Judgement(claim(f"absent {i}", WHY), [], "no runs") for i in range(28)]
    judgements = [
        Judgement(claim("a"), [finding(with_p(0.001))]),
        Judgement(claim("b"), [finding(with_p(0.002))]),
    ]
    alone, among = corrected(judgements), corrected([*judgements, *absent])
    assert list(alone["p_holm"]) == pytest.approx([0.002, 0.002])
    assert list(among["p_holm"][["a", "b"]]) == pytest.approx([0.03, 0.058])
    assert list(among["verdict"][["a", "b"]]) == [SUPPORTED, SUPPORTED]
    assert list(among["verdict_holm"][["a", "b"]]) == [SUPPORTED, INCONCLUSIVE]


def test_only_primary_parts_of_the_claims_are_corrected():
    part = finding(with_p(0.03))
    exact = Finding("", "error", "relative", UP, SUPPORTED, "Small.", null=None)
    others = [
        Judgement(claim("secondary"), [replace(part, primary=False)]),
        Judgement(claim("beside"), [replace(part, primary=False, beside=True)]),
        Judgement(claim("own", OWN), [part]),
        Judgement(claim("exact", MATHEMATICS, ""), [exact]),
        apart("apart", part),
    ]
    table = corrected([Judgement(claim("a"), [part]), *others])
    assert table["p_holm"]["a"] == pytest.approx(4 * 0.03)  # a, secondary, beside and apart
    assert table["verdict_holm"]["a"] == INCONCLUSIVE
    assert table["p_holm"].drop("a").isna().all()
    for name in ("secondary", "own", "exact", "apart"):
        assert table["verdict_holm"][name] == SUPPORTED


def test_the_family_is_the_claims_of_the_paper_and_of_later_work():
    table = claims_table(judge(runs([run({}, [0.5], sweep="another")])))
    assert set(table["verdict"]) == {NOT_RUN}
    known = {one.id for one in all_claims() if one.section != OWN}
    assert judging.family() == len(known) == 30
    assert dict(headline(table)) == {NOT_RUN: len(known)}
