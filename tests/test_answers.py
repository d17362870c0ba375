"""What came out of runs, in words for a reader who has seen nothing else; and fitting targets."""

import numpy as np
import pytest
from made_trial import NOISE
from synthetic import run, runs
from synthetic_trial import trial

from bnexp.analysis.answers import Answer, answer
from bnexp.analysis.answers.trial import trial_answer
from bnexp.analysis.targets import percent, targets
from bnexp.folders.runs import DIVERGED

BATCH = {"norm.kind": "batch"}


def sweep(finals, rates=(0.1,), seeds=6, **config):
    """Runs of none and batch; `finals` gives the accuracy of an arm at a rate."""
    made = []
    for arm in ("none", "batch"):
        for rate in rates:
            for seed in range(seeds):
                final = finals(arm, rate) + NOISE[arm == "batch"][seed] / 1000
                changes = {"norm.kind": arm, "optimizer.lr": rate, **config}
                made.append(run(changes, [0.5, final / 2 + 0.4, final], seed=seed, classes=10))
    return runs(made)


# ---- what came out -------------------------------------------------------------------------------


def test_two_arms_are_told_by_their_difference_with_its_interval():
    found = answer(sweep(lambda arm, rate: 0.96 if arm == "batch" else 0.93))
    assert found.headline.startswith("Batch Normalization reaches 96.0")
    assert "test accuracy, no normalization 93.0" in found.headline
    assert "points on 6 seeds; more accurate." in found.headline
    assert "[2." in found.headline or "[3." in found.headline
    [row] = found.blocks[0].table.to_dict("records")
    assert (row["arm"], row["seeds"], row["verdict"]) == ("batch", 6, "more accurate")
    assert "pair by pair" in found.sure


def test_a_slower_and_a_worse_arm_is_told_as_such():
    found = answer(sweep(lambda arm, rate: 0.90 if arm == "batch" else 0.95))
    assert "less accurate." in found.headline
    assert "−5." in found.headline


def test_where_rates_vary_each_arm_is_compared_at_its_own_best_first():
    """At one rate for both, BN would win by 40 points; at each arm's own by one."""

    def finals(arm, rate):
        return {"none": {0.1: 0.95, 1.0: 0.50}, "batch": {0.1: 0.90, 1.0: 0.96}}[arm][rate]

    first, every = answer(sweep(finals, rates=(0.1, 1.0))).blocks
    assert "own best learning rate" in first.title
    assert dict(first.settings)["none"] == "lr=0.1 (the lowest tried)"
    assert "+1.0" in first.headline
    assert len(every.table) == 2
    assert (
        "a higher test accuracy than no normalization in 1 of 2 conditions and a lower one in 1"
        in (every.headline)
    )
    assert "(lr=0.1) to +46" in every.sentences[0]


@pytest.mark.parametrize(
    ("seeds", "told"), [(3, "too few for a verdict, which takes 6"), (1, "One seed each")]
)
def test_few_seeds_give_no_verdict(seeds, told):
    found = answer(sweep(lambda arm, rate: 0.96 if arm == "batch" else 0.93, seeds=seeds))
    assert told in f"{found.headline} {found.sure}"
    assert "more accurate" not in found.headline


def test_a_single_run_says_what_it_reached():
    found = answer(runs([run(BATCH, [0.5, 0.9314])]))
    assert found.headline == "Batch Normalization reaches 93.14% test accuracy (1 seed)."


def test_one_arm_in_several_conditions_says_its_best_and_worst():
    made = [run({**BATCH, "optimizer.lr": lr}, [lr], seed=s) for lr in (0.2, 0.9) for s in range(2)]
    found = answer(runs(made))
    assert "90.00% [90.00%, 90.00%] test accuracy at best (lr=0.9) and 20.00%" in found.headline


def test_what_has_not_ended_or_only_diverged_is_told_too():
    going = runs([run({}, [0.5], status="unfinished"), run(BATCH, [0.5], status="unfinished")])
    assert answer(going).headline == "No run has ended yet."
    lost = [run({"norm.kind": arm}, [], status=DIVERGED, classes=10) for arm in ("none", "batch")]
    assert "10.00%" in answer(runs(lost)).headline


def test_a_trial_leads_with_its_verdict_and_tells_what_was_chosen():
    def curve(arm, seed):
        final = (0.97 if arm == "norm=batch" else 0.94) + NOISE[arm == "norm=batch"][
            seed % 10
        ] / 1e3
        return list(np.linspace(0.1, final, 40))

    record, made = trial(curve)
    found = trial_answer(record, made)
    assert found.headline.startswith(
        "Batch Normalization is more accurate and faster in steps than no normalization"
    )
    assert "Test accuracy is 97.00% against 94.00%: +3.00 [" in found.headline
    [block] = found.blocks
    assert dict(block.settings)["norm=batch"].startswith("optimizer.lr=0.1")
    assert list(block.table["measure"])[:2] == ["test accuracy", "steps to 90%"]
    assert "fast" in block.table["difference [95% interval]"][1]
    assert "10 seeds that no tuning run had" in found.sure


def test_an_answer_survives_the_cache():
    found = answer(sweep(lambda arm, rate: 0.96 if arm == "batch" else 0.93, rates=(0.1, 1.0)))
    again = Answer.from_json(found.as_json())
    assert again.as_json() == found.as_json()


# ---- targets that fit ----------------------------------------------------------------------------


def test_targets_are_what_half_of_the_arms_and_the_best_ones_reach():
    made = runs(
        [
            run({"optimizer.lr": lr}, [0.2, best], seed=seed)
            for lr, best in ((0.1, 0.943), (0.2, 0.958), (0.4, 0.972), (0.8, 0.981))
            for seed in range(2)
        ]
    )
    assert targets(made) == (0.8, 0.955, 0.97)


@pytest.mark.parametrize(
    ("best", "expected"),
    [(0.43, (0.25, 0.4)), (0.9934, (0.92, 0.993)), (0.12, ()), (1.0, (0.97, 0.999))],
)
def test_targets_fit_hard_and_easy_data_alike(best, expected):
    """An accuracy of 43% has targets too; nothing that only guesses has one."""
    found = targets(runs([run({}, [0.05, best], classes=10)]))
    assert found == pytest.approx(expected)


def test_a_target_is_never_above_what_was_reached():
    for best in np.linspace(0.2, 0.999, 50):
        found = targets(runs([run({}, [0.1, float(best)], classes=10)]))
        assert max(found) <= best
        assert list(found) == sorted(set(found))
    assert percent(0.965) == "96.5%"
