"""Runs that train together as one program: the numbers of single runs, and none costs another."""

import signal
from collections import Counter

import pandas as pd
import pytest
import tensorflow as tf
from conftest import SMALL, SMALL_CNN, StopAt, write_npz
from filelock import FileLock
from test_sweep import DATA, LONG, finish, start, wait_for

from bnexp.config.identity import run_id
from bnexp.folders import runs
from bnexp.sweeps.console import LogReporter
from bnexp.sweeps.execute import BUSY, execute
from bnexp.sweeps.pool import Workers
from bnexp.sweeps.together import ON_GPU, execute_together, groups, kept_alone
from bnexp.training import backend, checkpoint, interrupt
from bnexp.training.loop import train_and_evaluate
from bnexp.training.together import Group as Together

SETTINGS = (
    ("seed=0", "optimizer.lr=0.1"),
    ("seed=1", "optimizer.lr=0.2"),
    ("seed=2", "optimizer.lr=0.05"),
)
SHORT = ("trainer.steps=20", "trainer.eval_every=5")


def three(compose, *overrides, place="together"):
    given = (*overrides, f"name={place}", "trainer.together=3")
    return tuple(compose(*given, *settings) for settings in SETTINGS)


def check_equal(group, singles):
    """Folders of the same runs: the same numbers within rounding, in all that a run leaves."""
    for one, other in zip(group, singles, strict=True):
        folders = runs.run_folder(one), runs.run_folder(other)
        tables = [runs.read_history(folder).drop(columns="seconds") for folder in folders]
        pd.testing.assert_frame_equal(*tables, rtol=1e-4)
        results = [runs.read_result(folder) for folder in folders]
        assert results[0]["test_loss"] == pytest.approx(results[1]["test_loss"], rel=1e-4)
        assert not (folders[0] / runs.CHECKPOINT).exists()
        assert results[0]["train_seconds"] > 0


def check_as_singly(compose, *overrides):
    group = three(compose, *overrides)
    results = execute_together(group)
    assert [result["status"] for result in results] == [runs.FINISHED] * 3
    assert [result["together"] for result in results] == [3] * 3
    singles = three(compose, *overrides, place="singly")
    assert not any("together" in execute(config, 1) for config in singles)
    check_equal(group, singles)
    losses = [tuple(runs.read_history(runs.run_folder(one))["train_loss"]) for one in group]
    assert len(set(losses)) == 3


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("small", [SMALL, SMALL_CNN], ids=["mlp", "cnn"])
def test_runs_together_have_the_numbers_of_single_runs(compose, small, norm):
    check_as_singly(compose, *small, *SHORT, f"norm={norm}", "model.dropout=0.3")


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_together_each_run_keeps_the_state_of_its_own_optimizer(compose, optimizer):
    schedule = ("schedule=exponential", "schedule.rate=0.5", "schedule.every=4")
    decay = "optimizer.weight_decay=0.1"
    check_as_singly(compose, *SMALL, *SHORT, f"optimizer={optimizer}", decay, *schedule)


def test_together_each_run_augments_its_own_images(compose):
    check_as_singly(compose, *SMALL, *SHORT, "data.flip=true", "data.crop=1")


def test_exact_population_statistics_and_kept_files_are_each_runs_own(compose):
    kept = ("trainer.predictions=true", "norm.population=exact", "norm.population_batches=5")
    check_as_singly(compose, *SMALL, *SHORT, *kept)
    group, singles = (
        three(compose, *SMALL, *SHORT, *kept, place=p) for p in ("together", "singly")
    )
    for one, other in zip(group, singles, strict=True):
        tables = [pd.read_csv(runs.run_folder(c) / "predictions.csv") for c in (one, other)]
        pd.testing.assert_frame_equal(*tables, atol=2e-3)


