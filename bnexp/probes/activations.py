"""How what enters each nonlinearity is distributed (Fig. 1b, c), and saturation (section 1)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bnexp.probes import Row

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene

PERCENTILES = (15, 50, 85)  # those of Fig. 1b, c
SATURATED = 4.0  # a sigmoid's slope there is 7% of its largest
TYPICAL = 0  # the unit that is followed: the first, as good as any and named beforehand


def activations(scene: "Scene") -> Iterator[Row]:
    """Mean, variance, percentiles, saturation of what enters each nonlinearity.

    Means over units, but for `unit_p15`, `unit_p50`, `unit_p85`: percentiles of the first unit.
    `spread` is p85 - p15; `median_move` and `spread_move` are the absolute changes of a unit's
    median and spread since the record before.
    """
    before = scene.memory.get("activations")
    now = []
    for number, values in enumerate(scene.activations, start=1):
        # sorted first, as that is twice as fast
        ordered = np.sort(np.ascontiguousarray(values.T), axis=1)  # (units, images x locations)
        low, median, high = np.percentile(ordered, PERCENTILES, axis=1).astype(np.float64)
        spread = high - low
        now.append([median.tolist(), spread.tolist()])
        statistics = {
            "mean": values.mean(axis=0).mean(),
            "variance": values.var(axis=0).mean(),
            "saturation": np.mean(np.abs(values) > SATURATED),
            "spread": spread.mean(),
        }
        if before is not None:
            old_median, old_spread = np.array(before[number - 1])
            statistics["median_move"] = np.abs(median - old_median).mean()
            statistics["spread_move"] = np.abs(spread - old_spread).mean()
        for percent, of_units in zip(PERCENTILES, (low, median, high), strict=True):
            statistics[f"unit_p{percent}"] = of_units[TYPICAL]
        for name, value in statistics.items():
            yield Row("activations", str(number), name, float(value))
    scene.memory["activations"] = now
