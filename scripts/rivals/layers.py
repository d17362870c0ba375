"""The networks of the benchmark as data, from which every rival builds its own.

They are those of `bnexp/networks/`: a norm before every nonlinearity, no bias before a norm.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Literal, TypeAlias

CLASSES = 10
EPSILON = 1e-3  # added to the variance by Batch Normalization
Shape: TypeAlias = tuple[int, ...]  # of one image: (height, width, channels) or (features,)


@dataclass(frozen=True)
class Conv:
    """A convolution with zeros around its input, Batch Normalization, the nonlinearity."""

    maps: int
    size: int = 3
    strides: int = 1


@dataclass(frozen=True)
class Dense:
    """A dense layer, Batch Normalization or a bias, the nonlinearity unless these are logits."""

    units: int
    norm: bool = True
    logits: bool = False


@dataclass(frozen=True)
class Pool:
    """The maximum or average of `size` x `size` locations, as far as they lie within the image."""

    kind: Literal["max", "average"]
    size: int
    strides: int


@dataclass(frozen=True)
class Average:
    """The average of each feature map over all locations."""


@dataclass(frozen=True)
class Flatten:
    """All features of an image as a vector."""


@dataclass(frozen=True)
class Dropout:
    """Sets a share `rate` of its inputs to 0 in training and scales up the others."""

    rate: float


@dataclass(frozen=True)
class Join:
    """Branches on the same input, whose feature maps are joined."""

    branches: tuple[tuple["Layer", ...], ...]


Layer: TypeAlias = Conv | Dense | Pool | Average | Flatten | Dropout | Join
Layers: TypeAlias = Sequence[Layer]


@dataclass(frozen=True)
class Network:
    """Layers from images to logits."""

    input_shape: Shape
    layers: tuple[Layer, ...]
    activation: Literal["relu", "sigmoid"] = "relu"
    momentum: float = 0.9  # of the moving averages, in Keras's sense

    @property
    def convolutional(self) -> bool:
        """Whether its first layer is a convolution."""
        return isinstance(self.layers[0], Conv)

    def deviation(self, fan_in: int) -> float:
        """Standard deviation of initial weights: He et al. (2015) for ReLU."""
        return sqrt(2 / fan_in) if self.activation == "relu" else 0.05


def _module(maps: int) -> Join:
    """An Inception module that keeps width and height."""
    one = Conv(maps, 1)
    pooled = (Pool("average", 3, 1), one)
    return Join(((one,), (one, Conv(maps)), (one, Conv(maps), Conv(maps)), pooled))


def _halving(maps: int) -> Join:
    """An Inception module that halves width and height, and passes its input on."""
    one, half = Conv(maps, 1), Conv(maps, strides=2)
    return Join(((one, half), (one, Conv(maps), half), (Pool("max", 3, 2),)))


_LOGITS = Dense(CLASSES, norm=False, logits=True)
_STAGE = (Conv(16),) * 5
_LATER_STAGES = tuple(
    Conv(maps, strides=strides) for maps in (32, 64) for strides in (2, 1, 1, 1, 1)
)
NETWORKS = {
    "mlp": Network((28, 28, 1), (Flatten(), *3 * (Dense(100),), _LOGITS), activation="sigmoid"),
    "cnn": Network(
        (28, 28, 1),
        (
            *(Conv(32, 5), Pool("max", 2, 2), Conv(64, 5), Pool("max", 2, 2)),
            *(Flatten(), Dense(1024, norm=False), Dropout(0.5), _LOGITS),
        ),
        momentum=0.5,
    ),
    "plain": Network(
        (32, 32, 3), (Conv(16, strides=2), *_STAGE, *_LATER_STAGES, Average(), _LOGITS)
    ),
    "inception": Network(
        (32, 32, 3),
        (
            *(Conv(16, strides=2), Conv(32), _module(16), _halving(16), _module(32)),
            *(_halving(32), _module(32), Average(), _LOGITS),
        ),
    ),
}


def after(layer: Layer, shape: Shape) -> Shape:
    """The shape of what a layer makes of an image of this shape."""
    match layer:
        case Conv(maps=maps, strides=strides):
            return (*_strided(shape, strides), maps)
        case Pool(strides=strides):
            return (*_strided(shape, strides), shape[-1])
        case Dense(units=units):
            return (units,)
        case Average():
            return shape[-1:]
        case Flatten():
            return (prod(shape),)
        case Join(branches=branches):
            ends = [end(branch, shape) for branch in branches]
            return (*ends[0][:-1], sum(maps for *_, maps in ends))
    return shape


def end(layers: Layers, shape: Shape) -> Shape:
    """The shape after all layers."""
    for layer in layers:
        shape = after(layer, shape)
    return shape


def linear_maps(layers: Layers, shape: Shape) -> Iterator[tuple[Conv | Dense, Shape]]:
    """Every convolution and dense layer, those of branches too, with the shape of its input."""
    for layer in layers:
        if isinstance(layer, Join):
            for branch in layer.branches:
                yield from linear_maps(branch, shape)
        elif isinstance(layer, Conv | Dense):
            yield layer, shape
        shape = after(layer, shape)


def kernel(layer: Conv | Dense, shape: Shape) -> Shape:
    """The shape of a kernel as Keras has it, its last axis the output."""
    if isinstance(layer, Conv):
        return (layer.size, layer.size, shape[-1], layer.maps)
    return (shape[0], layer.units)


def parameters(network: Network) -> int:
    """Trained parameters: kernels, gamma and beta of norms, biases where there is no norm."""
    count = 0
    for layer, shape in linear_maps(network.layers, network.input_shape):
        weights = kernel(layer, shape)
        normalized = isinstance(layer, Conv) or layer.norm
        count += prod(weights) + (2 if normalized else 1) * weights[-1]
    return count


def flop(network: Network, batch_size: int) -> float:
    """Floating-point operations of the products of one training step (forward and backward).

    The gradient for the first layer's inputs is not needed, nor computed by any contender.
    """
    products = [
        prod(after(layer, shape)[:-1]) * prod(kernel(layer, shape))
        for layer, shape in linear_maps(network.layers, network.input_shape)
    ]
    return 2.0 * batch_size * (3 * sum(products) - products[0])


def _strided(shape: Shape, strides: int) -> Shape:
    """Height and width when every `strides`-th location is kept."""
    return tuple(-(-length // strides) for length in shape[:-1])
