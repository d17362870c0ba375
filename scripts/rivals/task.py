"""The work that all contenders do, and how they are asked for it.

A contender is a program of its own, started as `python -m rivals.NAME TASK [--variant V]` with
`scripts/` on its path. It builds the network, then reads numbers of training steps from standard
input, one a line, makes them, and answers with the seconds they took. With `--run STEPS` it is
instead what a user would start for one run of a sweep: train, validate as it goes, test, leave.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "bnexp" / "data" / "mnist.npz"
TRAIN_IMAGES = 55_000


@dataclass(frozen=True)
class Task:
    """A network and how it is trained; the numbers are those of bnexp's presets."""

    network: str  # mlp, cnn
    precision: str
    batch_size: int
    lr: float
    eval_every: int
    overrides: tuple[str, ...]  # what makes bnexp do the same


MLP = ("model=mlp", "init=gaussian", "optimizer=sgd", "norm=batch", "norm.momentum=0.9")
TASKS = {
    "mlp": Task("mlp", "float32", 60, 0.1, 200, (*MLP, "trainer.batch_size=60")),
    "cnn": Task("cnn", "float32", 64, 0.01, 200, ()),
    "cnn-bfloat16": Task("cnn", "bfloat16", 64, 0.01, 200, ("trainer.precision=bfloat16",)),
}
MOMENTUM = {"mlp": 0.9, "cnn": 0.5}  # of the moving averages
EPSILON = 1e-3
HIDDEN = (100, 100, 100)
FILTERS, KERNEL, DENSE, KEEP = (32, 64), 5, 1024, 0.5
ACCUMULATOR = 0.1  # Adagrad's at the start


@dataclass(frozen=True)
class Asked:
    """What a contender was started for."""

    task: Task
    variant: str
    threads: int
    seed: int
    run: int  # steps of a whole run; 0: serve

    @property
    def batch_size(self) -> int:
        return self.task.batch_size


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


def mnist() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (n, 28, 28, 1) in float32 from 0 to 1 and labels, as train, validation, test."""
    with np.load(DATA) as arrays:
        x_train, y_train = arrays["x_train"], arrays["y_train"]
        x_test, y_test = arrays["x_test"], arrays["y_test"]
    parts = {
        "train": (x_train[:TRAIN_IMAGES], y_train[:TRAIN_IMAGES]),
        "validation": (x_train[TRAIN_IMAGES:], y_train[TRAIN_IMAGES:]),
        "test": (x_test, y_test),
    }
    return {
        name: ((images[..., None] / np.float32(255)).astype(np.float32), labels.astype(np.int32))
        for name, (images, labels) in parts.items()
    }


def serve(train: Callable[[int], object]) -> None:
    """Makes as many steps as each line of standard input says; answers with the seconds."""
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        train(int(line))
        print(json.dumps(time.perf_counter() - started), flush=True)


def whole_run(
    steps: int,
    every: int,
    train: Callable[[int], object],
    accuracy: Callable[[str], float],
) -> None:
    """What a user's script does: train, look at the validation accuracy now and then, test."""
    for start in range(0, steps, every):
        train(min(every, steps - start))
        print(f"step {start + every}: validation accuracy {accuracy('validation'):.4f}")
    print(f"test accuracy {accuracy('test'):.4f}")


def go(order: Asked, train: Callable[[int], object], accuracy: Callable[[str], float]) -> None:
    """Serves, or makes the whole run, as asked."""
    if order.run:
        whole_run(order.run, order.task.eval_every, train, accuracy)
    else:
        serve(train)
