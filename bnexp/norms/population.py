"""Exact population statistics: averages over batches of a trained network (Alg. 2, lines 7-12)."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf


class Accumulator:
    """Sums of a layer's batch statistics, weighted by the sizes of the batches.

    A layer that is given one adds what it finds in a batch instead of moving its averages. Sums
    are float64, and sizes in units of the first batch: batches of one size are then added as they
    are. A batch of one position tells nothing of the variance and counts for the mean alone.

    Args:
        features: how many the layer has.
    """

    def __init__(self, features: int) -> None:
        def zeros(*shape: int) -> tf.Variable:
            return tf.Variable(tf.zeros(shape, tf.float64), trainable=False)

        self._unit = zeros()
        self._mean, self._mean_weight = zeros(features), zeros(features)
        self._variance, self._variance_weight = zeros(features), zeros(features)

    def add(self, mean: tf.Tensor, variance: tf.Tensor, count: tf.Tensor) -> None:
        """Adds a batch's mean and unbiased variance.

        Args:
            mean: (features,), or (ghosts, features) of ghost batches.
            variance: as `mean`.
            count: positions that they are of: (), or broadcasting with `mean`.
        """
        rows = [-1, self._mean.shape[0]]
        counts = tf.broadcast_to(tf.cast(count, tf.float64), tf.shape(mean))
        counts = tf.reshape(counts, rows)
        largest = tf.reduce_max(tf.concat([[[0.0] * rows[1]], counts], 0))
        unit = self._unit.assign(tf.where(self._unit > 0, self._unit, largest))
        weights = tf.math.divide_no_nan(counts, unit)
        self._add(self._mean, self._mean_weight, tf.reshape(mean, rows), weights)
        weights = tf.where(counts > 1, weights, 0)
        self._add(self._variance, self._variance_weight, tf.reshape(variance, rows), weights)

    @staticmethod
    def _add(
        total: tf.Variable, total_weight: tf.Variable, value: tf.Tensor, weights: tf.Tensor
    ) -> None:
        total.assign_add(tf.reduce_sum(weights * tf.cast(value, tf.float64), 0))
        total_weight.assign_add(tf.reduce_sum(weights, 0))

    def averages(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and variance by feature, float64; None: no position was counted."""
        weight = self._mean_weight.numpy()
        if not weight.all():
            return None
        variance_weight = self._variance_weight.numpy()
        safe = np.where(variance_weight > 0, variance_weight, 1.0)
        return self._mean.numpy() / weight, self._variance.numpy() / safe

    def reset(self) -> None:
        """Forgets all batches."""
        for variable in vars(self).values():
            variable.assign(tf.zeros_like(variable))


class PopulationLayer(Protocol):
    """What a normalizer needs so that `set_population_statistics` finds and serves it."""

    name: str
    built: bool
    trainable: bool
    moving_mean: keras.Variable
    accumulator: Accumulator | None

    def assign_population(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Takes (features,) each as what inference normalizes with."""


def set_population_statistics(model: keras.Model, batches: Iterable[Any]) -> None:
    """Replaces the moving averages of every `BatchNorm` by exact ones (Alg. 2, lines 7-12).

    Runs the frozen network in training mode over the batches and averages each layer's batch
    means and unbiased batch variances, weighted by the sizes of the batches. Nothing else
    changes: no weight, no state of another layer (dropout's generators, averages of Keras's own
    normalizers), and nothing at all if the batches end in an error. A layer that is frozen
    (`trainable=False`) normalizes by the averages that it has, here too, and keeps them; a
    warning names it. The network is compiled once, also for later calls.

    Args:
        model: a built network that holds `BatchNorm` layers, at any depth. One that is called
            several times averages over all of its calls.
        batches: the network's inputs, (batch, ...) each; empty ones are skipped.

    Raises:
        ValueError: there is no batch, no layer to set, or the network is not built.
    """
    layers = _layers_to_set(model)
    collector = _collector(model, layers)
    with _preserved(model.non_trainable_variables):
        if not collector.run(batches):
            raise ValueError("population statistics need at least one batch that is not empty")
    found = [accumulator.averages() for accumulator in collector.accumulators]
    for layer, averages in zip(layers, found, strict=True):
        if averages is not None:
            layer.assign_population(*averages)
    _warn_of_kept("no position reached them", layers, [averages is None for averages in found])


def _layers_to_set(model: keras.Model) -> list[PopulationLayer]:
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "accumulator")]
    if not all(layer.built for layer in layers):
        raise ValueError(f"{model.name} is not built: call it on a batch first")
    moving = [layer for layer in layers if layer.trainable]
    if not moving:
        why = "its BatchNorm layers are frozen (trainable=False)" if layers else "it has none"
        raise ValueError(f"{model.name} has no BatchNorm layer whose averages can be set: {why}")
    frozen = "frozen (trainable=False)"
    _warn_of_kept(frozen, layers, [not layer.trainable for layer in layers])
    return moving


def _warn_of_kept(why: str, layers: Sequence[PopulationLayer], kept: Sequence[bool]) -> None:
    names = [layer.name for layer, is_kept in zip(layers, kept, strict=True) if is_kept]
    if names:
        warnings.warn(f"{', '.join(names)}: averages are kept as they were, {why}", stacklevel=3)


class _Collector:
    """A network's compiled pass over a batch, in which its layers add to accumulators."""

    def __init__(self, model: keras.Model, layers: Sequence[PopulationLayer]) -> None:
        self._model, self._layers = model, layers
        self.accumulators = [Accumulator(layer.moving_mean.shape[0]) for layer in layers]
        self._compiled = tf.function(self._pass, reduce_retracing=True)

    def run(self, batches: Iterable[Any]) -> int:
        """Starts anew, adds all batches, and returns how many there were."""
        for accumulator in self.accumulators:
            accumulator.reset()
        count = 0
        for inputs in batches:
            if len(tf.nest.flatten(inputs)[0]):
                self._compiled(inputs)
                count += 1
        return count

    def _pass(self, inputs: Any) -> None:
        try:
            for layer, accumulator in zip(self._layers, self.accumulators, strict=True):
                layer.accumulator = accumulator
            self._model(inputs, training=True)
        finally:
            for layer in self._layers:
                layer.accumulator = None


def _collector(model: keras.Model, layers: Sequence[PopulationLayer]) -> _Collector:
    """The model's own; another one if layers were frozen, thawed or replaced in between."""
    state = tuple((id(layer), layer.trainable) for layer in model._flatten_layers())
    kept = vars(model).get("_population_collector")
    if kept is None or kept[0] != state:
        # past Keras's __setattr__, as this is no part of the model's state
        kept = vars(model)["_population_collector"] = (state, _Collector(model, layers))
    return kept[1]


@contextmanager
def _preserved(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """Puts the values of variables back."""
    kept = [tf.identity(variable.value) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
