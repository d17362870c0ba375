"""Tuning: alike for all arms, growing at edges, resumable; error rates of trials of known arms."""

import math

import numpy as np
import pytest

from bnexp.analysis import statistics
from bnexp.analysis.statistics import INCONCLUSIVE, SUPPORTED
from bnexp.sweeps import tuning
from bnexp.sweeps.tuning import FULL, HIGHEST, LOWEST, SHORT, Design, Trying, tune

LR, SCALE = "optimizer.lr", "init.scale"


def design(**changes) -> Design:
    given = {
        "arms": ("none", "batch"),
        "grid": {LR: (0.1, 1.0, 10.0), SCALE: (1, 2)},
        "parts": {"tuned": {}},
        "choose_by": ("accuracy",),
        "tune_seeds": (0, 1),
        "report_seeds": tuple(range(100, 110)),
    }
    return Design(**given | changes)


class Trainer:
    """Runs what is wanted, by a function for networks; remembers what it was asked for."""

    def __init__(self, accuracy, lacking=()) -> None:
        self.accuracy, self.lacking = accuracy, set(lacking)
        self.done: dict[Trying, float] = {}
        self.stages = 0

    def score(self, one: Trying, criterion: str):
        return self.done.get(one)

    def has(self, arm: str, key: str) -> bool:
        return (arm, key) not in self.lacking

    def allowed(self, arm: str, key: str, value) -> bool:
        return value < 1000

    def finish(self, plan: Design, *, at_once: int | None = None):
        while True:
            found = tune(plan, self.score, self.has, self.allowed)
            if not found.wanted:
                return found
            self.stages += 1
            assert self.stages < 1000
            for one in found.wanted[:at_once]:
                assert one not in self.done
                self.done[one] = self.accuracy(plan, one)


def peak(at: dict[str, float]):
    """Accuracy that falls off with the distance of the learning rate from an arm's best."""

    def accuracy(plan: Design, one: Trying) -> float:
        cell = dict(zip(plan.grid, one.cell, strict=True))
        return 0.9 - 0.1 * abs(math.log10(cell[LR] / at[one.arm])) - 0.01 * one.seed

    return accuracy


def chosen(found, arm: str, plan: Design):
    [choice] = [choice for choice in found.choices if choice.arm == arm]
    return dict(zip(plan.grid, choice.cell, strict=True)), choice


def test_every_arm_is_tried_with_every_combination_on_every_tuning_seed():
    trainer, plan = Trainer(peak({"none": 1, "batch": 1})), design()
    trainer.finish(plan)
    for arm in plan.arms:
        tried = {(one.cell, one.seed) for one in trainer.done if one.arm == arm}
        assert len(tried) == 6 * 2
        assert {seed for _, seed in tried} == {0, 1}
    assert not {one.seed for one in trainer.done} & set(plan.report_seeds)


def test_a_best_at_an_edge_grows_the_grid_for_all_arms():
    trainer, plan = Trainer(peak({"none": 100, "batch": 1})), design()
    found = trainer.finish(plan)
    assert list(found.grid[LR]) == [0.1, 1, 10, 100, 1000][:4]  # 1000 is not allowed
    none, choice = chosen(found, "none", plan)
    assert none[LR] == 100
    for arm in plan.arms:
        assert {one.cell[0] for one in trainer.done if one.arm == arm} == {0.1, 1, 10, 100}
    assert choice.edges == {LR: HIGHEST}  # as it could grow no further
    assert chosen(found, "batch", plan)[1].edges == {}


def test_grids_grow_three_times_at_most_and_the_edge_is_told():
    trainer, plan = Trainer(peak({"none": 1e-9, "batch": 1})), design()
    found = trainer.finish(plan)
    assert list(found.grid[LR]) == [0.0001, 0.001, 0.01, 0.1, 1, 10]
    assert chosen(found, "none", plan)[1].edges == {LR: LOWEST}


def test_a_limit_stops_growth():
    trainer = Trainer(peak({"none": 1e-9, "batch": 1}))
    found = trainer.finish(design(limit=8))
    assert math.prod(map(len, found.grid.values())) <= 8


