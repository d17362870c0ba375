"""What a probe looks at."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bnexp.data import Dataset, Split
from bnexp.probes.views import Views
from bnexp.training.batches import on_device


@dataclass(frozen=True)
class Scene:
    """A network and the images it is shown, the same at every step.

    Attributes:
        views: compiled views into the network; `views.model` is the network itself.
        dataset: its images.
        count: how many images probes look at.
        memory: what a probe keeps from one step to the next, as JSON can hold it.
        step: training steps made.
        lr: learning rate of the next step, by the schedule; after the last step, that step's.
        rate_factor: of a variable: how many times that rate the optimizer steps it by.
    """

    views: Views
    dataset: Dataset
    count: int
    memory: dict[str, Any]
    step: int
    lr: float
    rate_factor: Callable[[keras.Variable], float] = lambda _: 1.0

    @property
    def test_batch(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The first images of the test split, and their labels."""
        return _first(self.dataset.test, self.count)

    @property
    def train_batch(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The first images of the training split, and their labels."""
        return _first(self.dataset.train, self.count)

    @property
    def validation(self) -> tuple[tf.Tensor, tf.Tensor]:
        """The whole validation split, and its labels."""
        return on_device(self.dataset.validation)

    @cached_property
    def activations(self) -> list[np.ndarray]:
        """What enters each nonlinearity on the test batch: (images x locations, units)."""
        found = self.views.activations(self.test_batch[0])
        return [values.reshape(-1, values.shape[-1]) for values in found]


def _first(split: Split, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    images, labels = on_device(split)
    return images[:count], labels[:count]
