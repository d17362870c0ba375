"""The settings that the options of a group share, whatever each has besides."""

from dataclasses import dataclass
from typing import Literal

from bnexp.config.types import Index, NonNegative, Positive


@dataclass(frozen=True)
class Activation:
    """Of networks that are built from units.

    Args:
        activation: nonlinearity of every hidden layer: sigmoid, relu, tanh, or another that Keras
            has by name.
    """

    activation: str = "relu"


@dataclass(frozen=True)
class Placement:
    """Of normalizers: where they stand.

    Args:
        position: pre: before the nonlinearity (section 3.2); post: after it.
        bias: true: a layer before a norm keeps its bias, which Batch Normalization cancels
            (section 2); false: it has none, beta takes its place (section 3.2). Read with
            position=pre; elsewhere layers have theirs.
    """

    position: Literal["pre", "post"] = "pre"
    bias: bool = False


@dataclass(frozen=True)
class Start:
    """Of initial weights.

    Args:
        bias: initial value of every bias (layers before a norm have none but with norm.bias=true).
        scale: factor on the initial weights, without biases, of all layers but the output layer:
            to a normalized layer it makes no difference in its outputs (section 3.3).
    """

    bias: float = 0.0
    scale: Positive = 1.0


@dataclass(frozen=True)
class Rate:
    """Of optimizers.

    Args:
        lr: learning rate, which the schedule multiplies.
        weight_decay: factor λ of an L2 penalty λ/2 |W|² on all kernels, added to the gradient.
    """

    lr: Positive = 0.01
    weight_decay: NonNegative = 0.0


@dataclass(frozen=True)
class Warmup:
    """Of schedules.

    Args:
        warmup: steps over which the learning rate rises evenly from 0 to what the schedule says;
            0: none.
    """

    warmup: Index = 0
