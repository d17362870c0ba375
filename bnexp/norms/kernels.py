"""Normalization of weights instead of activations: linear layers that use a map of their kernel.

`KernelNorm` stands where a norm does and holds gain and shift; its `wrap` gives the linear layer
before it a twin, which learns the same kernel but multiplies by a normalized one.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bnexp.networks.dense import TransposedDense
from bnexp.networks.pointwise import PointwiseConv2D
from bnexp.norms.affine import Affine

# By linear layer the axes of its kernel that tell its outputs apart.
_OUTPUT_AXES = {
    keras.layers.Dense: (-1,),
    TransposedDense: (0,),
    keras.layers.Conv1D: (-1,),
    keras.layers.Conv2D: (-1,),
    PointwiseConv2D: (-1,),
    keras.layers.Conv3D: (-1,),
    keras.layers.Conv1DTranspose: (-2,),
    keras.layers.Conv2DTranspose: (-2,),
    keras.layers.Conv3DTranspose: (-2,),
    keras.layers.DepthwiseConv1D: (-2, -1),
    keras.layers.DepthwiseConv2D: (-2, -1),
}


class KernelMap(ABC):
    """A normalization of kernels that Keras can save: register subclasses with it."""

    @abstractmethod
    def __call__(self, kernel: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
        """A kernel of the same shape.

        Args:
            kernel: float32 or float64.
            axes: those that run over the inputs of one output.
        """

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The arguments to make it again."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "KernelMap":
        """Makes it again."""
        return cls(**config)


def _object(saved: Any) -> Any:
    """What Keras saved, or what was not saved yet."""
    return keras.saving.deserialize_keras_object(saved) if isinstance(saved, dict) else saved


class _NormalizedKernel:
    """Mixin of a linear layer that computes with `kernel_map` of its kernel.

    Weights have the names, shapes and order of the plain layer. The map is taken in float32 (or
    float64), whatever the precision policy.

    Args:
        kernel_map: see `KernelMap`.
    """

    output_axes: tuple[int, ...]  # of the kernel: those that tell outputs apart
    variable_dtype: str
    compute_dtype: str

    def __init__(self, *args: Any, kernel_map: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kernel_map: KernelMap = _object(kernel_map)
        self._normalized: tf.Tensor | None = None

    @property
    def kernel(self) -> Any:
        """The learned kernel; while the layer computes, the normalized one."""
        return self._kernel if self._normalized is None else self._normalized

    @kernel.setter
    def kernel(self, variable: keras.Variable) -> None:
        self._kernel = variable

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if kwargs.get("name") == "kernel":
            kwargs["autocast"] = False  # so that it is normalized before it is rounded
        return super().add_weight(*args, **kwargs)  # type: ignore[misc]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        dtype = keras.backend.result_type(self.variable_dtype, "float32")
        kernel = tf.cast(tf.convert_to_tensor(self._kernel), dtype)
        rank = kernel.shape.rank
        outputs = {axis % rank for axis in self.output_axes}
        inner = [axis for axis in range(rank) if axis not in outputs]
        try:
            self._normalized = tf.cast(self.kernel_map(kernel, inner), self.compute_dtype)
            return super().call(inputs)  # type: ignore[misc]
        finally:
            self._normalized = None

    def get_config(self) -> dict[str, Any]:
        kernel_map = keras.saving.serialize_keras_object(self.kernel_map)
        return {**super().get_config(), "kernel_map": kernel_map}  # type: ignore[misc]


def _twin(kind: type[keras.layers.Layer], output_axes: tuple[int, ...]) -> type[keras.layers.Layer]:
    twin = type(
        f"Normalized{kind.__name__}",
        (_NormalizedKernel, kind),
        {"output_axes": output_axes, "__doc__": f"{kind.__name__} with a normalized kernel."},
    )
    return keras.saving.register_keras_serializable(package="bnexp")(twin)


_TWINS = {kind: _twin(kind, axes) for kind, axes in _OUTPUT_AXES.items()}


@keras.saving.register_keras_serializable(package="bnexp")
class KernelNorm(Affine):
    """Gain gamma and shift beta behind a linear layer whose kernel is normalized.

    Example:
        norm = KernelNorm(UnitNorm())
        outputs = norm(norm.wrap(keras.layers.Dense(10))(inputs))

    Args:
        kernel_map: what `wrap` normalizes kernels with; see `KernelMap`.
    """

    def __init__(self, kernel_map: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_map: KernelMap = _object(kernel_map)

    def wrap(self, linear: keras.layers.Layer) -> keras.layers.Layer:
        """A twin of a linear layer that is not built yet, which computes with a normalized kernel.

        Raises:
            ValueError: a layer whose kernel it cannot normalize.
        """
        twin = _TWINS.get(type(linear))
        if twin is None:
            raise ValueError(
                f"{self.name} cannot normalize the weights of {linear.name}, which is a "
                f"{type(linear).__name__}, but only those of "
                f"{', '.join(kind.__name__ for kind in _TWINS)}: use a norm of activations"
            )
        return twin.from_config({**linear.get_config(), "kernel_map": self._saved_map()})

    def _saved_map(self) -> Any:
        return keras.saving.serialize_keras_object(self.kernel_map)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_map": self._saved_map()}
