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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

SCRIPTS = Path(__file__).resolve().parents[1]
OURS = "bnexp"


class ContenderError(Exception):
    """A contender that cannot take part; the message says why."""


@dataclass(frozen=True)
class Kind:
    """A contender: its module in this folder, its variant, and the package that it needs."""

    module: str
    variant: str = ""
    package: str = "tensorflow"
    precisions: tuple[str, ...] = ("float32", "bfloat16")


KINDS = {
    OURS: Kind("ours"),
    "Keras fit": Kind("keras_fit"),
    "Keras fit, jit": Kind("keras_fit", "jit"),
    "PyTorch": Kind("pytorch", package="torch"),
    "PyTorch, compiled": Kind("pytorch", "compile", "torch"),
    "TF 1 style": Kind("tf1", precisions=("float32",)),
    "matrix product": Kind("peak"),
}


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


def command(name: str, task: str, threads: int, *more: str) -> list[str]:
    """How a contender is started."""
    kind = KINDS[name]
    variant = ["--variant", kind.variant] if kind.variant else []
    module = [sys.executable, "-m", f"rivals.{kind.module}"]
    return [*module, task, "--threads", str(threads), *variant, *more]


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
    """A process that has built its network and waits to be asked for steps."""

    def __init__(self, name: str, task: str, threads: int) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command(name, task, threads),
            cwd=SCRIPTS.parent,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(pin, threads),
        )
        try:
            self._read("ready")
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
        return float(json.loads(self._read()))

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

    def _read(self, wanted: str = "") -> str:
        """The next line that is an answer; libraries print lines of their own."""
        for line in self._stream(self._process.stdout):
            text = line.strip()
            if text == wanted or (not wanted and text.replace(".", "").replace("e-", "").isdigit()):
                return text
        told = self._stream(self._process.stderr).read().strip().splitlines()
        raise ContenderError(f"{self.name}: {told[-1] if told else 'ended without a word'}")


@contextlib.contextmanager
def ready(names: Sequence[str], task: str, threads: int) -> Iterator[list[Contender]]:
    """All contenders, built and waiting."""
    started: list[Contender] = []
    try:
        for name in names:
            started.append(Contender(name, task, threads))
        yield started
    finally:
        for contender in started:
            contender.close()


def sweep_seconds(name: str, task: str, steps: int, runs: int, cores: int) -> float:
    """How long a user's sweep takes: one process per run, as many at once as cores.

    Raises:
        ContenderError: a run fails.
    """

    def run(seed: int) -> None:
        more = ("--run", str(steps), "--seed", str(seed))
        done = subprocess.run(
            command(name, task, 1, *more),
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
