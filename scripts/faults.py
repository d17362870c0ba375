"""Kills a sweep again and again and checks that nothing is lost, damaged or done twice.

Runs a sweep undisturbed, then the same sweep in another folder, of which processes are killed
(SIGKILL; a worker or the parent) at random moments, with the same command again each time the
parent has ended. At the end all histories must be the undisturbed ones bit for bit, but for
their seconds.

Examples:
    python scripts/faults.py                     24 runs, 20 kills: some 5 minutes
    python scripts/faults.py --runs 6 --kills 3 --seed 1
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bnexp.command_line import Parser, one_line_errors, whole

SETTINGS = (
    "model=mlp",
    "optimizer=sgd",
    "trainer.eval_every=500",
    "trainer.batch_size=60",
    "trainer.checkpoint_every=500",
    "norm=none,batch",
)


def main() -> None:
    """The command."""
    parser = Parser(None, __doc__)
    add = parser.add_argument
    add("--runs", type=even, default=24, help="runs of the sweep, an even number")
    add("--kills", type=whole("[0, 10000]"), default=20)
    add("--steps", type=whole("[1, 1e9]"), default=6000, help="training steps of a run")
    add("--seed", type=whole("[0, 1e18]"), default=0, help="of the random moments")
    with one_line_errors(), tempfile.TemporaryDirectory() as folder:
        given = parser.parse_args()
        print(survive(Path(folder), given.runs, given.kills, given.steps, given.seed))


def even(text: str) -> int:
    """A number of runs, half of them with each norm."""
    number = whole("[2, 10000]")(text)
    if number % 2:
        raise argparse.ArgumentTypeError(f"{number} is not an even number")
    return number


def survive(folder: Path, runs: int, kills: int, steps: int, seed: int) -> str:
    """Carries the experiment out and tells what happened.

    Raises:
        AssertionError: something was lost, damaged or done twice.
    """
    settings = [*SETTINGS, f"seed=range(0,{runs // 2})", f"trainer.steps={steps}"]
    calm, struck = folder / "calm", folder / "struck"
    assert start(calm, settings).wait() == 0
    expected = histories(calm)
    assert len(expected) == runs

    chance = random.Random(seed)
    seen: dict[Path, int] = {}
    killed = {"worker": 0, "parent": 0}
    starts = 0
    while sum(killed.values()) < kills:
        sweep = start(struck, settings)
        starts += 1
        while sweep.poll() is None and sum(killed.values()) < kills:
            watch_until(time.monotonic() + chance.uniform(0.5, 8), sweep, struck, seen)
            victim = chance.choice(["worker", "parent"])
            while victim == "worker" and sweep.poll() is None and not children(sweep.pid):
                watch_until(time.monotonic() + 0.1, sweep, struck, seen)
            if sweep.poll() is None:
                struck_at = children(sweep.pid) if victim == "worker" else [sweep.pid]
                kill(chance.choice(struck_at or [sweep.pid]))
                killed[victim] += 1
        watch_until(time.monotonic() + 600, sweep, struck, seen)
        sweep.wait()
        if len(seen) == runs and sum(killed.values()) < kills:
            break  # everything is finished: there is nothing left to kill
    last = start(struck, settings)
    watch_until(time.monotonic() + 600, last, struck, seen)
    assert last.wait() == 0
    assert histories(struck) == expected
    return (
        f"{runs} runs survived {killed['worker']} kills of a worker and {killed['parent']} of the "
        f"parent in {starts + 1} starts; all histories are those of the undisturbed sweep"
    )


def start(folder: Path, settings: list[str]) -> subprocess.Popen[bytes]:
    """The sweep's command, in a process of its own."""
    command = [sys.executable, "-m", "bnexp.run", "--multirun", f"output_dir={folder}", *settings]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def watch_until(
    end: float, sweep: subprocess.Popen[bytes], folder: Path, seen: dict[Path, int]
) -> None:
    """Waits, and makes sure that a result that was once there is never written again."""
    while time.monotonic() < end and sweep.poll() is None:
        for path in folder.glob("*/*/result.json"):
            written = path.stat().st_mtime_ns
            assert seen.setdefault(path, written) == written, f"{path} was written again"
        time.sleep(0.05)


def children(parent: int) -> list[int]:
    """The pool's processes, from /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == parent and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


def kill(process: int) -> None:
    """Without a chance to clean up."""
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(process, signal.SIGKILL)


def histories(folder: Path) -> dict[str, list[str]]:
    """Every history.csv, less its last column, the seconds."""
    return {
        path.parent.name: [line.rpartition(",")[0] for line in path.read_text().splitlines()]
        for path in sorted(folder.glob("*/*/history.csv"))
    }


if __name__ == "__main__":
    main()
