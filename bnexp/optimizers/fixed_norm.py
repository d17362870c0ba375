"""Gradient descent that keeps the norm of the hidden weights (after van Laarhoven 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bnexp.config.types import NonNegative

if TYPE_CHECKING:  # which import TensorFlow
    import keras
    import tensorflow as tf

    from bnexp.optimizers.updater import Updater


@dataclass(frozen=True)
class FixedNorm:
    """SGD with each hidden W brought back to its first norm, and L2's course of the rate instead.

    Where a norm follows W, the loss does not depend on |W|, and L2 acts through the effective rate
    lr / |W|² alone (van Laarhoven 2017). Here |W| = c stays, and r takes the course that it would
    have had under L2; both start at the norm of the first weights:

        U = W - lr (c / r)² gradient(W) - lr l2 W;   r <- r |U| / c;   W <- c U / |U|

    This is SGD with L2 if the loss has no scale: for V = W r / c there, gradient(V) is
    (c / r) gradient(W), and V - lr gradient(V) - lr l2 V = U r / c: U's direction, and the norm
    r |U| / c. Without a norm behind W it is another method. Hidden are the kernels of all layers
    but the output layer, each as a whole; to all else this is optimizer=sgd with weight_decay=l2.

    Args:
        l2: factor of the L2 penalty l2/2 |W|², as weight_decay of other optimizers, which this one
            does not have.
    """

    l2: NonNegative = 0.0
    without: ClassVar[tuple[str, ...]] = ("weight_decay",)

    def updater(self, model: "keras.Model") -> "Updater":
        """What applies it to a network."""
        return FixedNormUpdater(self.l2, model)


class FixedNormUpdater:
    """`FixedNorm` on one network.

    Args:
        l2: its factor.
        model: the network.
    """

    def __init__(self, l2: float, model: "keras.Model") -> None:
        import tensorflow as tf

        from bnexp.networks.structure import hidden_kernels, kernels
        from bnexp.optimizers.sgd import SGD
        from bnexp.optimizers.updater import SlotUpdater

        def norms() -> list[tf.Variable]:
            return [tf.Variable(tf.zeros((), one.dtype), trainable=False) for one in self._hidden]

        self._l2 = l2
        self._sgd = SlotUpdater(SGD(), model.trainable_variables)
        self._weights = [variable.value for variable in model.trainable_variables]
        drawn, hidden = ({id(one.value) for one in f(model)} for f in (kernels, hidden_kernels))
        self._decays = [id(weight) in drawn for weight in self._weights]
        self._place = [k for k, weight in enumerate(self._weights) if id(weight) in hidden]
        self._hidden = [self._weights[k] for k in self._place]
        self._kept, self._under_l2 = norms(), norms()  # c and r
        self.state = [*self._kept, *self._under_l2]

    def reset(self) -> None:
        """Takes the norms of the weights as they are.

        Raises:
            ConfigError: weights that are all 0 have no norm to keep.
        """
        import tensorflow as tf

        from bnexp.config import ConfigError

        for weight, kept, under_l2 in zip(self._hidden, self._kept, self._under_l2, strict=True):
            norm = tf.norm(weight)
            if not norm:
                name = weight.name.removesuffix(":0")
                raise ConfigError(
                    f"optimizer=fixed_norm: {name} starts at 0 and has no norm to keep: choose "
                    "other initial weights, or optimizer=sgd"
                )
            kept.assign(norm)
            under_l2.assign(norm)

    def rate_factor(self, variable: "keras.Variable") -> float:
        """(c / r)² of a hidden kernel, as it stands; 1 of all else."""
        for weight, kept, under_l2 in zip(self._hidden, self._kept, self._under_l2, strict=True):
            if weight is variable.value:
                return float(kept / under_l2) ** 2
        return 1.0

    def apply(self, gradients: Sequence["tf.Tensor"], lr: "tf.Tensor", step: "tf.Tensor") -> None:
        import tensorflow as tf

        slopes = list(gradients)
        for k, kept, under_l2 in zip(self._place, self._kept, self._under_l2, strict=True):
            slopes[k] = slopes[k] * tf.square(kept / under_l2)
        for k, decays in enumerate(self._decays):
            if decays and self._l2:
                slopes[k] = slopes[k] + self._l2 * self._weights[k]
        self._sgd.apply(slopes, lr, step)
        for weight, kept, under_l2 in zip(self._hidden, self._kept, self._under_l2, strict=True):
            norm = tf.norm(weight)
            under_l2.assign(under_l2 * norm / kept)
            weight.assign(weight * (kept / norm))
