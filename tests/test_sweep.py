"""Sweeps that can be trusted: skip, resume, survive."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import DEEP, ROOT, SMALL, SMALL_CNN, Lines, StopAt, environment, write_npz

from bnexp.config import ConfigError
from bnexp.config.identity import shape
from bnexp.folders import runs
from bnexp.sweeps.execute import BUSY, execute
from bnexp.sweeps.plan import DONE, RESUME, RETRY, TODO, Job, make_plan
from bnexp.training import checkpoint, interrupt
from bnexp.training.checkpoint import Progress
from bnexp.training.loop import train_and_evaluate

sys.path.insert(0, str(ROOT / "scripts"))
DATA = ("data=npz", "data.path=tiny.npz", "data.val_size=64")
LONG = (*DATA, *SMALL, "trainer.steps=1000000", "trainer.eval_every=2000")


def history(folder: Path) -> list[str]:
    return [line.rpartition(",")[0] for line in (folder / "history.csv").read_text().splitlines()]


RESUMED = {
    "mlp": (*SMALL, "model.dropout=0.3"),
    "mlp with adam": (*SMALL, "model.dropout=0.3", "optimizer=adam"),
    "cnn": (*SMALL_CNN, "model.dropout=0.3"),
    "plain": DEEP["plain"],
    "inception": DEEP["inception"],
    "plain in bfloat16": (*DEEP["plain"], "trainer.precision=bfloat16"),
}


@pytest.mark.parametrize("small", RESUMED)
def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(compose, tmp_path, small):
    config = compose(*RESUMED[small], "trainer.eval_every=5")
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    whole.mkdir()
    pieces.mkdir()
    expected = train_and_evaluate(config, whole, Lines())
    from bnexp.data.loading import load
    from bnexp.training.program import program_for

    program = program_for(config, load(config.data))
    kept, program.steps_per_call = program.steps_per_call, 3  # stops within an evaluation's span
    try:
        for calls in (1, 2, 2):
            with pytest.raises(interrupt.Interrupted):
                train_and_evaluate(config, pieces, StopAt(calls))
        report = Lines()
        outcome = train_and_evaluate(config, pieces, report)
    finally:
        program.steps_per_call = kept
    assert report.lines[0].startswith("goes on from step ")
    assert history(pieces) == history(whole)
    assert outcome.test == expected.test
    assert outcome.as_result()["best_val_accuracy"] == expected.as_result()["best_val_accuracy"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-900] + b"\0" * 900),
        lambda path: checkpoint.save(path.parent.parent, Progress(), [np.zeros(3)]),
    ],
    ids=["cut short", "empty", "overwritten", "of another network"],
)
def test_a_damaged_checkpoint_is_named_and_the_run_starts_afresh(compose, tmp_path, damage):
    config = compose(*SMALL)
    with pytest.raises(interrupt.Interrupted):
        train_and_evaluate(config, tmp_path, StopAt(1))
    damage(tmp_path / "checkpoint" / "state.npz")
    report = Lines()
    train_and_evaluate(config, tmp_path, report)
    assert report.lines[0].startswith("starts afresh: ")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    train_and_evaluate(config, fresh, Lines())
    assert history(tmp_path) == history(fresh)


def test_a_checkpoint_of_another_version_is_not_gone_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
    checkpoint.save(tmp_path, Progress(), [])
    monkeypatch.undo()
    with pytest.raises(runs.RunError, match="another version"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("override", "saves"),
    [
        (("trainer.checkpoint_seconds=null", "trainer.checkpoint_every=10"), 4),
        (("trainer.checkpoint_seconds=0",), 8),
        (("trainer.checkpoint_seconds=null",), 0),
        (("trainer.checkpoint_seconds=1000",), 0),
    ],
)
def test_checkpoints_are_written_by_steps_or_seconds(
    compose, tmp_path, monkeypatch, override, saves
):
    saved = []
    monkeypatch.setattr(checkpoint, "save", lambda *_: saved.append(1))
    train_and_evaluate(compose(*SMALL, *override, "trainer.eval_every=5"), tmp_path, Lines())
    assert len(saved) == saves


def test_execute_skips_what_is_done_and_reruns_on_request(compose):
    config = compose(*SMALL)
    first = execute(config, 1)
    assert not (runs.run_folder(config) / "checkpoint").exists()
    assert execute(config, 1) == first | {"error": None}
    again = execute(compose(*SMALL, "rerun=true"), 1)
    assert again["total_seconds"] != first["total_seconds"]
    assert again["test_loss"] == first["test_loss"]


def test_a_run_that_another_process_has_in_hand_is_busy(compose):
    config = compose(*SMALL)
    folder = runs.run_folder(config)
    folder.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(folder / ".lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert execute(config, 1) == {"status": BUSY}
    holder.kill()  # what a killed process held is free
    holder.wait()
    holder.stdout.close()
    assert execute(config, 1)["status"] == runs.FINISHED


HOLD_LOCK = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def job(compose, *overrides: str) -> Job:
    return Job(compose(*SMALL, *overrides), overrides, overrides)


def test_a_plan_tells_how_each_run_stands(compose, tmp_path):
    jobs = [job(compose, f"seed={seed}") for seed in range(6)]
    for done in jobs[:2]:
        execute(done.config, 1)
    with pytest.raises(interrupt.Interrupted):
        jobs[2].folder.mkdir()
        train_and_evaluate(jobs[2].config, jobs[2].folder, StopAt(1))
    jobs[3].folder.mkdir()
    error = {"type": "OSError", "message": "disk"}
    failed = {"run_id": jobs[3].folder.name, "status": runs.FAILED, "error": error}
    runs.write_result(jobs[3].folder, failed)
    (jobs[1].folder / "result.json").write_text('{"status": "fin')

    plan = make_plan([*jobs, jobs[0]])
    assert {state: [jobs.index(j) for j in found] for state, found in plan.jobs.items()} == {
        DONE: [0],
        RESUME: [2],
        RETRY: [3],
        TODO: [1, 4, 5],
    }
    assert str(plan) == "6 runs: 1 done, 1 to resume, 1 to retry, 3 to do"
    [note] = plan.notes
    assert str(jobs[1].folder / "result.json") in note
    rerun = make_plan([job(compose, f"seed={seed}", "rerun=true") for seed in range(6)])
    assert str(rerun) == "6 runs: 0 done, 6 to do"


@pytest.mark.parametrize(
    "content",
    ["", "step,epoch\n", "cut", "less"],
)
def test_a_damaged_history_of_a_finished_run_is_noticed(compose, content):
    one = job(compose)
    execute(one.config, 1)
    path = one.folder / "history.csv"
    text = path.read_text()
    damaged = {"cut": text[:-4], "less": "".join(text.splitlines(keepends=True)[:-1])}
    path.write_text(damaged.get(content, content))
    plan = make_plan([one])
    assert plan.jobs[TODO] == [one]
    assert str(path) in plan.notes[0]
    execute(one.config, 1)
    assert [line.rpartition(",")[0] for line in text.splitlines()] == history(one.folder)


def test_long_runs_come_first_and_equal_networks_in_a_row(compose):
    overrides = [
        (f"trainer.steps={steps}", f"norm={norm}", f"seed={seed}")
        for seed in (0, 1)
        for norm in ("none", "batch")
        for steps in (20, 40)
    ]
    todo = make_plan([job(compose, *each) for each in overrides]).todo
    assert [j.config.trainer.steps for j in todo] == [40] * 4 + [20] * 4
    shapes = [shape(j.config) for j in todo]
    assert shapes[:4] == shapes[4:]
    assert len([1 for a, b in pairwise(shapes[:4]) if a != b]) == 1


def test_what_another_state_of_the_program_made_is_told_and_not_silently_taken(compose):
    one = job(compose)
    result = execute(one.config, 1)
    assert make_plan([one]).notes == []
    runs.write_result(one.folder, result | {"git_commit": "0123456789abcdef"})
    plan = make_plan([one])
    assert plan.jobs[DONE] == [one]
    assert len(plan.notes) == 1
    assert "1 of the runs that are done were made by commit 0123456789" in plan.notes[0]
    assert "rerun=true makes them again" in plan.notes[0]


def test_programs_are_shared_exactly_by_runs_of_one_shape(compose):
    base = shape(compose(*SMALL))
    for values in ("seed=1", "optimizer.lr=3", "init=he", "trainer.steps=5", "data.train_size=64"):
        assert shape(compose(*SMALL, values)) == base
    for other in ("norm=none", "model.activation=relu", "optimizer.weight_decay=1"):
        assert shape(compose(*SMALL, other)) != base


# --- whole commands


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_npz(tmp_path / "tiny.npz")
    return tmp_path


def start(work: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bnexp.run", *arguments],
        cwd=work,
        env=environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = 240) -> tuple[int, str]:
    output, _ = process.communicate(timeout=timeout)
    return process.returncode, output


def wait_for(condition, process: subprocess.Popen[str], timeout: float = 120) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("mode", "signum", "code"),
    [
        ((), signal.SIGINT, 130),
        ((), signal.SIGTERM, 143),
        (("--multirun", "seed=0,1,2"), signal.SIGINT, 130),
        (("--multirun", "seed=0,1,2"), signal.SIGTERM, 143),
    ],
)
def test_ctrl_c_and_sigterm_stop_soon_and_leave_all_resumable(work, mode, signum, code):
    process = start(work, *mode, *LONG)
    wait_for(lambda: len(list(work.glob("outputs/*/*/history.csv"))) == 1 + bool(mode), process)
    asked = time.monotonic()
    process.send_signal(signum)
    returned, output = finish(process)
    assert returned == code
    assert time.monotonic() - asked < 10
    assert "the same command goes on from here" in output
    assert "Traceback" not in output
    steps = [checkpoint.load(folder.parent) for folder in work.glob("outputs/*/*/checkpoint")]
    assert len(steps) == 1 + bool(mode)
    assert all(found is not None and found[0].steps > 0 for found in steps)
    again = start(work, *(mode or ("--multirun",)), *LONG, "dry_run=true")
    assert f"{1 + bool(mode)} to resume" in finish(again)[1]


def test_dry_run_lists_and_leaves_nothing_behind(work):
    code, output = finish(start(work, "--multirun", *DATA, *SMALL, "seed=0,1", "dry_run=true"))
    assert code == 0
    assert "2 runs: 0 done, 2 to do" in output
    assert "seed=1" in output
    assert not (work / "outputs").exists()


def pool_workers(process: subprocess.Popen[str]) -> list[int]:
    import faults

    return faults.children(process.pid)


def test_a_sweep_outlives_divergence_an_exception_and_a_killed_worker(work):
    """One diverges, one raises, one is killed: the others finish, and a table tells."""
    sweep = (
        "--multirun",
        *DATA,
        *(
            setting
            for setting in SMALL
            if not setting.startswith(("model.hidden", "trainer.steps", "norm."))
        ),
        "norm=none",
        "init.bias=1",
        "hydra.launcher.n_jobs=2",
        "optimizer.lr=0.1,1e38",  # the second diverges
        "model.hidden=[16,16],[900000000,16]",  # the second does not fit into memory
        "trainer.steps=40,30000000",  # nobody waits for the end of the second
    )
    process = start(work, *sweep)
    wait_for(lambda: any(text_of(path).count("\n") > 50 for path in logs(work)), process)
    slow = next(path for path in logs(work) if text_of(path).count("\n") > 50)
    [victim] = [worker for worker in pool_workers(process) if slow in open_files(worker)]
    os.kill(victim, signal.SIGKILL)
    code, output = finish(process)
    assert code == 1
    assert "1 finished, 2 diverged, 5 failed" in output
    assert output.count("ResourceExhaustedError") >= 4
    assert "killed or crashed" in " ".join(output.split())
    assert output.count("python -m bnexp.run --multirun") == 5
    results = [json.loads(path.read_text()) for path in work.glob("outputs/*/*/result.json")]
    assert sorted(result["status"] for result in results) == (
        2 * ["diverged"] + 4 * ["failed"] + ["finished"]
    )


def logs(work: Path) -> list[Path]:
    return list(work.glob("outputs/*/*/run.log"))


def text_of(path: Path) -> str:
    return path.read_text()


def open_files(process: int) -> list[Path]:
    return [path.resolve() for path in Path(f"/proc/{process}/fd").iterdir()]


FAILING = ("model=cnn", "trainer.steps=2", "trainer.batch_size=20", "model.hidden=[4]")


def test_fail_fast_stops_at_the_first_failure(work):
    sizes = "model.kernel_size=1000000,1000001,1000002,1000003"
    code, output = finish(
        start(work, "--multirun", *DATA, *FAILING, sizes, "fail_fast=true", "model.filters=[2]",
              "hydra.launcher.n_jobs=1")
    )  # fmt: skip
    assert code == 1
    assert "1 failed" in output
    assert len(list(work.glob("outputs/*/*/result.json"))) == 1


def test_two_sweeps_at_once_share_the_work(work):
    arguments = ("--multirun", *DATA, *SMALL, "trainer.steps=3000", "seed=range(0,8)")
    both = [start(work, *arguments, "hydra.launcher.n_jobs=1") for _ in range(2)]
    endings = [finish(process) for process in both]
    assert [code for code, _ in endings] == [0, 0]
    assert len(logs(work)) == 8
    for log in logs(work):  # a run that two had written would have its lines twice
        assert text_of(log).count("test loss") == 1


def test_extending_a_sweep_runs_only_what_is_new(work):
    assert finish(start(work, "--multirun", *DATA, *SMALL, "seed=0,1"))[0] == 0
    _, output = finish(start(work, "--multirun", *DATA, *SMALL, "seed=0,1,2", "norm=batch"))
    assert "3 runs: 2 done, 1 to do" in output


def test_a_full_disk_fails_the_run_by_name_and_can_be_recovered(work):
    disk = work / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True
    ).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        filler = disk / "filler"
        filler.write_bytes(b"x" * 120 * 1024)
        arguments = ("--multirun", *DATA, *SMALL, "seed=0,1,2,3", f"output_dir={disk}")
        code, output = finish(start(work, *arguments))
        assert code == 1
        assert "No space left on device" in output
        filler.unlink()
        code, output = finish(start(work, *arguments))
        assert code == 0, output
        assert len(list(disk.glob("*/*/result.json"))) == 4
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_read_only_folder_is_told_and_can_be_recovered(work):
    disk = work / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)]).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        arguments = ("--multirun", *DATA, *SMALL, "seed=0,1", f"output_dir={disk}")
        code, output = finish(start(work, *arguments))
        assert code == 2
        assert "Read-only file system" in output
        assert str(disk) in output
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert finish(start(work, *arguments))[0] == 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_sweep_survives_being_killed_again_and_again(tmp_path, monkeypatch):
    """The short form of scripts/faults.py."""
    import faults

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    told = faults.survive(tmp_path, runs=6, kills=4, steps=4000, seed=0)
    assert "all histories are those of the undisturbed sweep" in told


def test_signals_are_heard_between_steps():
    with interrupt.listening(signal.SIGTERM):
        interrupt.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(interrupt.Interrupted) as stop:
            interrupt.check()
    assert stop.value.exit_code == 143


def test_a_thread_that_cannot_listen_runs_all_the_same():
    """Ray calls a task from a thread of its own, where Python refuses signal handlers."""
    reached = []

    def body() -> None:
        with interrupt.listening(signal.SIGTERM):
            reached.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert reached == [before]


def test_a_result_of_another_version_is_named_and_the_run_runs_again(compose):
    one = job(compose)
    execute(one.config, 1)
    path = one.folder / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps({"status": "finished", "run_id": result["run_id"]}))
    plan = make_plan([one])
    assert plan.jobs[TODO] == [one]
    assert f"{path}: written by another version" in plan.notes[0]
    assert execute(one.config, 1)["test_loss"] == result["test_loss"]


@pytest.mark.parametrize("content", ["", "[1]", '{"status": "odd"}'])
def test_an_empty_or_odd_result_is_named_and_the_run_runs_again(compose, content):
    one = job(compose)
    execute(one.config, 1)
    (one.folder / "result.json").write_text(content)
    assert str(one.folder / "result.json") in make_plan([one]).notes[0]
    assert execute(one.config, 1)["status"] == runs.FINISHED


def test_unknown_settings_of_a_sweep_are_refused_with_the_nearest(work):
    code, output = finish(start(work, "--multirun", *DATA, *SMALL, "optimizer.lrr=0.1,1"))
    assert code == 2
    assert "did you mean 'optimizer.lr'?" in output
    assert not (work / "outputs").exists()


def test_the_composer_gives_what_hydra_gives(npz):
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    from bnexp.config import places
    from bnexp.config.compose import compose
    from bnexp.sweeps.composer import Composer

    cases = [
        ("norm=layer", "optimizer.lr=0.3", "seed=4"),
        ("model=mlp", "model.hidden=[7,8]", "name='a b'", "trainer.threads=null"),
        ("data=npz", f"data.path={npz}", "++trainer.eval_every=9", "optimizer=adam"),
    ]
    with initialize_config_dir(str(places.shipped()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        composer = Composer(loader, loader.load_configuration("config", [], RunMode.MULTIRUN))
        composed = [composer(case) for case in cases]
    assert composed == [compose(*case) for case in cases]
    with pytest.raises(ConfigError, match="unknown key"):
        composer(("optimizer.lrr=1",))
