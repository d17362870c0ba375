"""The loss along the gradient, gradients as earlier layers move, and the learning rate: measured as
they are defined, against derivations that share no code with them."""

import itertools
from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import DEEP, SMALL, SMALL_CNN, Lines

from bnexp.data import Dataset, Split
from bnexp.data.loading import load
from bnexp.folders.tables import PROBES
from bnexp.networks.initial import kernel_of
from bnexp.networks.structure import mark_norm
from bnexp.probes.effective_rate import effective_rate
from bnexp.probes.gradient_shift import gradient_shift
from bnexp.probes.landscape import landscape
from bnexp.probes.recorder import Recorder
from bnexp.probes.scene import Scene
from bnexp.probes.surface import Surface
from bnexp.probes.views import Views
from bnexp.training.loop import train_and_evaluate
from bnexp.training.network import build_model, start
from bnexp.training.program import Program

IMAGES = 30
MULTIPLES = [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]


def scene_of(config, lr=1.0, model=None) -> Scene:
    """A network at the start of its run; its probes take this learning rate."""
    dataset = load(config.data)
    if model is None:
        model = build_model(config, dataset.input_shape, dataset.classes)
        start(model, config)
    return Scene(Views(model, config.trainer.batch_size), dataset, IMAGES, {}, 0, lr)


def of(probe, scene) -> dict[tuple[str, str], float]:
    with np.errstate(all="ignore"):
        return {(row.layer, row.statistic): row.value for row in probe(scene)}


# ---- against a network in NumPy, in float64 ------------------------------------------------------


@dataclass
class InNumPy:
    """A sigmoid network with or without BN by its formulas; gradients by central differences."""

    images: np.ndarray
    labels: np.ndarray
    epsilon: float | None  # None: without BN
    arrays: list[list[np.ndarray]] = field(default_factory=list)  # by layer

    @property
    def point(self) -> np.ndarray:
        return np.concatenate([array.ravel() for layer in self.arrays for array in layer])

    @property
    def layers(self) -> np.ndarray:
        """The number of the layer that each coordinate is of."""
        sizes = [sum(array.size for array in layer) for layer in self.arrays]
        return np.repeat(np.arange(1, len(sizes) + 1), sizes)

    @property
    def kernels(self) -> np.ndarray:
        """Whether each coordinate is a kernel's: the first array of each layer."""
        flags = [
            np.full(array.size, place == 0)
            for layer in self.arrays
            for place, array in enumerate(layer)
        ]
        return np.concatenate(flags)

    def loss(self, point: np.ndarray) -> float:
        x, place = self.images, 0
        for number, layer in enumerate(self.arrays, start=1):
            found = []
            for array in layer:
                found.append(point[place : place + array.size].reshape(array.shape))
                place += array.size
            x = x @ found[0]
            if number == len(self.arrays):
                x = x + found[1]
            elif self.epsilon is None:
                x = 1 / (1 + np.exp(-x - found[1]))
            else:
                x = (x - x.mean(0)) / np.sqrt(x.var(0) + self.epsilon)
                x = 1 / (1 + np.exp(-x * found[1] - found[2]))
        x = x - x.max(1, keepdims=True)
        return float(np.mean(np.log(np.exp(x).sum(1)) - x[np.arange(len(x)), self.labels]))

    def gradient(self, point: np.ndarray, width: float = 1e-5) -> np.ndarray:
        sides = width * np.eye(len(point))
        return np.array(
            [(self.loss(point + s) - self.loss(point - s)) / (2 * width) for s in sides]
        )


