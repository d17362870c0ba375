"""Made-up runs for the figures on why BN works: landscape, spectrum, start, batch sizes."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from synthetic import NOISE, rising, run, runs

from bnexp.analysis.loading import Runs
from bnexp.folders.runs import DIVERGED

ARMS = ("none", "batch")
RECORDS = range(0, 3001, 500)
DEPTHS = (3, 10, 30)
SIZES = (2, 8, 60)
Row = tuple[int, str, str, str, float]


def landscape_rows(arm: str, seed: int, last: int = RECORDS[-1]) -> list[Row]:
    """A loss that falls; without BN its range along the gradient is 16 times as wide."""
    wide = 16.0 if arm == "none" else 1.0
    found: list[Row] = []
    for step in (step for step in RECORDS if step <= last):
        loss = 2.3 * np.exp(-step / 1000) * (1 + 0.1 * NOISE[arm][seed])
        values = {
            "loss": loss,
            "loss_low": loss * (1 - 0.05 * wide**0.2),
            "loss_high": loss * (1 + 0.05 * wide),
            "gradient_change": 0.1 * wide**0.5 * (1 + 0.2 * NOISE[arm][seed]),
            "smoothness": 2.0 * wide * (1 + step / 3000) * (1 + 0.2 * NOISE[arm][seed]),
        }
        found += [(step, "landscape", "", name, float(value)) for name, value in values.items()]
    return found


def along_gradient(seeds: int = 5, conditions: Sequence[str] = ("sigmoid", "relu")) -> Runs:
    """Both arms, probed every 500 steps."""
    cells = itertools.product(conditions, ARMS, range(seeds))
    return runs(
        [
            run(
                {"norm.kind": arm, "model.activation": activation},
                rising(0.95),
                seed=seed,
                probes=landscape_rows(arm, seed),
            )
            for activation, arm, seed in cells
        ]
    )


def hessian_rows(
    step: int, nodes: Sequence[float], weights: Sequence[float], **more: float
) -> list[Row]:
    """What the probe records of these Ritz values: all of them, and the eleven largest."""
    order = np.argsort(nodes)
    values = {f"eigenvalue_{i}": nodes[k] for i, k in enumerate(order[::-1][:11], start=1)}
    for i, k in enumerate(order, start=1):
        values |= {f"node_{i}": nodes[k], f"weight_{i}": weights[k]}
    found = (values | more).items()
    return [(step, "hessian", "", name, float(value)) for name, value in found]


def quadrature(largest: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten outliers and a bulk, mostly above 0."""
    outliers = largest * (1 + 0.02 * seed) / np.arange(1, 11)
    bulk = np.concatenate([np.geomspace(-0.05, -0.001, 4), np.linspace(0, largest / 40, 12)])
    weights = np.concatenate([np.full(10, 1e-5), np.linspace(3, 1, 16)])
    return np.concatenate([outliers, bulk]), weights / weights.sum()


def hessians(seeds: int = 5, records: Sequence[int] = RECORDS) -> Runs:
    """Sigmoid and ReLU; without BN the largest eigenvalue is 20 times as large."""
    made = []
    for activation, arm, seed in itertools.product(("sigmoid", "relu"), ARMS, range(seeds)):
        rows: list[Row] = []
        for step in records:
            largest = (40.0 if arm == "none" else 2.0) * (1 + step / 3000)
            rows += hessian_rows(step, *quadrature(largest, seed), loss=0.1)
        config = {"norm.kind": arm, "model.activation": activation}
        made.append(run(config, rising(0.95), seed=seed, probes=rows))
    return runs(made)


def rank_rows(arm: str, layers: int, seed: int) -> list[Row]:
    """With BN the rank stays and gradients grow by 1.2 a layer toward the input."""
    found: list[Row] = []
    for layer in range(1, layers + 1):
        growth = 1.2 if arm == "batch" else 0.98
        gradient = 0.02 * growth ** (layers - layer) * (1 + 0.2 * NOISE[arm][seed])
        rank = 25 * (1 + 0.05 * NOISE[arm][seed]) if arm == "batch" else 1 + 30 / layer**1.5
        for name, value in (("gradient_norm", gradient), ("soft_rank", rank)):
            found.append((0, "rank", str(layer), name, float(value)))
    return found


def deep(
    depths: Sequence[int] = DEPTHS, activation: str = "relu", arms: Sequence[str] = ARMS
) -> Runs:
    """Networks of these depths before and after a single step."""
    return runs(
        [
            run(
                {
                    "norm.kind": arm,
                    "model.hidden": "-".join(["100"] * layers),
                    "model.activation": activation,
                    "trainer.steps": 1,
                },
                [0.1],
                seed=seed,
                every=1,
                probes=rank_rows(arm, layers, seed),
            )
            for arm, layers, seed in itertools.product(arms, depths, range(5))
        ]
    )


BATCH_ARMS: tuple[dict[str, Any], ...] = (
    {"norm.kind": "none"},
    {"norm.kind": "batch"},
    {"norm.kind": "batch", "norm.renorm": True},
    {"norm.kind": "batch", "norm.ghost_size": 2},
    {"norm.kind": "batch", "norm.population": "exact"},
    {"norm.kind": "group", "norm.groups": 4},
)
NORM_DEFAULTS = {"norm.renorm": False, "norm.ghost_size": 0, "norm.population": "moving"}


def of_batch_sizes(
    arms: Sequence[dict[str, Any]] = BATCH_ARMS, rates: Sequence[float] = (0.1, 1.0)
) -> Runs:
    """Every arm at batch sizes and rates, all on as many images; one arm diverges at the end."""
    made = []
    for (number, arm), size, rate, seed in itertools.product(
        enumerate(arms), SIZES, rates, range(5)
    ):
        diverged = arm["norm.kind"] == "group" and size == SIZES[0] and seed == 4
        lost = (0.05 / size if arm["norm.kind"] == "batch" else 0.01) * (1 - 0.1 * number)
        kind = "batch" if number % 2 else "none"
        final = 0.98 - lost - 0.01 * (rate < 1) + 0.001 * NOISE[kind][seed]
        settings = {"optimizer.lr": rate, "trainer.batch_size": size, "trainer.steps": 6000 // size}
        status = {"status": DIVERGED} if diverged else {}
        config = {**NORM_DEFAULTS, **arm, **settings}
        made.append(run(config, [final], seed=seed, every=6000 // size, classes=10, **status))
    return runs(made)
