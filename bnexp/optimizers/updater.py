"""Applies an optimizer to a network's variables, within the compiled loop."""

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from bnexp.config import ConfigError
from bnexp.config.options import Option


class Updater(Protocol):
    """One optimizer on one list of variables."""

    state: list[tf.Variable]

    def reset(self) -> None:
        """Back to the state before the first step."""

    def apply(self, gradients: Sequence[tf.Tensor], lr: tf.Tensor, step: tf.Tensor) -> None:
        """Updates the variables.

        Args:
            gradients: one per variable.
            lr: learning rate of this step, scalar float32.
            step: steps made before this one, scalar int32.
        """


def updater_for(option: Option, model: keras.Model) -> Updater:
    """What applies the optimizer of an option to a network's trainable variables.

    Raises:
        ConfigError: it is no Keras optimizer, and has neither `updater` nor `slots` and `update`.
    """
    found, variables = option(), model.trainable_variables
    if hasattr(found, "updater"):
        applied: Updater = found.updater(model)
        return applied
    if isinstance(found, keras.optimizers.Optimizer):
        return KerasUpdater(found, variables)
    if not (hasattr(found, "update") and hasattr(found, "slots")):
        raise ConfigError(
            f"{option.target}: an optimizer is a Keras optimizer, or has slots (how many a "
            "variable needs) and update(variable, slots, gradient, lr, step), or has "
            "updater(model)"
        )
    return SlotUpdater(found, variables)


class SlotUpdater:
    """An optimizer in the manner of `bnexp.optimizers`: one kernel call a variable."""

    def __init__(self, optimizer: Any, variables: Sequence[keras.Variable]) -> None:
        self._optimizer = optimizer
        self._variables = [variable.value for variable in variables]
        self._constrained = [variable for variable in variables if variable.constraint is not None]
        self._slots = [
            [tf.Variable(tf.zeros_like(var), trainable=False) for var in self._variables]
            for _ in range(optimizer.slots)
        ]
        self.state = [slot for row in self._slots for slot in row]
        self.reset()

    def reset(self) -> None:
        start = getattr(self._optimizer, "start", 0.0)
        for slot in self.state:
            slot.assign(tf.fill(slot.shape, tf.cast(start, slot.dtype)))

    def apply(self, gradients: Sequence[tf.Tensor], lr: tf.Tensor, step: tf.Tensor) -> None:
        for index, (var, gradient) in enumerate(zip(self._variables, gradients, strict=True)):
            row = [slots[index] for slots in self._slots]
            self._optimizer.update(var, row, gradient, lr, step)
        for variable in self._constrained:
            variable.assign(variable.constraint(variable))


class KerasUpdater:
    """A Keras optimizer; its learning rate is set at every step."""

    def __init__(self, optimizer: keras.optimizers.Optimizer, variables: Sequence[Any]) -> None:
        self._optimizer = optimizer
        optimizer.build(list(variables))
        self.state = [variable.value for variable in optimizer.variables]
        self._start = [np.array(variable) for variable in self.state]

    def reset(self) -> None:
        for variable, value in zip(self.state, self._start, strict=True):
            variable.assign(value)

    def apply(self, gradients: Sequence[tf.Tensor], lr: tf.Tensor, step: tf.Tensor) -> None:
        self._optimizer.learning_rate.assign(lr)
        self._optimizer.apply(list(gradients))