@pytest.mark.parametrize(
    ("halving", "highest", "edges"),
    [(False, 100, {LR: HIGHEST}), (True, 10, {})],  # dropped on the seed on which all are alike
)
def test_values_that_are_alike_on_one_seed_alone_are_not_tied(halving, highest, edges):
    def accuracy(plan: Design, one: Trying) -> float:
        return 0.9 + 0.01 * one.seed * math.log10(one.cell[0])

    found = Trainer(accuracy).finish(design(halving=halving))
    assert max(found.grid[LR]) == highest
    assert [choice.edges for choice in found.choices] == [edges, edges]


def test_arms_that_never_learn_grow_nothing():
    found = Trainer(lambda plan, one: 0.1).finish(design())
    assert list(found.grid[LR]) == [0.1, 1, 10]
    assert all(choice.edges == {} for choice in found.choices)


def test_a_setting_that_an_arm_lacks_is_not_tried_for_it():
    trainer, plan = Trainer(peak({"none": 1, "batch": 1}), lacking=[("none", SCALE)]), design()
    trainer.finish(plan)
    assert len({one.cell for one in trainer.done if one.arm == "none"}) == 3
    assert len({one.cell for one in trainer.done if one.arm == "batch"}) == 6


def test_of_equal_combinations_the_first_is_chosen():
    plan = design()
    cell, _ = chosen(Trainer(peak({"none": 1, "batch": 1})).finish(plan), "none", plan)
    assert cell == {LR: 1.0, SCALE: 1}


def test_parts_are_sub_grids_of_the_same_runs():
    trainer = Trainer(lambda plan, one: 0.5 + 0.1 * one.cell[1] - 0.01 * abs(one.cell[0] - 1))
    plan = design(parts={"tuned": {}, "as_published": {SCALE: 1}})
    found = trainer.finish(plan)
    cells = {(c.part, c.arm): c.cell for c in found.choices}
    assert cells["as_published", "none"] == (1.0, 1)
    assert cells["tuned", "none"][1] > 1
    alone = Trainer(trainer.accuracy)
    alone.finish(design())
    assert set(alone.done) == set(trainer.done)  # the part needs no run of its own


def test_each_criterion_chooses_for_itself():
    scores = {"accuracy": lambda lr: -abs(lr - 1), "loss": lambda lr: -abs(lr - 0.1)}
    plan = design(grid={LR: (0.01, 0.1, 1.0, 10.0)}, choose_by=("accuracy", "loss"))
    found = tune(plan, lambda one, by: scores[by](one.cell[0]), lambda *_: True, lambda *_: True)
    assert {(c.criterion, c.cell) for c in found.choices} == {
        ("accuracy", (1.0,)),
        ("loss", (0.1,)),
    }


def test_halving_drops_the_worse_half_of_each_arm_after_each_seed():
    plan = design(grid={LR: (0.01, 0.1, 1.0, 10.0, 100.0)}, tune_seeds=(0, 1, 2), halving=True)
    trainer = Trainer(peak({"none": 1, "batch": 0.5}))
    found = trainer.finish(plan)
    for arm in plan.arms:
        counts = [sum(o.arm == arm and o.seed == seed for o in trainer.done) for seed in (0, 1, 2)]
        assert counts == [5, 3, 2]
    assert chosen(found, "none", plan)[0][LR] == 1


def test_the_best_of_short_runs_are_run_in_full_before_one_is_chosen():
    def accuracy(plan: Design, one: Trying) -> float:
        short = {0.1: 0.5, 1.0: 0.9, 10.0: 0.8}[one.cell[0]]
        return short if one.stage == SHORT else {1.0: 0.7, 10.0: 0.95}[one.cell[0]]

    plan = design(grid={LR: (0.1, 1.0, 10.0)}, short=True, finalists=2, limit=3)
    trainer = Trainer(accuracy)
    found = trainer.finish(plan)
    assert {one.cell[0] for one in trainer.done if one.stage == FULL} == {1.0, 10.0}
    cell, choice = chosen(found, "none", plan)
    assert (cell[LR], choice.stage, choice.score) == (10.0, FULL, pytest.approx(0.95))


