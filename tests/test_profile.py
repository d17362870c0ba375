"""Where a run's seconds went: the stopwatch, and profile.json."""

import json
from dataclasses import replace
from typing import get_args

import pytest
from conftest import SMALL, SMALL_CNN, StopAt

from bnexp.config import scientific
from bnexp.folders import runs
from bnexp.folders.tables import TableFile
from bnexp.sweeps.execute import execute
from bnexp.training.interrupt import Interrupted
from bnexp.training.loop import train_and_evaluate
from bnexp.training.stopwatch import Part, Stopwatch

PARTS = get_args(Part)
PROFILED = "trainer.profile=true"


@pytest.fixture
def watch(clock) -> Stopwatch:
    return Stopwatch(clock)


def spent(watch: Stopwatch) -> dict[str, float]:
    """The parts that took time."""
    return {part: watch.profile()[part] for part in PARTS if watch.profile()[part]}


def profile_of(config) -> dict:
    return json.loads((runs.run_folder(config) / runs.PROFILE).read_text())


def profiled(config) -> dict:
    """The profile of a run, carried out now."""
    assert execute(config, 1)["status"] == runs.FINISHED
    return profile_of(config)


def history(config) -> list[str]:
    """history.csv without the seconds."""
    lines = (runs.run_folder(config) / "history.csv").read_text().splitlines()
    return [line.rpartition(",")[0] for line in lines]


# --- the stopwatch


def test_what_a_block_holds_within_it_counts_there_alone(clock, watch):
    clock.now += 1
    with watch("evaluate"):
        clock.now += 2
        with watch("load"):
            clock.now += 4
            with watch("evaluate"):
                clock.now += 8
        clock.now += 16
    clock.now += 32
    assert spent(watch) == {"other": 33, "evaluate": 26, "load": 4}
    assert watch.profile()["total"] == 63


def test_a_block_that_an_exception_ends_counts_too(clock, watch):
    with pytest.raises(RuntimeError), watch("train"), watch("checkpoint"):
        clock.now += 1
        raise RuntimeError
    clock.now += 2
    assert spent(watch) == {"checkpoint": 1, "other": 2}


def test_a_block_that_compiled_counts_as_that_and_its_surroundings_do_not(clock, watch):
    assert not watch.profile()["compiled"]
    with watch("write"):
        clock.now += 1
        with watch("evaluate"):
            clock.now += 2
            watch.note_compiled()
        clock.now += 4
    with watch("evaluate"):
        clock.now += 8
    assert spent(watch) == {"write": 5, "compile": 2, "evaluate": 8}
    assert watch.profile()["compiled"]


def test_the_first_step_ends_with_the_first_call_that_made_steps(clock, watch):
    for made in (0, 500, 20):
        clock.now += 1
        watch.note_steps(made)
    assert (watch.profile()["first_step"], watch.profile()["steps"]) == (2, 520)
    assert Stopwatch(clock).profile()["first_step"] is None


# --- profile.json


def test_the_parts_add_up_to_the_seconds_of_the_run(compose):
    config = compose(*SMALL, PROFILED, "trainer.checkpoint_every=10", "trainer.save_model=true")
    result = execute(config, 1)
    profile = profile_of(config)
    assert set(profile) == {*PARTS, "total", "steps", "compiled", "first_step"}
    assert sum(profile[part] for part in PARTS) == pytest.approx(profile["total"], abs=1e-5)
    assert profile["total"] == pytest.approx(result["total_seconds"], abs=1e-5)
    assert profile["train"] == pytest.approx(result["train_seconds"], abs=0.02)
    assert profile["steps"] == result["steps"] == 40
    assert 0 < profile["first_step"] < profile["total"]
    assert all(profile[part] > 0 for part in ("evaluate", "checkpoint", "write", "other"))
    assert profile["probe"] == 0


@pytest.mark.parametrize(
    "small",
    [(*SMALL, "model.hidden=[15,14]"), (*SMALL_CNN, "model.hidden=[15]")],
    ids=["mlp", "cnn"],
)
def test_what_a_process_has_compiled_costs_its_next_runs_nothing(compose, small):
    first = profiled(compose(*small, PROFILED))
    second = profiled(compose(*small, PROFILED, "seed=1", "optimizer.lr=0.3", "init=he"))
    assert (first["compiled"], second["compiled"]) == (True, False)
    assert first["compile"] > 0.1
    assert second["compile"] < 0.1 * first["compile"]
    assert second["first_step"] < first["first_step"]
    other_split = profiled(compose(*small, PROFILED, "data.val_size=50"))
    assert other_split["compiled"]  # for images of another shape


@pytest.mark.parametrize("small", [SMALL, SMALL_CNN], ids=["mlp", "cnn"])
def test_a_profile_changes_no_bit_and_is_there_only_when_asked_for(compose, small):
    plain = compose(*small, "model.dropout=0.3", "name=plain")
    asked = compose(*small, "model.dropout=0.3", "name=asked", PROFILED)
    assert runs.run_id(plain) == runs.run_id(asked)
    assert "profile" not in scientific(asked)["trainer"]
    results = [execute(config, 1) for config in (plain, asked)]
    assert history(plain) == history(asked)
    assert results[0]["test_loss"] == results[1]["test_loss"]
    files = [{path.name for path in runs.run_folder(c).iterdir()} for c in (plain, asked)]
    assert files[1] - files[0] == {runs.PROFILE}
    execute(replace(asked, rerun=True, trainer=plain.trainer), 1)
    assert not (runs.run_folder(asked) / runs.PROFILE).exists()  # no older start's


def test_a_diverged_run_has_a_profile(compose):
    config = compose(*SMALL, PROFILED, "norm=none", "optimizer.lr=1e38", "init.bias=1")
    result = execute(config, 1)
    assert result["status"] == runs.DIVERGED
    assert profile_of(config)["steps"] == result["steps"] > 0


def test_a_failed_run_needs_none(compose, monkeypatch):
    config = compose(*SMALL, PROFILED)
    monkeypatch.setattr(TableFile, "append", None)
    assert execute(config, 1)["status"] == runs.FAILED
    assert not (runs.run_folder(config) / runs.PROFILE).exists()


def test_a_resumed_run_tells_of_its_last_start(compose):
    config = compose(*SMALL, PROFILED, "trainer.eval_every=10")
    folder = runs.run_folder(config)
    folder.mkdir(parents=True)
    with pytest.raises(Interrupted):
        train_and_evaluate(config, folder, StopAt(1))
    assert not (folder / runs.PROFILE).exists()
    profile = profiled(config)
    assert profile["steps"] == 30
    assert profile["checkpoint"] > 0
