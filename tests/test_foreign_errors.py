"""Builders and networks that cannot be used: a line each, that says what is wrong."""

import re

import keras
import pytest
from test_networks_arms import batch, none, wrap

from bnexp.config import ConfigError
from bnexp.networks.foreign import foreign
from bnexp.norms.weight import weight

L = keras.layers
HERE = __name__
THING = 3
_kept: list[keras.Model] = []


def network(*layers, input_shape=(8, 8, 3)):
    return keras.Sequential([keras.Input(input_shape), *layers])


def plain(input_shape, classes):
    return network(L.Conv2D(2, 3), L.LayerNormalization(), L.Flatten(), L.Dense(classes))


def good(input_shape, classes, width=2):
    return network(L.Dense(width), L.BatchNormalization(), L.Flatten(), L.Dense(classes))


def no_arguments():
    return good((8, 8, 3), 4)


def other_names(shape, num_classes):
    return good(shape, num_classes)


def no_classes(input_shape, width):
    return good(input_shape, width)


class Subclassed(keras.Model):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.norm = L.BatchNormalization()

    def call(self, inputs):
        return self.norm(inputs)


class Overridden(keras.Model):
    """Functional in its making, and not in what it does."""

    def __init__(self, input_shape, classes):
        model = good(input_shape, classes)
        super().__init__(model.inputs, model.outputs)

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training)


def overridden_within(input_shape, classes):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, Overridden(input_shape, classes)(inputs))


def layer_only(input_shape, classes):
    return L.Dense(classes)


def cached(input_shape, classes):
    if not _kept:
        _kept.append(good(input_shape, classes))
    return _kept[0]


def sigmoid(input_shape, classes):
    return network(L.Flatten(), L.BatchNormalization(), L.Dense(classes, "sigmoid", name="last"))


def hidden_softmax(input_shape, classes):
    end = L.Lambda(lambda x: keras.ops.softmax(x), name="last")
    return network(L.Flatten(), L.BatchNormalization(), L.Dense(classes), end)


def channels_first(input_shape, classes):
    return network(L.BatchNormalization(axis=1, name="norm"), L.Flatten(), L.Dense(classes))


def two_outputs(input_shape, classes):
    inputs = keras.Input(input_shape)
    x = L.BatchNormalization()(L.Flatten()(inputs))
    return keras.Model(inputs, [L.Dense(classes)(x), L.Dense(classes)(x)])


def two_inputs(input_shape, classes):
    inputs = [keras.Input(input_shape), keras.Input(input_shape)]
    x = L.BatchNormalization()(L.Flatten()(L.Add()(inputs)))
    return keras.Model(inputs, L.Dense(classes)(x))


def flat(input_shape, classes):
    return network(L.BatchNormalization(), L.Dense(classes), input_shape=(192,))


def preactivation(input_shape, classes):
    pool = L.MaxPooling2D(name="pool")
    return network(pool, L.BatchNormalization(name="norm"), L.Flatten(), L.Dense(classes))


class Block(L.Layer):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)
        self.norm = L.BatchNormalization(name="norm")

    def call(self, inputs):
        return self.norm(self.dense(inputs))


def own_block(input_shape, classes):
    return network(Block(), L.Flatten(), L.Dense(classes))


def embedded(input_shape, classes):
    norm = L.BatchNormalization(name="norm")
    return network(L.EinsumDense("bhwc,cd->bhwd", (8, 8, 2)), norm, L.Flatten(), L.Dense(classes))


def raises(input_shape, classes):
    raise ValueError("depth must be 6 n + 2\nand more")


def too_deep(input_shape, classes):
    return network(*(L.MaxPooling2D() for _ in range(4)), L.BatchNormalization(), L.Flatten())


