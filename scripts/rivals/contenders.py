"""Contenders as processes: started, pinned to cores, asked for steps, and told to go."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any

from rivals.kinds import command

SCRIPTS = Path(__file__).resolve().parents[1]


class ContenderError(Exception):
    """A contender that cannot take part; the message says why."""


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
