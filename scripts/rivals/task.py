"""The work that all contenders do, and how they are asked for it.

A contender is a program of its own, started as `python -m rivals.NAME TASK [--variant V]` with
`scripts/` on its path. It builds the network, says how many parameters that trains, then reads
numbers of training steps from standard input, one a line, makes them, and answers with the seconds
they took and the loss. With `--run STEPS` it is instead what a user would start for one run of a
sweep: train, validate as it goes, test, leave.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from rivals.data import made_images
from rivals.layers import NETWORKS, Network, flop

ACCUMULATOR = 0.1  # Adagrad's at the start


@dataclass(frozen=True)
class Task:
    """A network and how it is trained; the numbers are those of bnexp's presets."""

    name: str  # of the network
    batch_size: int
    lr: float
    optimizer: Literal["sgd", "adagrad"]
    settings: tuple[str, ...]  # what makes bnexp do the same
    precision: Literal["float32", "bfloat16"] = "float32"
    eval_every: int = 200

    @property
    def network(self) -> Network:
        """Its layers."""
        return NETWORKS[self.name]

    @property
    def flop(self) -> float:
        """Floating-point operations of a step."""
        return flop(self.network, self.batch_size)

    def overrides(self) -> tuple[str, ...]:
        """What bnexp is started with; writes the images that it names, if they are not there."""
        size = f"trainer.batch_size={self.batch_size}"
        made = self.network.input_shape == (32, 32, 3)
        data = ("data=npz", f"data.path={made_images()}") if made else ()
        return (*self.settings, *data, size, f"trainer.precision={self.precision}")


_SGD = ("optimizer=sgd", "norm=batch", "norm.momentum=0.9")


def _images(name: str) -> Task:
    return Task(name, 32, 0.1, "sgd", (f"model={name}", "init=he", *_SGD))


_IN_FLOAT32 = {
    "mlp": Task("mlp", 60, 0.1, "sgd", ("model=mlp", "init=gaussian", *_SGD)),
    "cnn": Task("cnn", 64, 0.01, "adagrad", ()),
    "plain": _images("plain"),
    "inception": _images("inception"),
}
TASKS = _IN_FLOAT32 | {
    f"{name}-bfloat16": replace(task, precision="bfloat16") for name, task in _IN_FLOAT32.items()
}


@dataclass(frozen=True)
class Asked:
    """What a contender was started for."""

    task: Task
    variant: str
    threads: int
    seed: int
    run: int  # steps of a whole run; 0: serve


def asked() -> Asked:
    """The command line of a contender."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--variant", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    values = vars(arguments) | {"task": TASKS[arguments.task]}
    return Asked(**values)


def serve(train: Callable[[int], float], parameters: int) -> None:
    """Makes as many steps as each line of standard input says; answers with seconds and loss.

    Args:
        train: makes so many steps; returns the loss of the last, or the average.
        parameters: how many numbers are trained.
    """
    print(json.dumps({"parameters": parameters}), flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        loss = train(int(line))
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "loss": loss}), flush=True)


def whole_run(
    steps: int,
    every: int,
    train: Callable[[int], float],
    accuracy: Callable[[str], float],
) -> None:
    """What a user's script does: train, look at the validation accuracy now and then, test."""
    for start in range(0, steps, every):
        train(min(every, steps - start))
        print(f"step {start + every}: validation accuracy {accuracy('validation'):.4f}")
    print(f"test accuracy {accuracy('test'):.4f}")


def go(
    order: Asked,
    train: Callable[[int], float],
    accuracy: Callable[[str], float],
    parameters: int,
) -> None:
    """Serves, or makes the whole run, as asked."""
    if order.run:
        whole_run(order.run, order.task.eval_every, train, accuracy)
    else:
        serve(train, parameters)
