"""Whole commands of bnexp: sweeps against a process per run, and what one run needs."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rivals import contenders
from rivals.contenders import ContenderError, sweep_seconds
from rivals.kinds import OURS, fits
from rivals.task import TASKS

from timing.steps import available, spread

SWEEPS = {"mlp": (40, 1000), "cnn": (8, 200), "plain": (16, 200)}  # runs, steps of each
SWEEP_RIVALS = ("Keras fit", "PyTorch", "PyTorch, channels last", "TF 1 style")


def sweeps(name: str, rivals: Sequence[str]) -> dict[str, Any]:
    """Runs a minute of a sweep on all cores: bnexp's against a process per run."""
    taking_part = [each for each in SWEEP_RIVALS if each in rivals and fits(each, name)]
    count, length = SWEEPS[name]
    cores = os.cpu_count() or 1
    results: dict[str, Any] = {}
    mine = [our_sweep(name, count, length) for _ in range(2)]
    rate = 60 * count / statistics.median(mine)
    results[OURS] = {"runs_per_minute": rate, "seconds": mine, "runs": count, "ratio": 1.0}
    for rival in available(name, taking_part, results):
        part = max(cores, count // 4)  # rivals' runs are alike: a part tells their pace
        took = sweep_seconds(rival, name, length, part, cores)
        theirs = 60 * part / took
        entry = {"runs_per_minute": theirs, "seconds": [took], "runs": part}
        results[rival] = entry | {"ratio": rate / theirs}
        print(f"sweep {name}: {rival} {theirs:.3g} runs a minute", file=sys.stderr)
    return {"contenders": results, "steps": length}


def our_sweep(name: str, count: int, length: int) -> float:
    """Seconds of the command that a user of bnexp gives."""
    seeds = ",".join(map(str, range(count)))
    overrides = (*TASKS[name].overrides(), f"seed={seeds}", f"trainer.steps={length}")
    return run_command("--multirun", *overrides)["wall"]


def run_command(*overrides: str) -> dict[str, Any]:
    """Gives one command of bnexp in an empty folder: its wall time, memory and profile."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*overrides, f"output_dir={folder}", "trainer.profile=true"]
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "bnexp.run", *arguments],
            env=contenders.environment(),
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        if status:
            raise ContenderError(f"bnexp: {' '.join(arguments)} failed")
        profiles = [json.loads(path.read_text()) for path in Path(folder).rglob("profile.json")]
    return {"wall": wall, "megabytes": usage.ru_maxrss / 1000, "profile": profiles[0]}


def whole_runs() -> dict[str, Any]:
    """Start, memory, and the share of evaluation in single runs on one core."""
    found: dict[str, Any] = {}
    for name, length in (("mlp", 5000), ("cnn", 600)):
        more = (f"trainer.steps={length}", "data.val_size=10000", "trainer.threads=1")
        done = run_command(*TASKS[name].overrides(), *more)
        profile = done["profile"]
        working = profile["train"] + profile["evaluate"]
        found[name] = {"evaluation_share": profile["evaluate"] / working, **done}
    starts, imports = [], []
    for _ in range(3):
        done = run_command(*TASKS["mlp"].overrides(), "trainer.steps=1")
        before = done["wall"] - done["profile"]["total"]
        starts.append(before + done["profile"]["first_step"])
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, capture_output=True)
        imports.append(time.perf_counter() - started)
    found["start"] = {"to_first_step": spread(starts), "import_tensorflow": spread(imports)}
    return found
