"""A dense layer laid out for XLA on CPUs."""

from collections.abc import Callable
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="bnexp")
class TransposedDense(keras.layers.Dense):
    """`keras.layers.Dense` with its kernel kept as (units, inputs).

    Same arguments; outputs and gradients are the same but for rounding (bit for bit for the paper's
    network where the CPU has AVX-512). The products of a training step (forward, and above all
    the kernel's gradient) are then in the order in which XLA's kernels for CPUs are fastest: 5 to
    9% of a training step of that network.

    Initializers, regularizers and constraints see the kernel as `Dense` has it: (inputs, units).

    Raises:
        ValueError: `lora_rank` or `quantization_config`, which need the kernel as `Dense` has it.
    """

    def __init__(self, units: int, activation: Any = None, **kwargs: Any) -> None:
        for key in ("lora_rank", "quantization_config"):
            if kwargs.get(key) is not None:
                raise ValueError(
                    f"TransposedDense has no {key} (got {kwargs[key]}): use keras.layers.Dense"
                )
        super().__init__(units, activation, **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        inputs = input_shape[-1]
        self._kernel = self.add_weight(
            name="kernel",
            shape=(self.units, inputs),
            initializer=self._initial_kernel,
            regularizer=_of_transposed(self.kernel_regularizer),
            constraint=_on_transposed(self.kernel_constraint),
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: inputs})
        self.built = True

    def _initial_kernel(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """A draw for the shape (inputs, units), whose fan-in is the number of inputs."""
        return keras.ops.transpose(self.kernel_initializer(shape[::-1], dtype=dtype))

    def call(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        outputs = keras.ops.matmul(inputs, keras.ops.transpose(self.kernel))
        if self.bias is not None:
            outputs = outputs + self.bias
        return outputs if self.activation is None else self.activation(outputs)


def _of_transposed(regularizer: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if regularizer is None:
        return None
    return lambda kernel: regularizer(keras.ops.transpose(kernel))


def _on_transposed(constraint: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if constraint is None:
        return None
    return lambda kernel: keras.ops.transpose(constraint(keras.ops.transpose(kernel)))
