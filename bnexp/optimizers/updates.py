"""First-order optimizers on TensorFlow's fused update kernels.

One kernel call a variable: faster than Keras's optimizers for convolutional networks, and
all that varies between runs (learning rate, step) is a tensor, so that one compiled program
serves them all.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from bnexp.config import Optimizer


class Updater:
    """Applies one optimizer's update to a fixed list of variables.

    Args:
        config: kind and constants; `lr` is not read here but given with every update.
        variables: what is trained, in the order of the gradients.
    """

    def __init__(self, config: Optimizer, variables: Sequence[tf.Variable]) -> None:
        slots, self._start, self._kernel = KINDS[config.kind]
        self._config = config
        self._variables = list(variables)
        # slots[i][j] belongs to variables[j]
        self._slots = [
            [tf.Variable(tf.zeros_like(var), trainable=False) for var in variables]
            for _ in range(slots)
        ]
        self.reset()

    @property
    def slots(self) -> list[tf.Variable]:
        """All state, in a fixed order."""
        return [slot for row in self._slots for slot in row]

    def reset(self) -> None:
        """Back to the state before the first step."""
        start = self._start(self._config)
        for slot in self.slots:
            slot.assign(tf.fill(slot.shape, tf.cast(start, slot.dtype)))

    def apply(self, gradients: Sequence[tf.Tensor], lr: tf.Tensor, step: tf.Tensor) -> None:
        """Updates the variables.

        Args:
            gradients: one per variable.
            lr: learning rate, scalar float32.
            step: steps made before this one, scalar int32.
        """
        for index, (var, gradient) in enumerate(zip(self._variables, gradients, strict=True)):
            row = [slots[index] for slots in self._slots]
            self._kernel(self._config, var, row, gradient, lr, step)


Kernel = Callable[
    [Optimizer, tf.Variable, list[tf.Variable], tf.Tensor, tf.Tensor, tf.Tensor], None
]


def _sgd(
    _: Optimizer,
    var: tf.Variable,
    slots: list[tf.Variable],
    gradient: tf.Tensor,
    lr: tf.Tensor,
    step: tf.Tensor,
) -> None:
    tf.raw_ops.ResourceApplyGradientDescent(var=var.handle, alpha=lr, delta=gradient)


def _momentum(
    config: Optimizer,
    var: tf.Variable,
    slots: list[tf.Variable],
    gradient: tf.Tensor,
    lr: tf.Tensor,
    step: tf.Tensor,
) -> None:
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=var.handle,
        accum=slots[0].handle,
        lr=lr,
        grad=gradient,
        momentum=config.momentum,
    )


def _adagrad(
    _: Optimizer,
    var: tf.Variable,
    slots: list[tf.Variable],
    gradient: tf.Tensor,
    lr: tf.Tensor,
    step: tf.Tensor,
) -> None:
    tf.raw_ops.ResourceApplyAdagrad(
        var=var.handle, accum=slots[0].handle, lr=lr, grad=gradient, update_slots=True
    )


def _adam(
    config: Optimizer,
    var: tf.Variable,
    slots: list[tf.Variable],
    gradient: tf.Tensor,
    lr: tf.Tensor,
    step: tf.Tensor,
) -> None:
    done = tf.cast(step + 1, tf.float32)
    tf.raw_ops.ResourceApplyAdam(
        var=var.handle,
        m=slots[0].handle,
        v=slots[1].handle,
        beta1_power=tf.pow(config.momentum, done),
        beta2_power=tf.pow(config.beta_2, done),
        lr=lr,
        beta1=config.momentum,
        beta2=config.beta_2,
        epsilon=config.epsilon,
        grad=gradient,
    )


# kind -> (slots per variable, their first value, update)
KINDS: dict[str, tuple[int, Callable[[Optimizer], float], Kernel]] = {
    "sgd": (0, lambda _: 0.0, _sgd),
    "momentum": (1, lambda _: 0.0, _momentum),
    "adagrad": (1, lambda config: config.initial_accumulator, _adagrad),
    "adam": (2, lambda _: 0.0, _adam),
}
