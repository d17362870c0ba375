"""BatchNorm where Keras's layer stands: what Keras's own tests ask of it, and configs and weights.

The moving variance averages the unbiased estimate, m / (m - 1) times what Keras's does; where the
cases of Keras's test file look at it, the numbers here are those.
"""

import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python.interpreter import Interpreter

from bnexp.norms.batch import BatchNorm

Theirs = keras.layers.BatchNormalization
LAYERS = (BatchNorm, Theirs)
VECTORS, SEQUENCES, MAPS = (6, 5), (6, 4, 5), (6, 3, 4, 5)
REGULARIZED = {"beta_regularizer": "l2", "gamma_regularizer": "l2"}
CLIPPED = {"rmax": 3.0, "rmin": 0.3, "dmax": 5.0}
ARGUMENTS = [
    {},
    {"center": False, "scale": False},
    {"momentum": 0.5, "epsilon": 1e-2, "axis": 1, **REGULARIZED},
    {"gamma_initializer": keras.initializers.Constant(2.0), "beta_constraint": "non_neg"},
    {"renorm": True, "renorm_clipping": CLIPPED, "renorm_momentum": 0.9},
    {"synchronized": True, "trainable": False, "dtype": "mixed_bfloat16", "name": "norm"},
]


def inputs(shape, seed=0):
    return np.random.default_rng(seed).normal(5, 10, shape).astype("float32")


def unbiased(shape, axis=-1):
    """What turns Keras's moving variance of a batch of this shape into ours."""
    m = np.prod(shape) / shape[axis]
    return m / (m - 1)


@pytest.mark.parametrize("shape", [VECTORS, SEQUENCES, MAPS])
@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_weights_losses_shapes_and_types_are_those_of_keras(arguments, shape):
    if arguments.get("axis") == 1 and len(shape) == 2:
        arguments = {**arguments, "axis": -1}
    found = []
    for kind in LAYERS:
        layer = kind(**{"name": "norm", **arguments})
        outputs = layer(inputs(shape), training=True)
        symbolic = layer(keras.KerasTensor((None, *shape[1:])))
        weights = [
            [(weight.name, weight.shape, weight.dtype, weight.trainable) for weight in group]
            for group in (layer.weights, layer.trainable_weights, layer.non_trainable_weights)
        ]
        losses = [float(loss) for loss in layer.losses]
        types = outputs.shape, outputs.dtype, symbolic.shape, symbolic.dtype
        found.append([weights, losses, types, layer.supports_masking, layer.input_spec.ndim])
    assert found[0] == found[1]


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("start", ["zeros", "ones"])
@pytest.mark.parametrize("shape", [(5, 2, 3), (5, 3, 3, 2)])
def test_outputs_have_mean_0_and_deviation_1_and_so_have_averages(shape, start, axis):
    arguments = {"moving_mean_initializer": start, "moving_variance_initializer": start}
    layer = BatchNorm(axis=axis, momentum=0, **arguments)
    x = out = inputs(shape)
    for _ in range(3):
        out = layer(out, training=True)
    axes = tuple(set(range(len(shape))) - {axis % len(shape)})
    np.testing.assert_allclose(np.mean(out, axes), 0, atol=1e-3)
    np.testing.assert_allclose(np.std(out, axes), 1, atol=1e-3)
    np.testing.assert_allclose(layer.moving_mean, np.zeros(shape[axis]), atol=1e-3)
    factor = unbiased(shape, axis)
    np.testing.assert_allclose(layer.moving_variance, np.full(shape[axis], factor), atol=2e-3)

    assert not np.allclose(layer(x, training=False), layer(x, training=True))
    layer.moving_variance.assign(layer.moving_variance / factor)
    in_training = np.asarray(layer(x, training=True))
    layer.moving_variance.assign(layer.moving_variance / factor)
    np.testing.assert_allclose(layer(x, training=False), in_training, atol=1e-5)

    x[:, 1] = 0
    masked = keras.layers.Masking()(x)
    np.testing.assert_array_equal(layer(masked, training=False), layer(x, training=False))
    assert not np.allclose(layer(masked, training=True), layer(x, training=False))


@pytest.mark.parametrize("synchronized", [False, True])
def test_a_batch_that_is_masked_throughout_gives_zeros(synchronized):
    layer = BatchNorm(scale=False, center=False, synchronized=synchronized)
    x = np.zeros((4, 5), "float32")
    outputs = layer(x, mask=np.zeros(4, "float32"), training=True)
    np.testing.assert_array_equal(outputs, x)


