"""The transposed dense layer is a dense layer."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnexp.networks.dense import TransposedDense


def pair(inputs: int, units: int, **options) -> tuple[keras.layers.Dense, TransposedDense]:
    """Both kinds with the same weights."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(inputs, units)).astype("float32")
    plain, transposed = (kind(units, **options) for kind in (keras.layers.Dense, TransposedDense))
    for layer, weights in ((plain, kernel), (transposed, kernel.T)):
        layer.build((None, inputs))
        bias = [np.linspace(-1, 1, units)] if layer.use_bias else []
        layer.set_weights([weights, *bias])
    return plain, transposed


def outputs_and_gradients(layer: keras.layers.Layer, batch: int, jit: bool) -> list[np.ndarray]:
    inputs = layer.input_spec.axes[-1]
    x = tf.constant(np.random.default_rng(1).normal(size=(batch, inputs)), tf.float32)

    @tf.function(jit_compile=jit)
    def both() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.square(y))
        wanted = [x, *(variable.value for variable in layer.trainable_variables)]
        return [y, *tape.gradient(loss, wanted)]

    return [value.numpy().astype("float32") for value in both()]


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)])
def test_outputs_and_gradients_are_those_of_dense(dtype, tolerance, use_bias, jit):
    layers = pair(30, 10, use_bias=use_bias, dtype=dtype)
    plain, transposed = (outputs_and_gradients(layer, 20, jit) for layer in layers)
    transposed[2] = transposed[2].T
    for ours, theirs in zip(transposed, plain, strict=True):
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize(
    "initializer", ["he_normal", "lecun_normal", "glorot_uniform", "orthogonal", "variance_scaling"]
)
def test_initializers_see_the_kernel_as_dense_has_it(initializer):
    found = []
    for kind in (keras.layers.Dense, TransposedDense):
        seeded = keras.initializers.get(initializer)
        layer = kind(10, kernel_initializer=type(seeded)(seed=3))
        layer.build((None, 400))
        found.append(layer.kernel.numpy())
    np.testing.assert_array_equal(found[0], found[1].T)


@pytest.mark.parametrize("key", ["kernel_regularizer", "bias_regularizer", "activity_regularizer"])
def test_regularizers_are_those_of_dense(key):
    regularizer = keras.regularizers.L1L2(0.3, 0.2)
    if key == "kernel_regularizer":  # tells rows from columns
        regularizer = keras.regularizers.OrthogonalRegularizer(0.1, mode="columns")
    losses = []
    for layer in pair(30, 10, **{key: regularizer}):
        layer(np.ones((4, 30), "float32"))
        losses += [float(loss) for loss in layer.losses]
    assert losses[0] > 0
    assert losses == pytest.approx([losses[0]] * 2, rel=1e-5)


@pytest.mark.parametrize("constraint", [keras.constraints.UnitNorm(), keras.constraints.NonNeg()])
def test_constraints_are_those_of_dense(constraint):
    plain, transposed = pair(30, 10, kernel_constraint=constraint, bias_constraint=constraint)
    for layer in (plain, transposed):
        for variable in layer.trainable_variables:
            variable.assign(variable.constraint(variable))
    np.testing.assert_allclose(transposed.kernel.numpy().T, plain.kernel, rtol=1e-6)
    np.testing.assert_allclose(transposed.bias, plain.bias, rtol=1e-6)


def test_arguments_that_need_another_layout_are_refused_in_a_line():
    with pytest.raises(ValueError, match=r"^TransposedDense has no lora_rank \(got 2\): use .*$"):
        TransposedDense(4, lora_rank=2)


def test_it_is_kept_and_loaded(tmp_path: Path):
    layer = TransposedDense(
        10,
        "relu",
        kernel_regularizer="l2",
        kernel_constraint="non_neg",
        kernel_initializer="he_normal",
    )
    model = keras.Sequential([keras.Input((30,)), layer])
    model.save(tmp_path / "model.keras")
    x = np.ones((3, 30), "float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    (again,) = loaded.layers
    assert isinstance(again, TransposedDense)
    assert again.get_config() == layer.get_config()
    assert again.losses
