"""Any Keras network as it is: its BatchNormalization layers replaced, all else as it was."""

import functools
import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_networks_arms import ARMS, assert_equal, batch, none, values

import bnexp.norms.standardization
import bnexp.norms.weight
from bnexp.initializers.he import He
from bnexp.networks.bias import Bias
from bnexp.networks.foreign import foreign
from bnexp.networks.initial import initialize
from bnexp.networks.structure import all_layers, kernels, norm_layers, weight_layers
from bnexp.norms.batch import BatchNorm

L = keras.layers
SHAPE, CLASSES = (8, 8, 3), 4
IMAGES = np.random.default_rng(0).random((6, *SHAPE), "float32")


def make(builder, norm=batch, policy="float32", shape=SHAPE, **arguments):
    name = builder if isinstance(builder, str) else f"{__name__}:{builder.__name__}"
    model = foreign(norm, policy, shape, CLASSES, name, arguments)
    initialize(model, None, 0)
    return model


def kinds(model):
    return [type(layer).__name__ for layer in all_layers(model)[1:] if not is_input(layer)]


def is_input(layer):
    return isinstance(layer, L.InputLayer)


def trained(model, images=IMAGES):
    """Outputs in training, after a step of gradient descent that must reach every weight."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.math.softplus(model(images, training=True)))
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, variable.path
        variable.assign_sub(0.1 * tf.convert_to_tensor(gradient))
    return model(images, training=False)


# ---- networks of the user's ----------------------------------------------------------------------


def sequential(input_shape, classes):
    """As in most tutorials: compiled, and with a softmax."""
    model = keras.Sequential(
        [
            L.Conv2D(3, 3, use_bias=False),
            L.BatchNormalization(),
            L.Activation("relu"),
            L.Flatten(),
            L.Dense(5),
            L.BatchNormalization(scale=False),
            L.ReLU(),
            L.Dense(classes, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def resnet(input_shape, classes, width=3):
    """Blocks as nested models, one of them within another, with projections beside them."""
    inputs = keras.Input(input_shape)
    x = L.Conv2D(width, 3, padding="same", use_bias=False)(inputs)
    x = L.ReLU()(L.BatchNormalization()(x))
    for number in (1, 2):
        x = block(x.shape[1:], number * width, f"block_{number}")(x)
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, L.Dense(classes)(x))


def block(input_shape, width, name):
    inputs = keras.Input(input_shape)
    y = L.ReLU()(normalized(input_shape, width, f"{name}_inner")(inputs))
    y = L.BatchNormalization()(L.Conv2D(width, 3, padding="same", use_bias=False)(y))
    shortcut = L.BatchNormalization()(L.Conv2D(width, 1, use_bias=False)(inputs))
    return keras.Model(inputs, L.ReLU()(y + shortcut), name=name)


def normalized(input_shape, width, name):
    conv = L.Conv2D(width, 3, padding="same", use_bias=False)
    return keras.Sequential([keras.Input(input_shape), conv, L.BatchNormalization()], name=name)


class OwnBlock(L.Layer):
    """Keeps its layers in every way that Python has, makes one late, and tells no config."""

    def __init__(self, width, extra=object()):  # noqa: B008
        super().__init__(name="own_block")
        self.extra = extra
        self.first = L.Conv2D(width, 3, padding="same", use_bias=False)
        self.norm = self.again = L.BatchNormalization(name="norm")
        self.listed = [L.Conv2D(width, 1), (L.BatchNormalization(name="listed"), 3)]
        self.by_name = {"norm": L.BatchNormalization(name="by_name")}
        self.stack = keras.Sequential([L.Conv2D(width, 1), L.BatchNormalization(name="stacked")])

    def build(self, input_shape):
        self.late = L.BatchNormalization(name="late")

    def call(self, inputs, training=None):
        x = self.norm(self.first(inputs), training=training)
        x = self.listed[1][0](self.listed[0](self.again(x)))
        return self.stack(self.late(self.by_name["norm"](x), training=training), training=training)


def own_blocks(input_shape, classes):
    inputs = keras.Input(input_shape)
    x = L.Flatten()(OwnBlock(3)(inputs))
    return keras.Model(inputs, L.Dense(classes)(x))


def kinds_of_layers(input_shape, classes):
    inputs = keras.Input(input_shape)
    x = L.SeparableConv2D(4, 3, use_bias=False)(inputs)
    x = L.PReLU()(L.BatchNormalization()(x))
    x = L.DepthwiseConv2D(3, use_bias=False)(x)
    x = L.TimeDistributed(L.BatchNormalization())(x)
    x = L.Reshape((4, 2, 2, 4))(x)
    x = L.BatchNormalization()(L.Conv3D(5, 1, use_bias=False)(x))
    x = L.BatchNormalization()(L.Conv1D(3, 2, use_bias=False)(L.Reshape((-1, 5))(x)))
    return keras.Model(inputs, L.Dense(classes)(L.Flatten()(x)))


BUILDERS = [sequential, resnet, own_blocks, kinds_of_layers]
WRAPPED = [sequential, resnet]  # where it is known what stands before each norm


@pytest.mark.parametrize("builder", BUILDERS)
def test_each_batch_normalization_is_replaced_at_any_depth(builder):
    original = builder(SHAPE, CLASSES)
    if not original.built:
        original.build((None, *SHAPE))
    for norm, kind in (("batch", BatchNorm), ("layer", L.GroupNormalization)):
        model = make(builder, ARMS[norm])
        expected = [isinstance(one, L.BatchNormalization) for one in all_layers(original)]
        assert len(norm_layers(model)) == sum(expected) > 0
        assert all(isinstance(one, kind) for one in norm_layers(model))
        assert not any(isinstance(one, L.BatchNormalization) for one in all_layers(model))
        assert trained(model).shape == (6, CLASSES)


@pytest.mark.parametrize("builder", BUILDERS)
def test_without_norm_a_bias_takes_the_place_of_each(builder):
    model = make(builder, none)
    assert not norm_layers(model)
    biases = [layer for layer in all_layers(model) if isinstance(layer, Bias)]
    assert (
        len(biases)
        == {"sequential": 1, "resnet": 7, "own_blocks": 5, "kinds_of_layers": 4}[builder.__name__]
    )
    trained(model)
    assert all(np.any(layer.bias.numpy() != 0) for layer in biases)


@pytest.mark.parametrize("draw", [He(), None], ids=["he", "own"])
@pytest.mark.parametrize("builder", BUILDERS)
def test_all_arms_of_a_seed_start_from_the_same_kernels(builder, draw):
    arms = []
    for name, norm in ARMS.items():
        if name == "wrap" and builder not in WRAPPED:
            continue
        model = make(builder, norm)
        initialize(model, draw, 3)
        arms.append(values(kernels(model)))
    for other in arms[1:]:
        assert_equal(arms[0], other)


APPLICATIONS = ["MobileNetV2", "EfficientNetB0"]


@functools.cache
def application(name, norm):
    """Built once for all tests."""
    model = make(f"keras.applications:{name}", ARMS[norm], shape=(32, 32, 3))
    return model, values(kernels(model))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_arms_of_an_application_start_from_the_same_kernels_as_keras_would_draw_them(name):
    arms = [application(name, norm)[1] for norm in ("none", "batch", "wrap")]
    for other in arms[1:]:
        assert_equal(arms[0], other)
    conv, dense = application(name, "batch")[1][0], application(name, "batch")[1][-1]
    fan = {"MobileNetV2": 9 * 3 + 9 * 32, "EfficientNetB0": 9 * 32}[name]  # glorot; he by fan-out
    assert conv.std() == pytest.approx(np.sqrt(2 / fan), rel=0.05)
    assert dense.shape[1] == CLASSES


@pytest.mark.parametrize("name", APPLICATIONS)
def test_arms_of_an_application_train(name):
    images = np.random.default_rng(0).random((4, 32, 32, 3), "float32")
    for norm in ("none", "batch"):
        outputs = trained(application(name, norm)[0], images)
        assert outputs.dtype == tf.float32
        assert np.isfinite(outputs.numpy()).all()


def test_the_batch_arm_of_an_application_is_the_network_that_keras_builds():
    plain = keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), classes=CLASSES, classifier_activation=None
    )

    def norm(name, dtype):
        return BatchNorm(momentum=0.999, epsilon=1e-3, name=name, dtype=dtype)

    model = make("keras.applications:MobileNetV2", norm, shape=(32, 32, 3))
    plain.set_weights(model.get_weights())
    images = np.random.default_rng(0).random((4, 32, 32, 3), "float32")
    for training in (False, True):  # the moving averages differ afterwards: ours are unbiased
        expected = plain(images, training=training)
        tolerance = 1e-2 if training else 1e-4  # variances of 4 values amplify rounding
        np.testing.assert_allclose(model(images, training=training), expected, atol=tolerance)


# ---- what stays as it was ------------------------------------------------------------------------


def shared(input_shape, classes):
    inputs = keras.Input(input_shape)
    conv, norm = L.Conv2D(3, 3, padding="same"), L.BatchNormalization(name="norm")
    x = norm(conv(norm(conv(inputs))), training=False)
    return keras.Model(inputs, L.Dense(classes)(L.Flatten()(x)))


@pytest.mark.parametrize("norm", ["batch", "layer", "none", "wrap"])
def test_shared_layers_stay_shared(norm):
    model = make(shared, ARMS[norm])
    assert len(weight_layers(model)) == 2
    assert sum(layer.name == "norm" for layer in all_layers(model)) == 1
    assert model(IMAGES, training=True).shape == (6, CLASSES)


def test_the_layers_that_stay_are_called_once_in_the_new_network_alone():
    model = make(sequential)
    before = keras.Model(model.inputs[0], [layer.input for layer in model.layers[1:]])
    assert len(before(IMAGES)) == len(model.layers) - 1


made: list[weakref.ref] = []


def remembered(input_shape, classes):
    model = resnet(input_shape, classes)
    made.append(weakref.ref(next(one for one in model.layers if "batch" in one.name)))
    return model


def test_what_was_replaced_is_forgotten():
    model = make(remembered)
    gc.collect()
    assert made[-1]() is None
    trained(model)


def frozen(input_shape, classes):
    model = sequential(input_shape, classes)
    model.layers[1].trainable = False
    return model


def test_a_frozen_layer_is_replaced_by_a_frozen_one():
    assert [layer.trainable for layer in norm_layers(make(frozen))] == [False, True]


def biased(input_shape, classes, center=True):
    inputs = keras.Input(input_shape)
    x = L.BatchNormalization(center=center)(L.Conv2D(3, 3)(inputs))
    x = L.BatchNormalization(center=center)(L.Conv2D(3, 3, use_bias=False)(x))
    return keras.Model(inputs, L.Dense(classes)(L.Flatten()(x)))


def test_without_norm_no_linear_map_gets_two_biases_nor_one_that_it_did_not_have():
    assert kinds(make(biased, none))[:4] == ["Conv2D", "Identity", "Conv2D", "Bias"]
    assert kinds(make(biased, none, center=False))[:4] == ["Conv2D", "Identity"] * 2


def test_networks_of_this_package_s_batch_norm_have_arms_too():
    assert kinds(make(ours, none))[:2] == ["Conv2D", "Bias"]
    assert len(norm_layers(make(ours, ARMS["layer"]))) == 1


def ours(input_shape, classes):
    inputs = keras.Input(input_shape)
    x = BatchNorm()(L.Conv2D(3, 3, use_bias=False)(inputs))
    return keras.Model(inputs, L.Dense(classes)(L.Flatten()(x)))


def masked(input_shape, classes):
    inputs = keras.Input(input_shape)
    x = L.Reshape((-1, 3))(inputs)
    mask = keras.ops.any(x > 0.5, axis=-1)
    x = L.BatchNormalization()(L.Conv1D(3, 1)(x), mask=mask)
    return keras.Model(inputs, L.Dense(classes)(L.GlobalAveragePooling1D()(x)))


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_masks_go_to_the_norms_that_take_them(norm):
    trained(make(masked, ARMS[norm]))


@pytest.mark.parametrize(
    "norm", [bnexp.norms.weight.weight, bnexp.norms.standardization.standardization]
)
@pytest.mark.parametrize("builder", WRAPPED)
def test_norms_of_weights_take_the_linear_map_before_each_place(norm, builder):
    model = make(builder, norm)
    wrapped = [layer for layer in weight_layers(model) if type(layer).__name__[:10] == "Normalized"]
    assert len(wrapped) == len(norm_layers(model)) > 0
    assert_equal(values(kernels(model)), values(kernels(make(builder, none))))
    trained(model)


def test_a_network_is_kept_and_loaded(tmp_path):
    for norm in ("none", "batch"):
        model = make(resnet, ARMS[norm])
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))


@pytest.mark.parametrize("builder", BUILDERS)
def test_two_builds_are_alike_in_names_and_values(builder):
    first, second = (make(builder) for _ in range(2))
    assert [one.name for one in all_layers(first)] == [one.name for one in all_layers(second)]
    assert [one.path for one in first.variables] == [one.path for one in second.variables]
    assert_equal(values(first.variables), values(second.variables))


class Untold(L.Layer):
    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], 3), "he_normal", name="w")

    def call(self, inputs):
        return keras.ops.relu(keras.ops.matmul(inputs, self.w))


def untold(input_shape, classes):
    inputs = keras.Input(input_shape)
    x = L.BatchNormalization()(L.Dense(5)(L.Flatten()(inputs)))
    return keras.Model(inputs, L.Dense(classes)(Untold()(x)))


def test_weights_that_no_initializer_is_told_of_are_the_same_in_all_arms_too():
    found = [make(untold, norm).get_layer("untold").w.numpy() for norm in ARMS.values()]
    assert np.any(found[0])
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


# ---- from pixels to logits -----------------------------------------------------------------------


def ending(input_shape, classes, end):
    inputs = keras.Input(input_shape)
    x = L.BatchNormalization()(L.Dense(5, use_bias=False)(L.Flatten()(inputs)))
    logits = L.Dense(classes, name="logits")
    outputs = {
        "logits": lambda: logits(x),
        "activation": lambda: L.Dense(classes, "softmax", name="logits")(x),
        "layer": lambda: L.Softmax()(logits(x)),
        "activation layer": lambda: L.Activation("softmax", dtype="float32")(logits(x)),
        "operation": lambda: keras.ops.softmax(logits(x)),
        "function": lambda: keras.activations.softmax(logits(x)),
        "reshaped": lambda: L.Reshape((classes,))(L.Activation("softmax")(logits(x))),
        "nested": lambda: keras.Sequential([keras.Input((5,)), logits, L.Activation("softmax")])(x),
        "after a model": lambda: L.Softmax()(keras.Sequential([keras.Input((5,)), logits])(x)),
        "log": lambda: L.Activation("log_softmax")(logits(x)),
    }[end]()
    return keras.Model(inputs, outputs)


ENDS = ["activation", "layer", "activation layer", "operation", "function", "reshaped", "nested"]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("end", [*ENDS, "after a model"])
def test_a_softmax_at_the_end_is_left_out(end, policy):
    expected = make(ending, policy=policy, end="logits")(IMAGES)
    outputs = make(ending, policy=policy, end=end)(IMAGES)
    assert outputs.dtype == tf.float32
    np.testing.assert_array_equal(outputs, expected)


def test_logarithms_of_probabilities_are_logits():
    outputs = make(ending, end="log")(IMAGES).numpy()
    np.testing.assert_allclose(np.exp(outputs).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("builder", BUILDERS)
def test_in_mixed_precision_layers_compute_in_bfloat16_and_logits_in_float32(builder):
    before = keras.config.dtype_policy().name
    model = make(builder, policy="mixed_bfloat16")
    assert keras.config.dtype_policy().name == before
    *hidden, logits = [layer for layer in all_layers(model)[1:] if not is_input(layer)]
    assert {layer.compute_dtype for layer in hidden} == {"bfloat16"}
    assert logits.compute_dtype == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert trained(model).dtype == tf.float32


class OwnHead(L.Layer):
    def __init__(self, classes):
        super().__init__()
        self.dense = L.Dense(classes)

    def call(self, inputs):
        return self.dense(inputs)


def own_head(input_shape, classes):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, OwnHead(classes)(L.BatchNormalization()(L.Flatten()(inputs))))


def test_logits_of_a_layer_of_the_user_s_become_float32():
    assert make(own_head, policy="mixed_bfloat16")(IMAGES).dtype == tf.float32


def rescaled(input_shape, classes, scale, within=False):
    inputs = keras.Input(input_shape)
    first = L.Rescaling(scale, offset=-1.0)
    x = (keras.Sequential([keras.Input(input_shape), first]) if within else first)(inputs)
    x = L.BatchNormalization()(L.Conv2D(3, 3)(x))
    return keras.Model(inputs, L.Dense(classes)(L.Flatten()(L.Rescaling(1e-3)(x))))


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(
    ("scale", "expected"),
    [(1 / 127.5, 2.0), ([1 / 255, 1 / 127.5, 1 / 255], [1.0, 2.0, 1.0]), (2.0, 2.0)],
)
def test_a_first_layer_for_pixels_of_0_to_255_is_adjusted_to_images_of_0_to_1(
    scale, expected, within
):
    model = make(rescaled, scale=scale, within=within)
    first, last = [one for one in all_layers(model) if isinstance(one, L.Rescaling)]
    assert first.scale == pytest.approx(expected)
    assert (first.offset, last.scale) == (-1.0, 1e-3)