@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize("mask_value", [0.0, 0.1, 1.0])
def test_fit_averages_over_what_the_mask_leaves(eagerly, mask_value):
    keras.utils.set_random_seed(0)
    padded = np.array([[[1, 5], [2, 5], [mask_value] * 2, [mask_value] * 2]] * 10, "float32")
    layer = BatchNorm(momentum=0.0)
    model = keras.Sequential([keras.Input((None, 2)), keras.layers.Masking(mask_value), layer])
    model.compile("rmsprop", "mse", run_eagerly=eagerly)
    model.fit(padded, padded, batch_size=10, epochs=2, verbose=0)
    np.testing.assert_allclose(layer.moving_mean, [1.5, 5], rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [0.25 * 20 / 19, 0], atol=1e-6)


def test_masks_that_broadcast_are_taken():
    layer = BatchNorm(momentum=0.0)
    x = tf.ones((1, 2, 3, 4))
    np.testing.assert_allclose(layer(x, training=True, mask=tf.ones((1, 2, 1))), x * 0, atol=1e-6)
    np.testing.assert_allclose(layer.moving_mean, np.ones(4))
    np.testing.assert_allclose(layer.moving_variance, np.zeros(4), atol=1e-6)


def test_trainable_is_heeded_in_both_directions():
    layer = BatchNorm(momentum=0.8, epsilon=1e-7)
    layer.build((1, 4, 4, 3))
    x = inputs((200, 4, 4, 3))
    for trainable in (False, True):
        layer.trainable = trainable
        assert len(layer.weights) == 4
        assert len(layer.trainable_weights) == (2 if trainable else 0)
        assert len(layer.non_trainable_weights) == (2 if trainable else 4)
        out = np.asarray(layer(x, training=True))
        if not trainable:
            np.testing.assert_allclose(out, x, rtol=1e-5)
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1, atol=1e-3)


def test_averages_that_overflow_float16_are_kept_within_its_policy():
    layer = BatchNorm(dtype="mixed_float16")
    layer.build((1, 4, 4, 3))
    layer.moving_variance.assign([70_000.0] * 3)
    outputs = layer(np.full((1, 4, 4, 3), 265.0, "float32"))
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), 1.0016, rtol=1e-3)
    np.testing.assert_array_equal(layer.moving_variance, [70_000] * 3)


# ---- batch renormalization -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [VECTORS, SEQUENCES, MAPS])
@pytest.mark.parametrize("clipping", [None, CLIPPED, {"rmax": 1.0}, {"dmax": 0.0, "rmin": None}])
@pytest.mark.parametrize("arguments", [{}, {"center": False}, {"scale": False}])
def test_batch_renormalization_is_that_of_keras(shape, clipping, arguments):
    """Outputs, gradients and all averages over several steps; these are of the biased variance."""
    arguments = {
        "momentum": 0.9,
        "renorm": True,
        "renorm_clipping": clipping,
        "renorm_momentum": 0.8,
        "moving_variance_initializer": keras.initializers.Constant(4.0),
        **arguments,
    }
    found = []
    for kind in LAYERS:
        layer = kind(**arguments)
        layer.build(shape)
        numbers = [layer.moving_stddev.numpy(), layer.renorm_stddev.numpy()]
        for step in range(3):
            x = tf.constant(inputs(shape, step))
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x, training=True)
                loss = tf.reduce_sum(inputs(shape, 9) * outputs**3)
            watched = [x, *(weight.value for weight in layer.trainable_weights)]
            numbers += [outputs, *tape.gradient(loss, watched)]
        found.append([*numbers, *layer.weights, layer(x, training=False)])
    np.testing.assert_array_equal(found[0][0], np.full(5, 2.0))
    for mine, theirs in zip(*found, strict=True):
        scale = np.abs(np.asarray(theirs)).max()
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * scale)


def test_renormalized_training_outputs_are_those_of_inference_once_averages_stand():
    x = inputs(VECTORS)
    layer = BatchNorm(renorm=True, momentum=0.5, renorm_momentum=0.5)
    for _ in range(60):
        in_training = layer(x, training=True)
    np.testing.assert_allclose(layer(x), in_training, rtol=1e-4, atol=1e-5)


