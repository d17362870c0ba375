"""Of a trial, what it judges is kept apart from what it was tuned by."""

from collections.abc import Iterator
from typing import Any

import pytest
from made_trial import REPORT_SEEDS, TUNE_SEEDS, judged, trial_of
from synthetic import rising, run

from bnexp.analysis import tables
from bnexp.analysis.answers.trial import trial_answer
from bnexp.analysis.curves import mean_curves
from bnexp.analysis.evidence import Evidence
from bnexp.analysis.figures import Wanted, curves, depth, drawn_by, rates, targets
from bnexp.analysis.judged import (
    COMPARED,
    OTHER,
    OWN,
    TUNING,
    comparisons,
    tuning_runs,
    with_comparisons,
)
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.report import data
from bnexp.analysis.report.seeds import seeds_data
from bnexp.analysis.targets import targets as fitting

LR = "optimizer.lr"
ARMS = {"norm=none": {"norm.kind": "none"}, "norm=batch": {"norm.kind": "batch"}}
HEIGHTS = {"none": 0.9, "batch": 0.95}
CHOSEN, FACTOR = 1.0, 5.0


def single_runs() -> Iterator[dict[str, Any]]:
    """Tuning at three rates, of which 1 was chosen; report runs there and at five times it."""
    for arm, height in HEIGHTS.items():
        for lr in (0.1, CHOSEN, 10.0):
            for seed in TUNE_SEEDS[:2]:  # worse than the fresh seeds, so that a mix would tell
                yield run({"norm.kind": arm, LR: lr}, rising(height - 0.2, 10), seed=seed)
        for lr, loss in ((CHOSEN, 0.0), (CHOSEN * FACTOR, 0.05)):
            for seed in REPORT_SEEDS:
                yield run({"norm.kind": arm, LR: lr}, rising(height - loss, 10), seed=seed)


@pytest.fixture(scope="module")
def runs() -> Evidence:
    made = list(single_runs())
    record = trial_of(made, ARMS, rate=CHOSEN)
    [one] = record["trials"]
    one |= {"grid": {LR: [0.1, CHOSEN, 10.0]}, "lacking": {}}
    [part] = one["parts"]
    part["target"] = 0.8
    at_five = trial_of(made, ARMS, rate=CHOSEN * FACTOR)["trials"][0]["parts"][0]["arms"]
    report = {arm: found["report"] for arm, found in at_five.items()}
    part["factors"] = [{"setting": LR, "factor": FACTOR, "report": report}]
    return judged(made, record)


def record_of(runs: Evidence) -> dict[str, Any]:
    assert runs.trial is not None
    return dict(runs.trial)


def test_comparisons_are_named_by_whose_choice_all_have(runs):
    found = comparisons(record_of(runs))
    assert [one.name for one in found] == [OWN, "all with none’s choice, lr × 5"]
    assert [list(one.ids) for one in found] == [["none", "batch"]] * 2


def test_no_mean_is_of_runs_that_tuned_and_runs_that_judge(runs):
    apart = with_comparisons(runs)
    table = apart.runs
    assert len(table) == len(runs.runs)
    assert set(table[COMPARED]) == {OWN, "all with none’s choice, lr × 5", TUNING}
    seeds = table.groupby([CONDITION, ARM])["seed"]
    assert set(seeds.min()) == {0, 100} and set(seeds.nunique()) == {2, 10}
    means = mean_curves(apart, "val_accuracy")
    last = means[(means[CONDITION] == OWN)].groupby(ARM)["mean"].last()
    assert last.to_dict() == pytest.approx(HEIGHTS)


def test_a_run_on_fresh_seeds_that_no_comparison_shows_is_called_so(runs):
    record = record_of(runs)
    [one] = record["trials"]
    two = [one["parts"][0], {**one["parts"][0], "choose_by": "steps", "factors": []}]
    made = Evidence(
        runs.runs, runs.history, runs.probes, trial={**record, "trials": [{**one, "parts": two}]}
    )
    found = with_comparisons(made).runs[COMPARED].value_counts().to_dict()
    assert found == {"chosen by accuracy": 20, "chosen by steps": 20, OTHER: 20, TUNING: 12}


def test_what_was_tried_is_without_fresh_seeds(runs):
    tried = tuning_runs(runs)
    assert set(tried.runs["seed"]) == {0, 1}
    assert set(tried.runs[LR]) == {0.1, CHOSEN, 10.0}


def test_runs_of_no_trial_are_as_they_are():
    made = judged(list(single_runs()))
    assert with_comparisons(made) is made
    assert tuning_runs(made) is made