def test_a_run_that_diverges_stops_alone(compose):
    settings = [*SETTINGS[:2], ("seed=2", "optimizer.lr=1e38")]
    overrides = (*SMALL, *SHORT, "norm=none", "init.bias=1", "trainer.together=3")
    group = [compose(*overrides, "name=together", *given) for given in settings]
    singles = [compose(*overrides, "name=singly", *given) for given in settings]
    results = execute_together(tuple(group))
    expected = [execute(config, 1) for config in singles]
    assert [result["status"] for result in results] == ["finished", "finished", "diverged"]
    assert [one["steps"] for one in results] == [one["steps"] for one in expected]
    check_equal(group[:2], singles[:2])
    folders = [runs.run_folder(found[2]) for found in (group, singles)]
    assert runs.read_history(folders[0]).equals(runs.read_history(folders[1]))


def interrupt_after(monkeypatch, calls):
    """SIGTERM, heard at the first safe moment after so many runs were told of their steps."""
    told = []

    def step(self, steps):
        told.append(steps)
        if len(told) == calls:
            raise interrupt.Interrupted(signal.SIGTERM)

    monkeypatch.setattr(LogReporter, "step", step)


@pytest.mark.parametrize("calls", [3, 5], ids=["the first run hears it", "the second hears it"])
def test_what_stops_together_goes_on_singly(compose, monkeypatch, calls):
    group = three(compose, *SMALL, *SHORT, "model.dropout=0.3", "optimizer=adam")
    interrupt_after(monkeypatch, calls)
    with pytest.raises(interrupt.Interrupted):
        execute_together(group)
    monkeypatch.undo()
    stored = [checkpoint.load(runs.run_folder(config)) for config in group]
    assert {found[0].steps for found in stored if found} <= {5, 10}
    assert all(stored)
    assert [execute(config, 1)["together"] for config in group] == [3] * 3  # for a part of it
    singles = three(compose, *SMALL, *SHORT, "model.dropout=0.3", "optimizer=adam", place="singly")
    for config in singles:
        execute(config, 1)
    check_equal(group, singles)


def test_what_stopped_singly_goes_on_together_from_wherever_it_is(compose):
    group = three(compose, *SMALL, *SHORT, "model.dropout=0.3")
    for config, calls in zip(group[:2], (1, 3), strict=True):
        runs.make_folder(runs.run_folder(config))
        with pytest.raises(interrupt.Interrupted):
            train_and_evaluate(config, runs.run_folder(config), StopAt(calls))
    assert [result["together"] for result in execute_together(group)] == [3] * 3
    assert "goes on from step 15" in (runs.run_folder(group[1]) / "run.log").read_text()
    singles = three(compose, *SMALL, *SHORT, "model.dropout=0.3", place="singly")
    for config in singles:
        execute(config, 1)
    check_equal(group, singles)


def test_a_program_that_fails_together_is_run_singly_and_the_log_says_so(compose, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "no room for three")

    monkeypatch.setattr(Together, "train", fail)
    group = three(compose, *SMALL, *SHORT)
    results = execute_together(group)
    assert [result["status"] for result in results] == [runs.FINISHED] * 3
    assert not any("together" in result for result in results)
    log = (runs.run_folder(group[0]) / "run.log").read_text()
    assert log.startswith("runs singly, as it failed with others together: ")
    assert "no room for three" in log


def test_a_run_that_fails_by_itself_costs_the_others_nothing(compose, monkeypatch):
    group = three(compose, *SMALL, *SHORT)
    lost = runs.run_folder(group[1])
    write = LogReporter.line

    def line(self, text):
        if self._path.parent == lost:
            raise OSError("no space left")
        write(self, text)

    monkeypatch.setattr(LogReporter, "line", line)
    results = execute_together(group)
    assert [result["status"] for result in results] == ["finished", "failed", "finished"]
    assert [result.get("together") for result in results] == [3, None, 3]


def test_a_run_that_another_process_has_is_left_out(compose):
    group = three(compose, *SMALL, *SHORT)
    taken = runs.run_folder(group[2])
    runs.make_folder(taken)
    with FileLock(taken / ".lock"):
        results = execute_together(group)
    assert [result["status"] for result in results] == ["finished", "finished", BUSY]


