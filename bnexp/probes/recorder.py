"""What is recorded inside a network while it trains, without changing its training by a bit.

Layers are numbered from 1: the hidden ones, in order. A probe sees the network as it is while
training (Alg. 2's N_BN^tr: normalized by the statistics of the batch it is shown), always on the
same images; whatever that moves (averages, generators) is put back.
"""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bnexp.config import Config
from bnexp.data import Dataset, Split
from bnexp.networks.models import kernel_of
from bnexp.norms.batch import BatchNorm
from bnexp.probes.views import Inside
from bnexp.training.program import Program, on_device

PERCENTILES = (15, 50, 85)  # those of Fig. 1b, c
SATURATED = 4.0  # a sigmoid's slope there is 7% of its largest
TYPICAL = 0  # the unit that is followed: the first, as good as any and named beforehand
JACOBIAN_IMAGES = 16  # singular values are costly


class Row(NamedTuple):
    """A line of probes.csv less its step; `layer` is empty for what is of the whole network."""

    probe: str
    layer: str
    statistic: str
    value: float


@dataclass(frozen=True)
class Scene:
    """What a probe looks at: a network and the images it is shown, the same at every step.

    `memory` holds what a probe keeps from one step to the next, as JSON can hold it.
    """

    inside: Inside
    dataset: Dataset
    count: int
    memory: dict[str, Any]

    @property
    def test_batch(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The first images of the test split."""
        return _first(self.dataset.test, self.count)

    @property
    def train_batch(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The first images of the training split."""
        return _first(self.dataset.train, self.count)

    @cached_property
    def activations(self) -> list[np.ndarray]:
        """What enters each nonlinearity on the test batch: (images x locations, units)."""
        found = self.inside.activations(self.test_batch[0])
        return [values.reshape(-1, values.shape[-1]) for values in found]


def _first(split: Split, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    images, labels = on_device(split)
    return images[:count], labels[:count]


def _activations(scene: Scene) -> Iterator[Row]:
    """How what enters each nonlinearity is distributed: Fig. 1b, c, and saturation (section 1).

    Means over units, but for `unit_p15`, `unit_p50`, `unit_p85`: percentiles of the first unit.
    `spread` is p85 - p15; `median_move` and `spread_move` are the absolute changes of a unit's
    median and spread since the probe before.
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


def _gradients(scene: Scene) -> Iterator[Row]:
    """By hidden layer the norms of dL/dW, W and b, for the loss on the training batch."""
    layers = scene.inside.norms(*scene.train_batch)
    for number, norms in enumerate(layers, start=1):
        for name, value in norms.items():
            yield Row("gradients", str(number), name, value)


def _population(scene: Scene) -> Iterator[Row]:
    """The validation loss with population statistics, and with each batch's own.

    Both over full batches of the training's size. The second is in training mode, dropout
    included.
    """
    split = on_device(scene.dataset.validation)
    for name, training in (("loss_population", False), ("loss_batch", True)):
        yield Row("population", "", name, scene.inside.mean_loss(*split, training=training))


def _jacobian(scene: Scene) -> Iterator[Row]:
    """Singular values s of the map from a layer's normalized inputs to the next's (section 3.3).

    For single images, the batch's statistics taken as constants: from what enters one
    nonlinearity through that, W and the normalization to what enters the next; units whose
    nonlinearity has slope 0 there are left out. `median_abs_log`: the median of |log s| over
    singular values and images; `condition`: the median over images of the largest s over the
    smallest. The layer is the one that is led to.
    """
    inside = scene.inside
    slope, function = SLOPES[inside.activation]
    for number in range(1, len(inside.hidden)):
        before = scene.activations[number - 1].astype(np.float64)
        kernel = kernel_of(inside.hidden[number]).astype(np.float64)  # (units, next units)
        factor = _norm_factor(inside, number, tf.matmul(function(before), kernel).numpy())
        logs, conditions = [], []
        for slopes in slope(before[:JACOBIAN_IMAGES]):
            active = slopes != 0
            jacobian = slopes[active, None] * kernel[active] * factor
            if not active.any() or not np.isfinite(jacobian).all():
                continue
            # TensorFlow's, on its threads: NumPy's would take all cores, and fight over them
            values = tf.linalg.svd(jacobian, compute_uv=False).numpy()
            logs.append(np.abs(np.log(values)))
            conditions.append(values[0] / values[-1])
        found = {
            "median_abs_log": np.median(np.concatenate(logs)) if logs else np.nan,
            "condition": np.median(conditions) if logs else np.nan,
        }
        for name, value in found.items():
            yield Row("jacobian", str(number + 1), name, float(value))


def _norm_factor(inside: Inside, number: int, linear: np.ndarray) -> np.ndarray | float:
    """gamma / sqrt(Var + epsilon) of what normalizes a hidden layer; 1 where nothing does."""
    name = f"{inside.hidden[number].name}_norm"
    layer = next((layer for layer in inside.model.layers if layer.name == name), None)
    if not isinstance(layer, BatchNorm):
        return 1.0
    return np.asarray(layer.gamma) / np.sqrt(linear.var(axis=0) + layer.epsilon)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


Elementwise = Callable[[np.ndarray], np.ndarray]
# activation -> (its slope, itself)
SLOPES: dict[str, tuple[Elementwise, Elementwise]] = {
    "sigmoid": (lambda x: _sigmoid(x) * _sigmoid(-x), _sigmoid),
    "tanh": (lambda x: 1 - np.tanh(x) ** 2, np.tanh),
    "relu": (lambda x: (x > 0).astype(x.dtype), lambda x: np.maximum(x, 0)),
}
PROBES: dict[str, Callable[[Scene], Iterator[Row]]] = {
    "activations": _activations,
    "gradients": _gradients,
    "population": _population,
    "jacobian": _jacobian,
}

_views: weakref.WeakKeyDictionary[Program, Inside] = weakref.WeakKeyDictionary()


class Recorder:
    """The probes of one run.

    Args:
        config: the run.
        program: its network.
        dataset: its images.
        memory: what the probes keep from one step to the next; of a run that goes on, what it
            kept before. It is changed in place.
    """

    def __init__(
        self, config: Config, program: Program, dataset: Dataset, memory: dict[str, Any]
    ) -> None:
        self._probes = config.probes
        self._last = config.trainer.steps
        self._program, self._batch_size = program, config.trainer.batch_size
        self._dataset, self._memory = dataset, memory

    def is_due(self, step: int) -> bool:
        """Whether to record at this step, which is 0 or that of an evaluation."""
        if not self._probes.record:
            return False
        every = self._probes.every
        return every is None or step % every == 0 or step == self._last

    def record(self, step: int) -> list[dict[str, Any]]:
        """The rows of probes.csv for the network as it stands after so many steps."""
        if self._program not in _views:
            _views[self._program] = Inside(self._program.model, self._batch_size)
        inside = _views[self._program]
        scene = Scene(inside, self._dataset, self._probes.images, self._memory)
        with inside.undisturbed(), np.errstate(all="ignore"):  # what is not finite stays empty
            return [
                {"step": step, **row._asdict()}
                for name in self._probes.record
                for row in PROBES[name](scene)
            ]
