"""Adam (Kingma & Ba 2015, Alg. 1)."""

from dataclasses import dataclass
from typing import Any, ClassVar

from bnexp.config.types import Positive, Share


@dataclass(frozen=True)
class Adam:
    """W <- W - lr * m̂ / (√v̂ + epsilon), m and v decaying averages of gradient and gradient².

    Args:
        momentum: decay of the gradient's average (β₁).
        beta_2: decay of the squared gradient's average.
        epsilon: added to the root of the squared gradient's average (Keras's default); at 0 the
            first step would divide 0 by 0 where a gradient is 0.
    """

    momentum: Share = 0.9
    beta_2: Share = 0.999
    epsilon: Positive = 1e-7
    slots: ClassVar[int] = 2

    def update(self, variable: Any, slots: list[Any], gradient: Any, lr: Any, step: Any) -> None:
        """Updates one variable in a kernel call."""
        import tensorflow as tf

        done = tf.cast(step + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=slots[0].handle,
            v=slots[1].handle,
            beta1_power=tf.pow(self.momentum, done),
            beta2_power=tf.pow(self.beta_2, done),
            lr=lr,
            beta1=self.momentum,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