def both(compose, norm: str, lr: float) -> tuple[Scene, InNumPy]:
    """A small network after its weights were made uneven, and the same in NumPy."""
    config = compose(*SMALL, "model.hidden=[4,3]", f"norm={norm}")
    scene = scene_of(config, lr)
    model, rng = scene.views.model, np.random.default_rng(3)
    for variable in model.trainable_variables:
        value = np.asarray(variable)
        variable.assign(value + rng.normal(0, 0.5, value.shape).astype(value.dtype))
    images = scene.dataset.train.images[:IMAGES].reshape(IMAGES, -1) / 255.0
    epsilon = config.norm["epsilon"] if norm == "batch" else None
    twin = InNumPy(images, scene.dataset.train.labels[:IMAGES], epsilon)
    for layer in ("dense_1", "dense_2", "logits"):
        linear, arrays = model.get_layer(layer), []
        if norm == "batch" and layer != "logits":
            of_norm = model.get_layer(f"{layer}_norm")
            arrays = [of_norm.gamma, of_norm.beta]
        else:
            arrays = [linear.bias]
        arrays = [kernel_of(linear), *arrays]
        twin.arrays.append([np.asarray(array).astype(np.float64) for array in arrays])
    return scene, twin


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_landscape_is_what_loss_and_gradient_are_along_the_gradient(compose, norm):
    lr = 2.0
    scene, twin = both(compose, norm, lr)
    point = twin.point
    gradient = twin.gradient(point)
    size = np.linalg.norm(gradient)
    points = [point - multiple * lr * gradient for multiple in MULTIPLES]
    losses = [twin.loss(there) for there in points]
    changes = [np.linalg.norm(gradient - twin.gradient(there)) for there in points]
    found = of(landscape, scene)
    assert {layer for layer, _ in found} == {""}
    assert {name: found["", name] for _, name in found} == pytest.approx(
        {
            "loss": twin.loss(point),
            "loss_low": min(losses),
            "loss_high": max(losses),
            "gradient_change": max(changes) / size,
            "smoothness": max(c / (m * lr * size) for c, m in zip(changes, MULTIPLES, strict=True)),
        },
        rel=1e-3,
    )
    assert found["", "loss_high"] - found["", "loss_low"] > 0.05
    assert found["", "gradient_change"] > 0.1


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_gradient_shift_is_the_change_when_the_layers_before_have_made_their_step(compose, norm):
    lr = 2.0
    scene, twin = both(compose, norm, lr)
    point, layers = twin.point, twin.layers
    gradient = twin.gradient(point)
    wanted = {}
    for number in (2, 3):
        shifted = twin.gradient(np.where(layers < number, point - lr * gradient, point))
        own = (layers == number) & twin.kernels
        before, after = gradient[own], shifted[own]
        sizes = np.linalg.norm(before), np.linalg.norm(after)
        wanted[str(number), "change"] = np.linalg.norm(before - after) / sizes[0]
        wanted[str(number), "cosine"] = before @ after / (sizes[0] * sizes[1])
    assert of(gradient_shift, scene) == pytest.approx(wanted, rel=1e-3)
    assert min(wanted[number, "change"] for number in "23") > 0.01


# ---- against a case that can be solved -----------------------------------------------------------


class OneWeight(keras.layers.Layer):
    """Logits 0 and w, whatever the image."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.w = self.add_weight(shape=(), initializer=keras.initializers.Constant(value))

    def call(self, images):
        first = keras.ops.zeros_like(keras.ops.reshape(images, (-1, 4))[:, :1])
        return keras.ops.concatenate([first, first + self.w], axis=1)


def test_landscape_of_a_single_weight_is_as_its_formula_has_it():
    """L = log(1 + exp w) - p w with p the share of ones, so that dL/dw = sigmoid(w) - p."""
    w, p, lr = -2.0, 0.75, 8.0
    images = np.zeros((20, 2, 2, 1), np.float32)
    split = Split(images, np.array([0, 1, 1, 1] * 5, np.int64))
    dataset = Dataset(split, split, split, 2)
    model = keras.Sequential([keras.Input((2, 2, 1)), OneWeight(w)])
    found = of(landscape, Scene(Views(model, 20), dataset, 20, {}, 0, lr))

    def slope(at):
        return 1 / (1 + np.exp(-at)) - p

    at = np.array([w - multiple * lr * slope(w) for multiple in MULTIPLES])
    losses = np.log1p(np.exp(at)) - p * at
    changes = np.abs(slope(w) - slope(at))
    assert found["", "loss"] == pytest.approx(np.log1p(np.exp(w)) - p * w, rel=1e-5)
    assert found["", "loss_low"] == pytest.approx(losses.min(), rel=1e-5)
    assert found["", "loss_high"] == pytest.approx(losses.max(), rel=1e-5)
    assert found["", "gradient_change"] == pytest.approx(changes.max() / -slope(w), rel=1e-5)
    assert found["", "smoothness"] == pytest.approx((changes / np.abs(at - w)).max(), rel=1e-5)


# ---- against a second network --------------------------------------------------------------------


def eager_gradient(model, scene) -> list[np.ndarray]:
    """By all that the network trains, in Keras's order; what the network draws is put back."""
    images, labels = scene.train_batch
    kept = [np.asarray(variable) for variable in model.non_trainable_variables]
    with tf.GradientTape() as tape:
        logits = model(tf.cast(images, tf.float32) / 255, training=True)
        crossed = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    found = tape.gradient(crossed, [one.value for one in model.trainable_variables])
    for variable, value in zip(model.non_trainable_variables, kept, strict=True):
        variable.assign(value)
    return [one.numpy().astype(np.float64) for one in found]


