"""Gradient descent with classical momentum (Polyak 1964)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from bnexp.config.types import Share


@dataclass(frozen=True)
class Momentum:
    """v <- momentum * v - lr * gradient; W <- W + v.

    Args:
        momentum: share of the last update that is kept.
    """

    momentum: Share = 0.9
    slots: ClassVar[int] = 1

    def update(self, variable: Any, slots: list[Any], gradient: Any, lr: Any, step: Any) -> None:
        """Updates one variable in a kernel call."""
        import tensorflow as tf

        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=slots[0].handle,
            lr=lr,
            grad=gradient,
            momentum=self.momentum,
        )