def test_the_table_begins_with_what_is_judged(runs):
    table = tables.summarize(runs)
    assert list(table[CONDITION][:2]) == [OWN, OWN]
    assert list(table["n"][:4]) == [10] * 4
    assert table["final_val_accuracy_mean"][0] == pytest.approx(0.9)


def test_targets_are_of_what_is_judged_with_the_trials_own(runs):
    assert 0.8 in fitting(runs)
    assert max(fitting(runs)) <= 0.95


def test_the_page_shows_first_what_is_judged_alone(runs):
    found = data.curves_data(runs)
    assert found is not None
    names = [key["name"] for key in found["keys"]]
    chips = [name for name in names if not data.of_arm(name)]
    place = chips.index(COMPARED)
    [chosen] = found["selection"][place]
    assert found["keys"][names.index(COMPARED)]["values"][chosen] == OWN
    shown = [group for group in found["groups"] if group[1 + names.index(COMPARED)] == chosen]
    assert len(shown) == 2
    rates_ticked = found["selection"][chips.index(LR)]
    assert len(rates_ticked) == len(found["keys"][names.index(LR)]["values"])


def test_single_runs_on_the_page_keep_their_ids(runs):
    found = seeds_data(runs)
    assert found is not None
    assert set(found["runs"]) == set(runs.runs.index)


def test_curves_and_steps_are_of_what_is_judged(runs):
    for module in (curves, targets):
        [drawing, *_] = drawn_by(module, runs, Wanted(("val_accuracy",)))
        assert "10 seeds" in drawing.caption and "without the tuning runs" in drawing.caption
        assert OWN in drawing.alt and "lr × 5" in drawing.alt


def test_the_figure_of_rates_is_of_what_was_tried(runs):
    [drawing] = drawn_by(rates, runs, Wanted(("val_accuracy",)))
    assert "2 seeds" in drawing.caption


def test_depth_is_of_each_arms_own_choice():
    made, conditions = [], {}
    for width, lower in (("100", 0.0), ("100-100", 0.3)):
        conditions[f"model.hidden={width}"] = {"model.hidden": width}
        for arm, height in HEIGHTS.items():
            for seed in (*TUNE_SEEDS[:1], *REPORT_SEEDS):
                settings = {"norm.kind": arm, LR: CHOSEN, "model.hidden": width}
                made.append(run(settings, rising(height - lower, 10), seed=seed))
    record = trial_of(made, ARMS, conditions=conditions)
    [drawing] = drawn_by(depth, judged(made, record), Wanted(("val_accuracy",)))
    assert "10 seeds" in drawing.caption
    assert len(drawing.figure.axes) == 1


def test_speed_is_told_of_the_runs_that_were_chosen_for_it(runs):
    """Chosen by accuracy BN is faster too; chosen for speed, both are as fast."""
    made = list(single_runs())
    slow = [run({"norm.kind": "none", LR: 7.0}, rising(0.95, 10), seed=s) for s in REPORT_SEEDS]
    fast = [run({"norm.kind": "batch", LR: 7.0}, rising(0.95, 10), seed=s) for s in REPORT_SEEDS]
    made += slow + fast
    record = trial_of(made, ARMS, rate=CHOSEN)
    speedy = trial_of(made, ARMS, rate=7.0)["trials"][0]["parts"][0]
    [one] = record["trials"]
    one["parts"] = [
        one["parts"][0] | {"target": 0.8},
        speedy | {"choose_by": "steps", "target": 0.8},
    ]
    found = trial_answer(record, judged(made, record))
    first, _, second = found.headline.partition("; ")
    assert "is more accurate than" in first and "steps" not in first
    assert second.startswith("tuned for speed, no difference between")
    assert [block.first for block in found.blocks] == [True, True]


@pytest.mark.parametrize(("early", "scale"), [(0, "linear"), (200, "log")])
def test_steps_are_logarithmic_where_early_ones_were_evaluated_more_often(early, scale):
    made = [
        run({"norm.kind": arm, "trainer.early_steps": early}, rising(height, 10), seed=seed)
        for arm, height in HEIGHTS.items()
        for seed in range(3)
    ]
    [drawing] = drawn_by(curves, judged(made), Wanted(("val_accuracy",)))
    assert {axis.get_xscale() for axis in drawing.figure.axes} == {scale}
    on_the_page = data.curves_data(judged(made))
    assert on_the_page is not None and on_the_page["early"] is (scale == "log")
