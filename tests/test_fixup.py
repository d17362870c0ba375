"""Fixup and SkipInit: where they start, that they train without a norm, and what is refused."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL
from test_networks_arms import batch, none, unit
from test_training import history, train

from bnexp.config import ConfigError
from bnexp.initializers.glorot import Glorot
from bnexp.initializers.he import He
from bnexp.networks.initial import initialize
from bnexp.networks.learned_scale import LearnedScale
from bnexp.networks.learned_shift import LearnedShift
from bnexp.networks.mlp import mlp
from bnexp.networks.residual import residual
from bnexp.networks.structure import weight_layers

CIFAR, DEPTH = (16, 16, 3), 20
DENSE = {"hidden": [12] * DEPTH, "skip": "residual"}
CONVOLUTIONS = {"filters": [4, 6], "blocks": 2}
NETWORKS = {"mlp": (mlp, DENSE), "residual": (residual, CONVOLUTIONS)}
# whether a branch ends with a layer of this name, and whether it is in one before that
ENDS = {
    "mlp": lambda name: name.startswith("dense_") and name != "dense_1",
    "residual": lambda name: "block" in name and name.endswith("conv_2"),
}
INSIDE = {
    "mlp": lambda name: False,
    "residual": lambda name: "block" in name and name.endswith("conv_1"),
}


def built(network, arms=none, **settings):
    build, usual = NETWORKS[network]
    return build(unit(arms), CIFAR, 10, **usual, **settings)


def images(count=4):
    return np.random.default_rng(0).random((count, *CIFAR), "float32")


@pytest.mark.parametrize("way", ["skip_init", "fixup"])
@pytest.mark.parametrize("bias", [0.0, 0.1])
@pytest.mark.parametrize("network", NETWORKS)
def test_at_the_start_every_block_is_its_shortcut(network, bias, way):
    model = built(network, **{way: True})
    initialize(model, He(), 0, bias=bias if way == "fixup" else 0.0)
    sums = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert len(sums) == (DEPTH - 1 if network == "mlp" else 4)
    inner = keras.Model(model.input, [(one.input[1], one.output) for one in sums])
    for shortcut, total in inner(images()):
        np.testing.assert_array_equal(total, shortcut)
        assert np.std(shortcut) > 0.01
    if way == "fixup":
        np.testing.assert_array_equal(model(images()), np.zeros((4, 10)))


@pytest.mark.parametrize("draw", [He(), Glorot(), None], ids=["he", "glorot", "own"])
@pytest.mark.parametrize("network", NETWORKS)
def test_fixup_scales_the_weights_that_other_arms_start_from(network, draw):
    """Also with a factor of all weights, and once more after other seeds."""
    model, plain = built(network, fixup=True), built(network)
    for seed, scale in ((0, 1.0), (1, 2.0), (0, 1.0)):
        for one in (model, plain):
            initialize(one, draw, seed, scale=scale)
        branches = 4  # of two layers each
        for layer, other in zip(weight_layers(model), weight_layers(plain), strict=True):
            factor = branches**-0.5 if INSIDE[network](layer.name) else 1.0
            ends = ENDS[network](layer.name) or layer.name == "logits"
            expected = 0.0 if ends else factor * np.asarray(other.trainable_weights[0])
            np.testing.assert_allclose(
                *np.broadcast_arrays(layer.trainable_weights[0], expected), rtol=1e-6
            )


def test_fixup_has_a_factor_a_branch_and_a_number_before_each_map_and_nonlinearity():
    for network in NETWORKS:
        model = built(network, fixup=True)
        initialize(model, He(), 0, bias=0.1)
        scales, shifts = (
            [float(layer.weights[0]) for layer in model.layers if isinstance(layer, kind)]
            for kind in (LearnedScale, LearnedShift)
        )
        assert scales == [1.0] * (DEPTH - 1 if network == "mlp" else 4)
        nonlinearities = [one for one in model.layers if isinstance(one, keras.layers.Activation)]
        assert shifts == [0.0] * (len(weight_layers(model)) + len(nonlinearities))


MLP = (
    "model=mlp",
    "model.activation=relu",
    f"model.hidden=[{','.join(['16'] * DEPTH)}]",
    "model.skip=residual",
    "optimizer.lr=0.03",
)
CNN = ("model=residual", "model.filters=[4,8]", "model.blocks=2", "optimizer.lr=0.1")
TRAINED = (
    "norm=none",
    "init=he",
    "optimizer=sgd",
    "trainer.steps=60",
    "trainer.batch_size=20",
    "trainer.eval_every=10",
)


@pytest.mark.parametrize("way", ["fixup", "skip_init"])
@pytest.mark.parametrize("network", [MLP, CNN], ids=["mlp", "residual"])
def test_deep_networks_train_without_a_norm(compose, tmp_path, network, way):
    config = compose(*network, *TRAINED, f"model.{way}=true")
    outcome, _ = train(config, tmp_path / "a")
    losses = [row["train_loss"] for row in outcome.progress.history]
    assert outcome.status == "finished"
    assert losses[-1] < 0.8 * min(losses[0], np.log(3))
    train(config, tmp_path / "b")
    assert history(tmp_path / "a") == history(tmp_path / "b")


@pytest.mark.parametrize("way", ["fixup", "skip_init"])
def test_networks_load_where_only_the_package_is_imported(tmp_path, way):
    for network in NETWORKS:
        model = built(network, **{way: True})
        initialize(model, He(), 0)
        for weight in model.trainable_weights:
            weight.assign(weight + 0.01)
        path = tmp_path / f"{network}.keras"
        model.save(path)
        np.testing.assert_array_equal(keras.models.load_model(path)(images()), model(images()))
        code = f"import bnexp, keras; keras.models.load_model({str(path)!r})"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_learned_scalars_keep_where_they_start_and_their_rate():
    layer, shift = LearnedScale(start=1.0, rate=0.1), LearnedShift(rate=0.1)
    again, other = (keras.layers.deserialize(keras.layers.serialize(one)) for one in (layer, shift))
    assert (again.start, again.rate, other.rate) == (1.0, 0.1, 0.1)
    assert (LearnedScale().start, LearnedScale().rate, LearnedShift().rate) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("network", NETWORKS)
def test_learned_scalars_have_their_share_of_the_learning_rate_and_nothing_else_changes(network):
    found = []
    for rate in (1.0, 0.1):
        model = built(network, fixup=True, fixup_rate=rate)
        initialize(model, He(), 0)
        for weight in model.trainable_weights:  # away from 0, where only the output layer learns
            weight.assign(weight + 0.01)
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        with tf.GradientTape() as tape:
            output = model(images())
            loss = loss_of(np.arange(4), output)
        variables = model.trainable_variables
        names = [f"{number} {one.path}" for number, one in enumerate(variables)]
        found.append((output, dict(zip(names, tape.gradient(loss, variables), strict=True))))
    (output, whole), (same, tenth) = found
    np.testing.assert_array_equal(output, same)
    for path, gradient in whole.items():
        learned = path.rpartition("/")[2] in ("shift", "scale")
        share = 0.1 if learned else 1.0
        np.testing.assert_allclose(tenth[path], share * gradient, rtol=1e-5, atol=1e-9)
        assert np.abs(gradient).max() > 0 or not learned


def test_half_precision_stays():
    from bnexp.networks.unit import Unit

    for build, settings in NETWORKS.values():
        half = Unit(none, "relu", "mixed_bfloat16")
        model = build(half, CIFAR, 10, **settings, fixup=True)
        kinds = (LearnedScale, LearnedShift, keras.layers.Activation)
        types = {one.output.dtype for one in model.layers if isinstance(one, kinds)}
        assert types == {"bfloat16"}
        assert model.output.dtype == "float32"


# --- what is refused, in a line


@pytest.mark.parametrize("skip", ["none", "highway"])
@pytest.mark.parametrize("way", ["skip_init", "fixup"])
def test_both_ask_for_residual_connections(way, skip):
    with pytest.raises(ConfigError, match=rf"^model.{way}=true needs model.skip=residual \(it is"):
        mlp(unit(none), CIFAR, 10, skip=skip, **{way: True})


@pytest.mark.parametrize("network", NETWORKS)
def test_fixup_refuses_a_norm_and_skip_init(network):
    with pytest.raises(ConfigError, match=r"^model.fixup=true trains without a norm: choose"):
        built(network, batch, fixup=True)
    with pytest.raises(ConfigError, match=r"^model.skip_init=true with model.fixup=true: choose"):
        built(network, fixup=True, skip_init=True)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_rate_of_scalars_asks_for_fixup(network):
    with pytest.raises(ConfigError, match=r"^model.fixup_rate=0.1 needs model.fixup=true$"):
        built(network, fixup_rate=0.1)


def test_the_defaults_change_no_id(compose):
    from bnexp.config import run_id

    for words in (("model=residual",), SMALL, (*SMALL, "model.skip=residual")):
        off = [f"model.{way}=false" for way in ("skip_init", "fixup")] + ["model.fixup_rate=1"]
        assert run_id(compose(*words)) == run_id(compose(*words, *off))