@pytest.mark.parametrize(
    "words",
    [(*SMALL, "model.dropout=0.5"), DEEP["plain"], SMALL_CNN],
    ids=["mlp with dropout", "plain", "cnn with dropout"],
)
def test_gradient_shift_is_that_of_a_second_network_whose_earlier_layers_were_moved(compose, words):
    config, lr = compose(*words), 0.5
    scene = scene_of(config, lr)
    model, dataset = scene.views.model, scene.dataset
    other = build_model(config, dataset.input_shape, dataset.classes)
    gradient = eager_gradient(model, scene)
    trained = model.trainable_variables
    places = {id(variable): place for place, variable in enumerate(trained)}
    wanted = {}
    for number, layer in enumerate(scene.views.weight_layers, start=1):
        earlier = model.layers[: model.layers.index(layer)]  # these networks have no branches
        moved = {id(variable) for one in earlier for variable in one.trainable_variables}
        for twin, variable in zip(other.variables, model.variables, strict=True):
            twin.assign(variable)
        for place, (twin, variable) in enumerate(
            zip(other.trainable_variables, trained, strict=True)
        ):
            if id(variable) in moved:
                twin.assign(variable - lr * gradient[place])
        kernel = places[id(next(one for one in layer.variables if "kernel" in one.name))]
        before, after = gradient[kernel].ravel(), eager_gradient(other, scene)[kernel].ravel()
        sizes = np.linalg.norm(before), np.linalg.norm(after)
        wanted[str(number), "change"] = np.linalg.norm(before - after) / sizes[0]
        wanted[str(number), "cosine"] = before @ after / (sizes[0] * sizes[1])
    assert wanted.pop(("1", "change")) == 0
    del wanted["1", "cosine"]
    assert of(gradient_shift, scene) == pytest.approx(wanted, rel=2e-3)


def with_branches(norm: bool) -> keras.Model:
    """A layer called left beside one called right, whose output has a norm in one of two arms."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    sides = [keras.layers.Dense(3, "tanh", name=name)(x) for name in ("left", "right")]
    if norm:
        sides[1] = mark_norm(keras.layers.LayerNormalization())(sides[1])
    outputs = keras.layers.Dense(3, name="out")(keras.layers.Multiply()(sides))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("norm", [False, True])
def test_in_a_network_with_branches_before_is_the_order_in_which_layers_are_numbered(compose, norm):
    """That is the same in all arms, and Keras's own is not: it goes by depth, norms counted."""
    scene = scene_of(compose(*SMALL), 1.0, with_branches(norm))
    model = scene.views.model
    kernels = [one.path for one in model.trainable_variables if one.name == "kernel"]
    assert kernels[0] == ("right/kernel" if norm else "left/kernel")
    assert [layer.name for layer in scene.views.weight_layers] == ["left", "right", "out"]
    places = [one.path.split("/")[0] for one in scene.views.surface.variables]
    found = of(gradient_shift, scene)
    assert {layer for layer, _ in found} == {"2", "3"}
    assert found["2", "change"] > 1e-3  # left was moved before it
    assert places.index("left") < places.index("right") < places.index("out")


@pytest.mark.parametrize("network", DEEP)
def test_all_that_is_trained_is_varied_and_once(compose, network):
    model = scene_of(compose(*DEEP[network])).views.model
    variables = [id(one) for one in Surface(model).variables]
    assert len(variables) == len(set(variables))
    assert set(variables) == {id(one) for one in model.trainable_variables}


def test_what_is_frozen_neither_moves_nor_has_a_gradient(compose):
    layers = [keras.layers.Dense(4, "tanh") for _ in range(4)]
    layers[0].trainable = layers[2].trainable = False
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), *layers])
    scene = scene_of(compose(*SMALL), 1.0, model)
    found = of(gradient_shift, scene)
    assert {layer for layer, _ in found} == {"2", "4"}
    assert found["2", "change"] == 0  # nothing before it moves
    assert found["4", "change"] > 0


# ---- evaluations differ in the weights alone -----------------------------------------------------


