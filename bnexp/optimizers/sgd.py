"""Plain stochastic gradient descent."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class SGD:
    """W <- W - lr * gradient."""

    slots: ClassVar[int] = 0

    def update(self, variable: Any, slots: list[Any], gradient: Any, lr: Any, step: Any) -> None:
        """Updates one variable in a kernel call."""
        import tensorflow as tf

        tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=lr, delta=gradient)