def test_renormalized_ghost_batches_share_their_averages():
    x = inputs((8, 3))
    ghosts = BatchNorm(renorm=True, ghost_size=4, momentum=0.5)
    outputs = ghosts(x, training=True)
    # with averages at their start, 0 and 1, r and d make every part as it would be at inference
    np.testing.assert_allclose(outputs, x, rtol=1e-5, atol=1e-5)
    deviations = np.sqrt(x.reshape(2, 4, 3).var(1) + 1e-3).mean(0)
    np.testing.assert_allclose(ghosts.moving_stddev, 0.5 + 0.5 * deviations, rtol=1e-5)
    np.testing.assert_allclose(ghosts.moving_mean, x.mean(0) / 2, rtol=1e-4)


@pytest.mark.parametrize(
    ("clipping", "message"),
    [
        ({"rnd": 1.0}, "invalid keys for renorm_clipping: rnd; there are rmin, rmax, dmax"),
        ({"rmax": 0.0, "rmin": 1.0}, "rmax should be at least rmin"),
        ({"dmax": -1.0}, "dmax should be non-negative"),
        ({"dmax": float("nan")}, "dmax should be non-negative"),
    ],
)
def test_clippings_that_cannot_be_are_refused(clipping, message):
    with pytest.raises(ValueError, match=message):
        BatchNorm(renorm=True, renorm_clipping=clipping)


# ---- configs and files ---------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_configs_go_from_keras_to_this_layer_and_back(arguments):
    theirs = Theirs(**{"name": "norm", **arguments}).get_config()
    mine = BatchNorm.from_config(theirs).get_config()
    assert mine == theirs
    assert Theirs.from_config(mine).get_config() == theirs


def test_arguments_of_this_layer_alone_stand_in_its_config():
    layer = BatchNorm(fused=False, gradient="none", ghost_size=8)
    copy = BatchNorm.from_config(layer.get_config())
    assert (copy.fused, copy.gradient, copy.ghost_size) == (False, "none", 8)
    with pytest.raises((TypeError, ValueError), match="fused"):
        Theirs.from_config(layer.get_config())


def network(kind, **arguments):
    first, second = kind(name="first", **arguments), kind(name="second", **arguments)
    layers = [keras.layers.Dense(4), first, keras.layers.Dense(3), second]
    return keras.Sequential([keras.Input((5,)), *layers])


@pytest.mark.parametrize("arguments", [{}, {"renorm": True}])
def test_weights_saved_with_keras_are_taken_over_as_the_error_says(tmp_path, arguments):
    that_network = network(Theirs, **arguments)
    that_network(inputs(VECTORS), training=True)
    that_network.save_weights(tmp_path / "keras.weights.h5")

    this_network = network(BatchNorm, **arguments)
    with pytest.raises(ValueError, match=r"BatchNorm for 'first'.*set_weights") as error:
        this_network.load_weights(tmp_path / "keras.weights.h5")
    assert "this_network.set_weights(that_network.get_weights())" in str(error.value)

    loaded = network(Theirs, **arguments)
    loaded.load_weights(tmp_path / "keras.weights.h5")
    this_network.set_weights(loaded.get_weights())
    x = inputs(VECTORS, 1)
    np.testing.assert_allclose(this_network(x), that_network(x), rtol=1e-5, atol=1e-5)


