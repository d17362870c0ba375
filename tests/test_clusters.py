"""Sweeps past one machine: each launcher and the search, where their extras are installed."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import MOMENTUM, ROOT, SMALL, environment, installed, write_npz

FOUR_RUNS = (*SMALL, "norm=none,batch", "seed=0,1")
DATA = ("data=npz", "data.path=tiny.npz", "data.val_size=64")


def slurm_answers() -> bool:
    if not shutil.which("sbatch"):
        return False
    ping = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=30)
    return "UP" in ping.stdout


needs_ray = installed("hydra_plugins.hydra_ray_launcher", "ray")
needs_submitit = installed("hydra_plugins.hydra_submitit_launcher", "slurm")
needs_optuna = installed("hydra_plugins.hydra_optuna_sweeper", "optuna")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_npz(tmp_path / "tiny.npz")
    return tmp_path


def multirun(*overrides: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bnexp.run", "--multirun", *DATA, *overrides, "name=sweep"],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT), **extra),
        capture_output=True,
        text=True,
        timeout=300,
    )


def results(work: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in work.glob("outputs/sweep/*/result.json")]


def commands_recorded(work: Path) -> int:
    return len((work / "outputs/sweep/commands.log").read_text().splitlines())


def assert_four_runs_on_one_thread_and_none_twice(work: Path, *launcher: str, **extra: str):
    first = multirun(*launcher, *FOUR_RUNS, cwd=work, **extra)
    assert first.returncode == 0, first.stderr
    assert [result["status"] for result in results(work)] == ["finished"] * 4
    assert [result["threads"] for result in results(work)] == [1] * 4
    before = {path: path.stat().st_mtime_ns for path in work.glob("outputs/sweep/*/*.*")}
    again = multirun(*launcher, *FOUR_RUNS, cwd=work, **extra)
    assert again.returncode == 0, again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in work.glob("outputs/sweep/*/*.*")}
    assert commands_recorded(work) == 1
    assert {path.name for path in work.iterdir()} == {"tiny.npz", "outputs"}


def assert_a_failed_run_is_named_and_the_others_finish(work: Path, *launcher: str, **extra: str):
    """The failing one does not fit into memory."""
    cnn = ("model.filters=[2]", "model.hidden=[4]", "trainer.steps=2", "trainer.batch_size=20")
    failing = multirun(*launcher, *cnn, "model.kernel_size=1,2,1000000", cwd=work, **extra)
    assert failing.returncode == 1
    assert "ResourceExhaustedError" in failing.stdout
    assert failing.stdout.splitlines()[-1].startswith("  python -m bnexp.run --multirun")
    statuses = sorted(result["status"] for result in results(work))
    assert statuses == ["failed", "finished", "finished"]


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two nodes with a core each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = (sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--block")
    small = ("--object-store-memory=100000000", "--disable-usage-stats")
    address = f"127.0.0.1:{port}"
    log = (tmp_path_factory.mktemp("ray") / "log").open("w")
    kept = environment(PYTHONPATH=str(ROOT))
    head_only = ("--head", f"--port={port}", "--include-dashboard=false")
    nodes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> None:
        nodes.append(subprocess.Popen([*ray, *small, *arguments], stdout=log, stderr=log, env=kept))

    start(*head_only)
    try:
        await_nodes(address, 1)
        start(f"--address={address}")
        await_nodes(address, 2)
        yield address
    finally:
        for node in reversed(nodes):
            node.terminate()  # with --block, a node takes its processes along
        for node in nodes:
            node.wait(60)
        log.close()


def await_nodes(address: str, count: int) -> None:
    script = f"""
import time, ray
for attempt in range(60):
    try:
        ray.init({address!r}, logging_level="ERROR", log_to_driver=False)
        break
    except (ConnectionError, RuntimeError):
        time.sleep(0.5)
while sum(node["Alive"] for node in ray.nodes()) < {count}:
    time.sleep(0.2)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, capture_output=True)


@needs_ray
@pytest.mark.xdist_group("ray")
def test_ray_carries_out_a_sweep_once(work, ray_cluster):
    launcher = ("hydra/launcher=ray", f"hydra.launcher.ray.init.address={ray_cluster}")
    assert_four_runs_on_one_thread_and_none_twice(work, *launcher)


@needs_ray
@pytest.mark.xdist_group("ray")
def test_ray_finishes_the_other_runs_and_names_the_failed_one(work, ray_cluster):
    launcher = ("hydra/launcher=ray", f"hydra.launcher.ray.init.address={ray_cluster}")
    assert_a_failed_run_is_named_and_the_others_finish(work, *launcher)


@needs_submitit
def test_submitit_carries_out_a_sweep_once_on_this_machine(work):
    launcher = "hydra/launcher=submitit_local"
    assert_four_runs_on_one_thread_and_none_twice(work, launcher, OMP_NUM_THREADS="1")


@needs_submitit
@pytest.mark.skipif(not slurm_answers(), reason="no Slurm is running here")
def test_slurm_carries_out_a_sweep_once(work):
    assert_four_runs_on_one_thread_and_none_twice(work, "hydra/launcher=submitit_slurm")


@needs_submitit
@pytest.mark.skipif(not slurm_answers(), reason="no Slurm is running here")
def test_slurm_finishes_the_other_runs_and_names_the_failed_one(work):
    assert_a_failed_run_is_named_and_the_others_finish(work, "hydra/launcher=submitit_slurm")


SEARCH = (
    *SMALL,
    "hydra/sweeper=search",
    "hydra.sweeper.n_trials=4",
    "optimizer.lr=tag(log, interval(0.001, 10.0))",
)


@needs_optuna
def test_a_search_tells_its_best_and_repeats_itself_without_training(work):
    first = multirun(*SEARCH, cwd=work)
    assert first.returncode == 0, first.stderr
    found = (work / "outputs/sweep/optimization_results.yaml").read_text()
    assert f"best_value: {max(r['best_val_accuracy'] for r in results(work))}" in found
    assert len(results(work)) == 4
    assert {path.name for path in work.iterdir()} == {"tiny.npz", "outputs"}
    before = {path: path.stat().st_mtime_ns for path in work.glob("outputs/sweep/*/*.*")}
    again = multirun(*SEARCH, cwd=work)
    assert again.returncode == 0, again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in work.glob("outputs/sweep/*/*.*")}
    assert commands_recorded(work) == 1


@needs_optuna
def test_a_run_that_diverges_is_a_bad_one_of_a_search_and_no_failure(work):
    exploding = ("norm=none", "model.activation=relu", "init.bias=1", "optimizer.lr=1e38")
    words = [word for word in SEARCH[:-1] if word != MOMENTUM]
    search = multirun(*words, *exploding, "seed=range(0,100)", cwd=work)
    assert search.returncode == 0, search.stderr
    assert {result["status"] for result in results(work)} == {"diverged"}
    assert "best_value: 0.0" in (work / "outputs/sweep/optimization_results.yaml").read_text()