def with_noise() -> keras.Model:
    """Keras's own layers that draw at every call in training mode."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.GaussianNoise(0.5, seed=1),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=2),
            layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("kind", ["dropout", "noise", "renorm"])
def test_without_a_step_nothing_changes_whatever_the_network_draws(compose, kind):
    """A new mask, or averages that have moved, would look like a change of the loss."""
    words = {"dropout": ("model.dropout=0.5",), "renorm": ("norm.renorm=true",), "noise": ()}[kind]
    scene = scene_of(compose(*SMALL, *words), 0.0, with_noise() if kind == "noise" else None)
    model = scene.views.model
    before = [np.asarray(variable) for variable in model.variables]
    found = of(landscape, scene)
    assert found["", "loss"] == found["", "loss_low"] == found["", "loss_high"]
    assert found["", "gradient_change"] == 0
    shift = of(gradient_shift, scene)
    assert {value for (_, name), value in shift.items() if name == "change"} == {0}
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_masks_are_those_that_the_next_step_of_training_would_draw(compose):
    scene = scene_of(compose(*SMALL, "model.dropout=0.5"))
    first = of(landscape, scene)["", "loss"]
    images, labels = scene.train_batch
    logits = scene.views.model(images / 255, training=True)  # moves on to new masks
    crossed = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    assert first == pytest.approx(float(crossed), rel=1e-5)
    assert of(landscape, scene)["", "loss"] != first


# ---- the learning rate ---------------------------------------------------------------------------


@pytest.fixture
def scenes(monkeypatch) -> list[Scene]:
    """What probes were shown, in the order of the records."""
    seen = []

    def shown(*args):
        seen.append(Scene(*args))
        return seen[-1]

    monkeypatch.setattr("bnexp.probes.recorder.Scene", shown)
    return seen


def test_the_rate_is_that_of_the_next_step_by_the_schedule(compose, tmp_path, scenes):
    words = ("schedule=step", "schedule.warmup=4", "optimizer.lr=2", "trainer.eval_every=2")
    train_and_evaluate(compose(*SMALL, *words, "probes=effective_rate"), tmp_path, Lines())
    assert [scene.step for scene in scenes] == list(range(0, 41, 2))
    rates = [2 * 0.5 ** (step // 4) * min((step + 1) / 4, 1) for step in range(40)]
    assert [scene.lr for scene in scenes] == pytest.approx([*rates[::2], rates[39]])


def test_effective_rate_is_the_rate_over_the_squared_norm_of_the_weights(compose):
    scene = scene_of(compose(*SMALL, "model.hidden=[16,9]"), 0.3)
    model = scene.views.model
    wanted = {
        (str(number), "effective_rate"): 0.3
        / (kernel_of(model.get_layer(f"dense_{number}")).astype(np.float64) ** 2).sum()
        for number in (1, 2)
    }
    assert of(effective_rate, scene) == pytest.approx(wanted, rel=1e-6)


def test_effective_rate_counts_both_kernels_of_a_separable_convolution(compose):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.SeparableConv2D(4, 3, depth_multiplier=2)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    kernels = [np.asarray(one) for one in model.variables if "_kernel" in one.name]
    assert len(kernels) == 2
    [value] = of(effective_rate, scene_of(compose(*SMALL), 1.0, model)).values()
    assert value == pytest.approx(1 / sum((kernel**2).sum() for kernel in kernels), rel=1e-5)


# ---- any network, memory, numbers that are none --------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", [*DEEP, "cnn"])
def test_every_network_has_them_in_either_precision(compose, network, precision):
    words = SMALL_CNN if network == "cnn" else DEEP[network]
    if network == "residual":  # else no gradient reaches its branches at the start
        words = (*words, "model.skip_init=false")
    scene = scene_of(compose(*words, f"trainer.precision={precision}"), 0.1)
    count = len(scene.views.weight_layers)
    shift = of(gradient_shift, scene)
    assert {int(layer) for layer, _ in shift} == set(range(2, count + 1))
    rates = of(effective_rate, scene)
    assert {int(layer) for layer, _ in rates} == set(range(1, count))
    values = [*of(landscape, scene).values(), *shift.values(), *rates.values()]
    assert np.isfinite(values).all()


def test_runs_that_share_a_program_share_what_is_compiled(compose, scenes):
    words = (*SMALL, "probes.record=[landscape,gradient_shift]")
    dataset = load(compose(*words).data)
    program = Program(compose(*words), dataset)
    for step, seed in itertools.product((0, 20), (0, 1)):
        config = compose(*words, f"seed={seed}", f"optimizer.lr={1 + seed}")
        program.reset(config)
        Recorder(config, program, dataset, {}).record(step)
    [surface] = {scene.views.surface for scene in scenes}
    assert surface._evaluate.experimental_get_tracing_count() == 1


def test_what_is_not_finite_is_an_empty_cell(compose, tmp_path):
    words = ("norm=none", "model.activation=relu", "init=gaussian", "init.stddev=1e30")
    choice = "probes.record=[landscape,gradient_shift,effective_rate]"
    train_and_evaluate(compose(*SMALL, *words, choice), tmp_path, Lines())
    lines = (tmp_path / PROBES).read_text().splitlines()
    assert "0,landscape,,gradient_change," in lines
    assert "0,gradient_shift,2,cosine," in lines
    assert "nan" not in " ".join(lines).lower()