def test_weights_saved_with_this_layer_load_again(tmp_path):
    saved, loaded = network(BatchNorm, renorm=True), network(BatchNorm, renorm=True)
    saved(inputs(VECTORS), training=True)
    saved.save_weights(tmp_path / "own.weights.h5")
    loaded.load_weights(tmp_path / "own.weights.h5")
    for one, other in zip(saved.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


# ---- TensorFlow Lite -----------------------------------------------------------------------------

BEFORE = {
    "Dense": (lambda: keras.layers.Dense(6, use_bias=False), (8,), ["FULLY_CONNECTED"]),
    "Conv1D": (
        lambda: keras.layers.Conv1D(6, 3, use_bias=False),
        (12, 8),
        ["EXPAND_DIMS", "CONV_2D", "RESHAPE"],
    ),
    "Conv2D": (lambda: keras.layers.Conv2D(6, 3, use_bias=False), (6, 6, 8), ["CONV_2D"]),
}


def lite(content):
    # what the interpreter says of its own future is no fault of ours
    with pytest.warns(UserWarning, match="tf.lite.Interpreter is deprecated"):
        return Interpreter(model_content=content)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("kind", BEFORE)
def test_a_converter_folds_the_layer_into_the_one_before(kind, capfd):
    before, shape, operations = BEFORE[kind]
    rng = np.random.default_rng(3)
    layer = BatchNorm()
    model = keras.Sequential([keras.Input(shape), before(), layer])
    for weight, low in zip(layer.weights, (0.5, -1, -2, 0.5), strict=True):
        weight.assign(rng.uniform(low, 2, 6))
    interpreter = lite(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    assert [one["op_name"] for one in interpreter._get_ops_details()][
        : len(operations)
    ] == operations
    assert not {"ADD", "SUB", "MUL"} & {one["op_name"] for one in interpreter._get_ops_details()}

    interpreter.allocate_tensors()
    x = rng.normal(size=(1, *shape)).astype("float32")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(outputs, model(x), rtol=1e-5, atol=1e-5)


# ---- in a process of its own: where TensorFlow must start otherwise than here --------------------

ELSEWHERE = """
    import json
    import keras, numpy as np, tensorflow as tf
    from bnexp.norms.batch import BatchNorm
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, parts)
    two, one = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()
    x = np.random.default_rng(0).normal(1000, 1, (8, 3)).astype("float32")
    x[4:] += 2  # the replicas' batches differ

    def trained(strategy, x, **arguments):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            norm = BatchNorm(momentum=0.5, **arguments)
            layers = [keras.Input(x.shape[1:]), norm, keras.layers.Flatten()]
            model = keras.Sequential([*layers, keras.layers.Dense(1)])
            model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
        y = x.mean(tuple(range(1, x.ndim))) - 1000
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        return [np.asarray(weight.numpy()).ravel().tolist() for weight in model.weights]

    def errors(rest):
        with two.scope():
            norm = BatchNorm(momentum=0.0, synchronized=True)
            norm.build((None, 3))
        batches = [tf.constant(x), tf.constant(x[:rest] * 2)]
        values = two.experimental_distribute_values_from_function(
            lambda context: batches[context.replica_id_in_sync_group])
        outputs = two.run(tf.function(lambda batch: norm(batch, training=True)), (values,))
        outputs = np.concatenate(two.experimental_local_results(outputs))
        both = np.concatenate(batches).astype("float64")
        normalized = (both - both.mean(0)) / np.sqrt(both.var(0) + 1e-3)
        found = norm.moving_mean.numpy() - both.mean(0), norm.moving_variance / both.var(0, ddof=1)
        return [float(np.abs(e).max()) for e in (outputs - normalized, found[0], found[1] - 1)]

    def with_xla(fused):
        keras.utils.set_random_seed(0)
        images = np.random.default_rng(21).integers(0, 256, (64, 6, 6, 4)).astype("float32")
        images[..., 3] = 255
        norm = BatchNorm(fused=fused)
        model = keras.Sequential([norm, keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=True)
        labels = images[..., 0].mean((1, 2)) / 255
        losses = model.fit(images, labels, batch_size=16, epochs=3, verbose=0).history["loss"]
        return losses, norm.moving_variance.numpy().tolist()

    maps = np.broadcast_to(x[:, None, None], (8, 2, 2, 3))
    print(json.dumps({
        "vectors": [trained(one, x), trained(two, x, synchronized=True), trained(two, x)],
        "maps": [trained(one, maps), trained(two, maps, synchronized=True)],
        "errors": [errors(3), errors(0)],
        "constant channel": [with_xla(None), with_xla(True)],
    }))
"""


@pytest.fixture(scope="module")
def elsewhere():
    """What the program above prints: two replicas, operations that need not be deterministic."""
    command = [sys.executable, "-c", textwrap.dedent(ELSEWHERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("shape", ["vectors", "maps"])
def test_training_with_synchronized_statistics_is_training_with_the_whole_batch(elsewhere, shape):
    whole, synchronized, *_ = elsewhere[shape]
    for expected, weights in zip(whole, synchronized, strict=True):
        np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-3)


def test_without_synchronization_a_replica_sees_its_own_batch(elsewhere):
    whole, _, apart = elsewhere["vectors"]
    assert not np.allclose(whole[2], apart[2], rtol=1e-6)  # moving_mean


def test_replicas_count_by_the_size_of_their_batches(elsewhere):
    """One has 8 examples and the other 3, or none, as the last batch of an epoch may leave it."""
    assert np.max(elsewhere["errors"]) < 1e-3


def test_keras_fit_with_xla_trains_images_with_a_constant_channel(elsewhere):
    """RGBA with alpha 255 had a negative variance inside XLA, and NaN from the first epoch on.

    In this process Keras would train without XLA, as operations are deterministic.
    """
    for losses, variances in elsewhere["constant channel"]:
        assert np.isfinite(losses).all()
        assert min(variances) >= 0