@pytest.mark.parametrize("in_full", [0.95, 0.1])
def test_finalists_stay_in_the_running_when_the_grid_grows(in_full):
    """The better a rate looks in short the larger it is; beyond 1 it fails in full."""

    def accuracy(plan: Design, one: Trying) -> float:
        rate = one.cell[0]
        return 0.1 * rate if one.stage == SHORT else {1.0: in_full, 0.1: 0.2}.get(rate, 0.15)

    plan = design(grid={LR: (0.1, 1.0)}, short=True, finalists=1, limit=3)
    found = Trainer(accuracy).finish(plan)
    assert list(found.grid[LR]) == [0.1, 1.0, 10.0]
    cell, choice = chosen(found, "none", plan)
    assert (cell[LR], choice.score) == ((1.0, 0.95) if in_full == 0.95 else (10.0, 0.15))


@pytest.mark.parametrize("at_once", [1, 3, 7])
def test_a_trial_that_is_stopped_again_and_again_chooses_the_same(at_once):
    changes = {"halving": True, "tune_seeds": (0, 1, 2)}
    noisy = np.random.default_rng(0).normal(size=1000)

    def accuracy(plan: Design, one: Trying) -> float:
        place = hash((one.arm, one.cell, one.seed)) % 1000
        return peak({"none": 30, "batch": 0.02})(plan, one) + 0.05 * noisy[place]

    whole = Trainer(accuracy).finish(design(**changes))
    again = Trainer(accuracy).finish(design(**changes), at_once=at_once)
    assert again.choices == whole.choices
    assert again.grid == whole.grid


@pytest.mark.parametrize(
    ("values", "edge", "value"),
    [
        ((0.1, 1.0, 10.0), HIGHEST, 100),
        ((0.03, 0.1, 0.3), LOWEST, 0.009),
        ((1, 2, 4), HIGHEST, 8),
        ((1, 2), LOWEST, None),  # no whole number
        ((0.0, 0.1), LOWEST, None),
        ((10.0, 1.0), HIGHEST, 100),
    ],
)
def test_a_grid_grows_by_its_own_factor(values, edge, value):
    assert tuning.beyond(values, edge) == value


# ---- error rates: 1,000 trials of arms whose true effect is known --------------------------------

SEEDS, NOISE = 10, 0.01
OWN = "norm.momentum"  # a setting that the baseline lacks, so that it has one combination
MOMENTA = tuple(k / 20 for k in range(20))


def simulated(effect: float, generator: np.random.Generator, *, fresh: bool = True) -> str:
    """The verdict of a trial; every combination is as good as the others, so all choice is luck."""
    noise: dict[tuple, float] = {}

    def drawn(arm: str, cell, seed: int) -> float:
        key = (arm, cell, seed)
        if key not in noise:
            noise[key] = NOISE * generator.normal()
        return 0.9 + effect * (arm == "batch") + noise[key]

    plan = design(grid={OWN: MOMENTA}, tune_seeds=tuple(range(SEEDS)), limit=len(MOMENTA))
    trainer = Trainer(lambda _, one: drawn(one.arm, one.cell, one.seed), [("none", OWN)])
    found = trainer.finish(plan)
    cells = {choice.arm: choice.cell for choice in found.choices}
    seeds = plan.report_seeds if fresh else plan.tune_seeds
    ours, theirs = (
        np.array([drawn(arm, cells[arm], seed) for seed in seeds]) for arm in ("batch", "none")
    )
    return statistics.rule_r(statistics.t_interval(ours - theirs))


def share(effect: float, start: int = 0, trials: int = 1000, **how) -> float:
    """How often a verdict is reached."""
    generator = np.random.default_rng(start)
    found = [simulated(effect, generator, **how) for _ in range(trials)]
    return 1 - found.count(INCONCLUSIVE) / trials


def test_without_an_effect_a_trial_finds_one_in_at_most_five_of_a_hundred():
    """Five is what the interval allows: of 1,000 trials 3.9% to 5.6%, so several thousand count."""
    shares = [share(0.0, start) for start in range(3)]
    assert sum(shares) / len(shares) <= 0.05


def test_judged_on_the_seeds_that_chose_it_finds_far_more():
    assert share(0.0, fresh=False) > 0.15


def test_an_effect_of_the_detectable_size_is_found_in_four_of_five():
    spread = statistics.Estimate(SEEDS, 0, NOISE * math.sqrt(2), np.nan, np.nan)
    effect = statistics.detectable(spread)
    generator = np.random.default_rng(2)
    found = [simulated(effect, generator) for _ in range(1000)]
    assert 0.75 <= found.count(SUPPORTED) / 1000 <= 0.85
