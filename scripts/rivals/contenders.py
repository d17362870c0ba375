"""Contenders as processes: started, pinned to cores, asked for steps, and told to go."""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from rivals.task import TASKS

SCRIPTS = Path(__file__).resolve().parents[1]
OURS = "bnexp"


class ContenderError(Exception):
    """A contender that cannot take part; the message says why."""


@dataclass(frozen=True)
class Kind:
    """What a contender is.

    Attributes:
        module: in this folder.
        variant: of the module.
        package: that it needs.
        precisions: that it can train in.
        always: a precision that it trains in whatever the workload's.
        images: it is for convolutional networks only.
        most: steps of a turn.
        most_on_images: the same in convolutional networks.
    """

    module: str
    variant: str = ""
    package: str = "tensorflow"
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    always: str = ""
    images: bool = False
    most: int = 1_000_000
    most_on_images: int = 1_000_000

    def task(self, workload: str) -> str:
        """The task that it is given in this workload."""
        return workload.removesuffix("-bfloat16") if self.always == "float32" else workload

    def steps(self, workload: str, usual: int) -> int:
        """Of one turn."""
        on_images = TASKS[workload].network.convolutional
        return min(usual, self.most, self.most_on_images if on_images else usual)


KINDS = {
    OURS: Kind("ours"),
    "Keras fit": Kind("keras_fit"),
    "Keras fit, jit": Kind("keras_fit", "jit"),
    "PyTorch": Kind("pytorch", package="torch"),
    "PyTorch, channels last": Kind("pytorch", "channels_last", "torch", images=True),
    "PyTorch, compiled": Kind("pytorch", "compile", "torch"),
    "JAX": Kind("jax_functions", package="jax"),
    # XLA's convolutions in a loop on the CPU are slow: https://github.com/jax-ml/jax/issues/12868
    "JAX, scan": Kind("jax_functions", "scan", "jax", most_on_images=2),
    "TF 1 style": Kind("tf1", precisions=("float32",)),
}
RIVALS = tuple(name for name in KINDS if name != OURS)
PEAK = "matrix product"
KINDS[PEAK] = Kind("peak", most=10)


def in_float32(name: str) -> str:
    """The contender that trains in float32 beside others in bfloat16."""
    return f"{name}, float32"


KINDS |= {
    in_float32(name): replace(KINDS[name], always="float32")
    for name in RIVALS
    if name.startswith(("Keras", "PyTorch"))
}
EVERY_RIVAL = tuple(name for name in KINDS if name not in (OURS, PEAK))


def fits(name: str, workload: str) -> bool:
    """Whether it makes sense to time this contender in this workload."""
    kind, task = KINDS[name], TASKS[workload]
    return (task.network.convolutional or not kind.images) and kind.always != task.precision


def missing(name: str, precision: str) -> str:
    """Why a contender cannot take part; empty if it can."""
    kind = KINDS[name]
    if precision not in kind.precisions:
        return f"not in {precision}"
    if importlib.util.find_spec(kind.package) is None:
        return f"{kind.package} is not installed"
    if kind.variant == "compile" and shutil.which("g++") is None:
        return "torch.compile needs g++"
    return ""


def command(name: str, workload: str, threads: int, *more: str) -> list[str]:
    """How a contender is started."""
    kind = KINDS[name]
    variant = ["--variant", kind.variant] if kind.variant else []
    module = [sys.executable, "-m", f"rivals.{kind.module}"]
    return [*module, kind.task(workload), "--threads", str(threads), *variant, *more]


def environment() -> dict[str, str]:
    """For contenders: scripts/ and the project on the path."""
    path = os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)])
    return os.environ | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}


def pin(cores: int) -> None:
    """Keeps this process on so many cores, where the system can: threads alone are not enough.

    A library that is told to use one thread may still feed itself from a second one.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-cores:])


class Contender:
    """A process that has built its network and waits to be asked for steps.

    Attributes:
        name: as in KINDS.
        parameters: how many numbers it trains.
        loss: of the last steps it was asked for.
    """

    def __init__(self, name: str, workload: str, threads: int) -> None:
        self.name = name
        self.loss = float("nan")
        self._process = subprocess.Popen(
            command(name, workload, threads),
            cwd=SCRIPTS.parent,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(pin, threads),
        )
        try:
            self.parameters = int(self._answer("parameters")["parameters"])
        except ContenderError:
            self.close()
            raise

    def seconds(self, steps: int) -> float:
        """How long so many steps take.

        Raises:
            ContenderError: the process has ended.
        """
        stdin = self._stream(self._process.stdin)
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{steps}\n")
            stdin.flush()
        answer = self._answer("seconds")
        self.loss = float(answer["loss"])
        return float(answer["seconds"])

    def close(self) -> None:
        """Ends the process."""
        self._stream(self._process.stdin).close()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            self._stream(stream).close()

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream

    def _answer(self, key: str) -> dict[str, Any]:
        """The next line that is an answer; libraries print lines of their own."""
        for line in self._stream(self._process.stdout):
            if line.startswith(f'{{"{key}"'):
                return dict(json.loads(line))
        told = self._stream(self._process.stderr).read().strip().splitlines()
        raise ContenderError(f"{self.name}: {told[-1] if told else 'ended without a word'}")


@contextlib.contextmanager
def ready(names: Sequence[str], workload: str, threads: int) -> Iterator[list[Contender]]:
    """All contenders, built and waiting."""
    started: list[Contender] = []
    try:
        for name in names:
            started.append(Contender(name, workload, threads))
        yield started
    finally:
        for contender in started:
            contender.close()


def sweep_seconds(name: str, workload: str, steps: int, runs: int, cores: int) -> float:
    """How long a user's sweep takes: one process per run, as many at once as cores.

    Raises:
        ContenderError: a run fails.
    """

    def run(seed: int) -> None:
        more = ("--run", str(steps), "--seed", str(seed))
        done = subprocess.run(
            command(name, workload, 1, *more),
            cwd=SCRIPTS.parent,
            env=environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ContenderError(f"{name}: {done.stderr.strip().splitlines()[-1]}")

    started = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(run, range(runs)))
    return time.perf_counter() - started