BAD = {
    # builder, arguments: the answer
    "my_net": ([], r"model.builder=my_net is not module:object, as in my_net:resnet"),
    ":f": ([], r"model.builder=:f is not module:object.*"),
    "my_net:": ([], r"model.builder=my_net: is not module:object.*"),
    "keras.applications.ResNet50": ([], r".* as in keras.applications:ResNet50"),
    "no_such_module:f": ([], r".* cannot be imported: No module named 'no_such_module'"),
    f"{HERE}:missing": ([], r".* does not exist: module .* has no attribute 'missing'"),
    f"{HERE}:THING": ([], r".* is no function or class but int"),
    f"{HERE}:raises": ([], r"model.builder=.*:raises: depth must be 6 n \+ 2"),
    f"{HERE}:too_deep": ([], r"model.builder=.*:too_deep: .*negative.*"),
    f"{HERE}:other_names": (
        [],
        r".* missing a required argument: 'shape'; it takes shape, num_c.*",
    ),
    f"{HERE}:no_classes": ([], r".*: 'width'; it takes input_shape, width: .* model.arguments"),
    f"{HERE}:good": ([("depth", 3)], r".* unexpected keyword argument 'depth'; .*"),
    f"{HERE}:no_arguments": ([("width", 3)], r".* it takes nothing: .*"),
    f"{HERE}:plain": ([("classes", 3)], r"model.arguments.classes is given by the data: .*"),
    f"{HERE}:layer_only": ([], r".* makes a Dense, .* return a functional .*"),
    f"{HERE}:Subclassed": ([], r".* makes a Subclassed, whose layers cannot be exchanged: .*"),
    f"{HERE}:Overridden": ([], r".* makes a Overridden, whose layers cannot be exchanged: .*"),
    f"{HERE}:overridden_within": ([], r".* layers of overridden cannot be exchanged, .*"),
    f"{HERE}:two_outputs": ([], r".* outputs of shape \(4,\), \(4,\); the data ask for \(4,\)"),
    f"{HERE}:two_inputs": ([], r".* inputs of shape .*; the data ask for \(8, 8, 3\)"),
    f"{HERE}:flat": ([], r".* inputs of shape \(192,\); the data ask for \(8, 8, 3\)"),
    f"{HERE}:sigmoid": ([], r".* ends in sigmoid \(layer last\): logits are asked for, .*"),
    f"{HERE}:hidden_softmax": ([], r".* gives probabilities \(layer last\): leave out its softmax"),
    f"{HERE}:channels_first": ([], r".* layer norm normalizes axis 1: .* channels last"),
    "keras.applications:ResNet50": (
        [("weights", "imagenet")],
        r".*weights=imagenet: .* leave it out",
    ),
    "keras.applications:Resnet50": ([], r".* does not exist: module .*"),
    "keras.applications:VGG16": ([], r".* Input size must be at least 32x32; .*"),
    "keras.applications:EfficientNetB0": ([("includetop", 1)], r".* 'includetop'; it takes .*"),
}


def error(builder, norm=batch, shape=(8, 8, 3), **arguments):
    with pytest.raises(ConfigError) as caught:
        foreign(norm, "float32", shape, 4, builder, arguments)
    return str(caught.value)


@pytest.mark.parametrize("builder", BAD)
def test_what_cannot_be_built_or_used_is_refused_in_a_line(builder):
    arguments, answer = BAD[builder]
    text = error(builder, **dict(arguments))
    assert re.fullmatch(answer, text), text  # a dot matches no line's end


def test_a_network_without_batch_normalization_says_what_it_has():
    text = error(f"{HERE}:plain")
    assert "has no BatchNormalization for norm= to replace" in text
    assert "1 Conv2D, 1 LayerNormalization, 1 Flatten, 1 Dense" in text


def test_outputs_of_another_number_than_the_classes_are_refused():
    text = error("keras.applications:MobileNetV2", shape=(32, 32, 3), include_top=False)
    assert text.endswith(
        "makes a network with outputs of shape (1, 1, 1280); the data ask for (4,)"
    )


def test_a_builder_that_gives_the_same_layers_again_is_refused():
    foreign(none, "float32", (8, 8, 3), 4, f"{HERE}:cached")
    assert "gave layers that it gave before" in error(f"{HERE}:cached")


def test_a_builder_that_takes_nothing_is_called_without_and_its_shapes_are_checked():
    foreign(none, "float32", (8, 8, 3), 4, f"{HERE}:no_arguments")
    text = error(f"{HERE}:no_arguments", shape=(9, 9, 3))
    assert text.endswith("inputs of shape (8, 8, 3); the data ask for (9, 9, 3)")


@pytest.mark.parametrize(
    ("builder", "norm", "answer"),
    [
        ("preactivation", wrap, "norm follows pool (MaxPooling2D): choose a norm of activations"),
        ("own_block", wrap, "not known for norm, as a layer of your own calls it"),
        ("embedded", weight, "EinsumDense"),
    ],
)
def test_norms_of_weights_say_where_there_is_no_linear_map_to_work_on(builder, norm, answer):
    text = error(f"{HERE}:{builder}", norm)
    assert answer in text
    assert "\n" not in text