def test_groups_hold_runs_of_one_shape_in_their_order(compose):
    mixed = [
        compose(*SMALL, "trainer.together=2", f"seed={seed}", *more)
        for seed in range(3)
        for more in ((), ("optimizer.lr=3",), ("norm=none",), ("trainer.steps=7",))
    ]
    found = groups(mixed)
    assert sorted(map(len, found)) == [1, 1, 2, 2, 2, 2, 2]
    assert sorted(run_id(one) for group in found for one in group) == sorted(map(run_id, mixed))
    assert found[0] == (mixed[0], mixed[1])


@pytest.mark.parametrize("alone", ["probes=activations", "trainer.profile=true"])
def test_runs_that_are_looked_into_are_alone(compose, alone):
    configs = [compose(*SMALL, "trainer.together=4", alone, f"seed={seed}") for seed in range(2)]
    assert groups(configs) == [(configs[0],), (configs[1],)]
    assert kept_alone(configs)[0].startswith("2 runs train singly despite trainer.together: ")


@pytest.mark.parametrize(("gpu", "size"), [(False, 1), (True, ON_GPU)])
def test_unless_asked_runs_are_together_on_a_gpu_alone(compose, monkeypatch, gpu, size):
    monkeypatch.setattr(backend, "seems_to_have_gpu", lambda: gpu)
    found = groups([compose(*SMALL, f"seed={seed}") for seed in range(ON_GPU)])
    assert {len(group) for group in found} == {size}


def test_without_a_gpu_after_all_a_group_that_nobody_asked_for_is_given_back(compose):
    group = tuple(compose(*SMALL, *SHORT, f"seed={seed}") for seed in range(2))
    assert execute_together(group) is None
    with Workers(1) as pool:
        done = list(pool.run(group, lambda _: None, lambda configs: [tuple(configs)]))
    assert [config for config, _ in done] == list(group)
    assert not any("together" in result for _, result in done)


def test_how_many_are_together_is_no_part_of_a_runs_identity(compose):
    assert run_id(compose(*SMALL)) == run_id(compose(*SMALL, "trainer.together=5"))


# --- whole commands


@pytest.fixture
def work(tmp_path):
    write_npz(tmp_path / "tiny.npz")
    return tmp_path


def test_a_mixed_sweep_runs_together_what_is_of_one_shape(work):
    swept = ("norm=none,batch", "seed=0,1", "optimizer.lr=0.1,0.2,1e38")
    sweep = ("--multirun", *DATA, *SMALL, *SHORT, "trainer.together=4", *swept)
    code, output = finish(start(work, *sweep))
    assert code == 0, output
    results = [runs.read_result(path.parent) for path in work.glob("outputs/*/*/result.json")]
    sizes = Counter((one["together"], one["status"]) for one in results if one)
    assert sum(sizes.values()) == 12
    assert {size for size, _ in sizes} == {2, 4}  # of six of a shape
    assert sum(count for (_, status), count in sizes.items() if status == runs.DIVERGED) == 4
    assert "12 runs: 12 done, 0 to do" in finish(start(work, *sweep, "dry_run=true"))[1]


def test_sigterm_stops_a_group_and_leaves_all_of_it_resumable(work):
    sweep = ("--multirun", *LONG, "seed=0,1,2", "trainer.together=3")
    process = start(work, *sweep)
    wait_for(lambda: len(list(work.glob("outputs/*/*/history.csv"))) == 3, process)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 143
    assert "Traceback" not in output
    stored = [checkpoint.load(folder.parent) for folder in work.glob("outputs/*/*/checkpoint")]
    assert len(stored) == 3
    assert len({found[0].steps for found in stored if found}) == 1
    assert "3 to resume" in finish(start(work, *sweep, "dry_run=true"))[1]
