"""Adagrad (Duchi, Hazan & Singer 2011)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from bnexp.config.types import Positive


@dataclass(frozen=True)
class Adagrad:
    """a <- a + gradient²; W <- W - lr * gradient / √a.

    Args:
        initial_accumulator: what a starts with (TensorFlow's default); at 0 the first step would
            divide 0 by 0 where a gradient is 0.
    """

    initial_accumulator: Positive = 0.1
    slots: ClassVar[int] = 1

    @property
    def start(self) -> float:
        """The slots' first value."""
        return self.initial_accumulator

    def update(self, variable: Any, slots: list[Any], gradient: Any, lr: Any, step: Any) -> None:
        """Updates one variable in a kernel call."""
        import tensorflow as tf

        tf.raw_ops.ResourceApplyAdagrad(
            var=variable.handle, accum=slots[0].handle, lr=lr, grad=gradient, update_slots=True
        )
