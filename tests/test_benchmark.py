"""The benchmark: what it counts, compares and reports; a short real turn."""

import sys

import numpy as np
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import benchmark
from rivals import kinds, layers, task
from rivals.contenders import Contender, ContenderError
from rivals.kinds import EVERY_RIVAL, OURS
from timing import steps, sweeps, tables, targets

NETWORKS = list(layers.NETWORKS)


def test_operations_of_a_step_by_hand():
    """Forward, gradient for the weights, gradient for the inputs (not of the first layer)."""
    mlp = 784 * 100 + 100 * 100 + 100 * 100 + 100 * 10
    assert task.TASKS["mlp"].flop == 2 * 60 * (3 * mlp - 784 * 100)
    conv = [28 * 28 * 25 * 32, 14 * 14 * 25 * 32 * 64, 7 * 7 * 64 * 1024, 1024 * 10]
    assert task.TASKS["cnn"].flop == 2 * 64 * (3 * sum(conv) - conv[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_rivals_networks_are_those_of_bnexp(name: str):
    """The same kernels, parameters and operations, by the layers of the Keras model."""
    from bnexp.config.compose import compose
    from bnexp.training.network import build_model

    chosen = task.TASKS[name]
    network = chosen.network
    model = build_model(compose(*chosen.overrides()), network.input_shape, layers.CLASSES)
    described = [
        layers.kernel(*each) for each in layers.linear_maps(network.layers, network.input_shape)
    ]
    linear = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert sorted(described) == sorted(
        shape if (shape := tuple(layer.kernel.shape)) in described else shape[::-1]
        for layer in linear
    )
    trained = sum(int(np.prod(each.shape)) for each in model.trainable_variables)
    assert layers.parameters(network) == trained
    products = [
        int(np.prod(layer.output.shape[1:-1], dtype=int)) * int(np.prod(layer.kernel.shape))
        for layer in linear
    ]
    assert chosen.flop == 2 * chosen.batch_size * (3 * sum(products) - products[0])


def entry(seconds: float, ratio: float) -> dict[str, float]:
    spread = {"seconds": seconds, "low": seconds, "high": seconds, "of_peak": 0.5}
    return spread | {"ratio": ratio, "ratio_low": ratio, "ratio_high": ratio}


REPORT: dict = {
    "step": {
        "mlp": {"contenders": {OURS: entry(1e-4, 1), "Keras fit": entry(5e-4, 5)}},
        "cnn": {
            "contenders": {
                OURS: entry(2e-2, 1),
                "Keras fit": entry(3e-2, 1.5),
                "PyTorch": entry(2.4e-2, 1.2),
            }
        },
        "cnn-bfloat16": {
            "contenders": {OURS: entry(1e-2, 1), "PyTorch": {"missing": "torch is not installed"}}
        },
    },
    "sweep": {
        "plain": {
            "steps": 200,
            "contenders": {
                OURS: {"runs_per_minute": 120.0, "ratio": 1.0},
                "Keras fit": {"runs_per_minute": 30.0, "ratio": 4.0},
            },
        }
    },
}
REPORT["run"] = {
    "mlp": {"evaluation_share": 0.2},
    "cnn": {"evaluation_share": 0.1, "megabytes": 900.0},
    "start": {"to_first_step": {"seconds": 5.0}, "import_tensorflow": {"seconds": 3.5}},
}


def test_targets_are_held_against_what_was_measured():
    rows = {
        (row["section"], row["workload"], row["rivals"]): (row["reached"], row["met"])
        for row in targets.held_against(REPORT)
    }
    assert rows == {
        ("step", "mlp", "Keras fit"): (5, True),
        ("step", "cnn", "best of Keras and PyTorch"): (1.2, False),
        ("sweep", "plain", "Keras fit"): (4, True),
    }


def test_the_fastest_of_several_rivals_decides():
    row = next(each for each in targets.held_against(REPORT) if each["workload"] == "cnn")
    assert (row["nearest"], row["reached"]) == ("PyTorch", 1.2)


def test_targets_name_what_is_timed():
    for target in targets.TARGETS:
        timed = steps.WORKLOADS if target.section == "step" else sweeps.SWEEPS
        assert target.workload in timed
        rivals = steps.rivals_in(target.workload)
        if target.section == "sweep":
            rivals = [name for name in sweeps.SWEEP_RIVALS if name in rivals]
        fitting = [name for name in target.rivals if kinds.fits(name, target.workload)]
        assert fitting and set(fitting) <= set(rivals), target
        assert target.named or len(target.rivals) == 1


def test_channels_last_is_for_images_and_float32_beside_bfloat16():
    assert "PyTorch, channels last" not in steps.rivals_in("mlp")
    assert "Keras fit, float32" in steps.rivals_in("cnn-bfloat16")
    assert "Keras fit, float32" not in steps.rivals_in("cnn")
    assert kinds.command("Keras fit, float32", "cnn-bfloat16", 1)[3] == "cnn"


def test_only_keeps_what_it_names_of_each_kind():
    assert benchmark.kept(("step", "sweep"), ["plain", "step"]) == ["step"]
    assert benchmark.kept(EVERY_RIVAL, ["plain", "step"]) == list(EVERY_RIVAL)


@pytest.mark.parametrize(("unit", "timed"), [("AVX-512", True), ("AVX2", False), ("", True)])
def test_bfloat16_is_timed_where_the_cpu_does_not_emulate_it(monkeypatch, unit: str, timed: bool):
    monkeypatch.setattr(steps.backend, "vector_unit", lambda: unit)
    assert ("cnn-bfloat16" in steps.timed()) is timed
    assert set(NETWORKS) <= set(steps.timed())


def test_a_gross_loss_is_below_half_of_a_target():
    rows = [{"target": 2.0, "reached": reached} for reached in (0.9, 1.1)]
    assert targets.gross_losses(rows) == rows[:1]


def test_tables_name_what_is_missing():
    text = tables.tables(REPORT | {"targets": targets.held_against(REPORT)})
    assert "torch is not installed" in text
    assert "| mlp          | Keras fit | 500" in text
    assert "best of Keras and PyTorch" in text
    absent_first = {"mlp": {"contenders": {"PyTorch": {"missing": "-"}, OURS: entry(1e-4, 1)}}}
    assert "lowest to highest" in tables.step_table(absent_first)
    assert "would be done | 1.5 s " in text
    assert "| plain, 200 steps a run | Keras fit | 30.0" in text


def test_a_contender_that_cannot_take_part_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(kinds.KINDS, "none", kinds.Kind("ours", package="not_there"))
    assert kinds.missing("none", "float32") == "not_there is not installed"
    assert kinds.missing("TF 1 style", "bfloat16") == "not in bfloat16"
    assert kinds.missing(OURS, "bfloat16") == ""


def test_a_contender_that_fails_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(kinds.KINDS, "broken", kinds.Kind("nothing_there"))
    with pytest.raises(ContenderError, match=r"broken: .*No module named"):
        Contender("broken", "mlp", 1)


@pytest.mark.parametrize("name", [OURS, "matrix product"])
def test_a_contender_makes_steps_when_asked(name: str):
    contender = Contender(name, "mlp", 1)
    try:
        contender.seconds(20)
        assert 0 < contender.seconds(20) < 20
        assert np.isfinite(contender.loss)
    finally:
        contender.close()


def test_a_contender_that_trains_another_network_is_refused():
    class Other:
        name, parameters = "other", 7

    with pytest.raises(ContenderError, match="other: trains 7 parameters, not 8"):
        steps.check_parameters([Other()], 8)  # type: ignore[list-item]


@pytest.mark.parametrize("name", NETWORKS)
def test_keras_trains_as_many_parameters(name: str):
    from rivals.keras_fit import built

    model = built(layers.NETWORKS[name])
    trained = sum(int(np.prod(each.shape)) for each in model.trainable_variables)
    assert trained == layers.parameters(layers.NETWORKS[name])


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_trains_as_many_parameters(name: str):
    pytest.importorskip("torch")
    from rivals.pytorch import built

    trained = sum(each.numel() for each in built(layers.NETWORKS[name]).parameters())
    assert trained == layers.parameters(layers.NETWORKS[name])


@pytest.mark.parametrize("name", ["plain", "inception"])
def test_pytorch_and_jax_compute_the_same_of_equal_weights(name: str):
    """A stride of 2 skips other pixels in PyTorch: it sees image and kernels in a mirror."""
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    from rivals import jax_functions, pytorch

    random = np.random.default_rng(0)
    images = random.random((4, 32, 32, 3), np.float32)
    chosen = task.TASKS[name]
    params, averages, *_ = jax_functions.start(chosen, random)
    expected, _ = jax_functions.forward(chosen, params, averages, images, jax.random.key(0))
    kernels = iter([each["w"] for each in dictionaries(params) if each])
    model = pytorch.built(chosen.network)
    with torch.no_grad():
        for weight in (each for each in model.parameters() if each.ndim > 1):
            own = np.array(next(kernels))
            turned = own[::-1, ::-1].transpose(3, 2, 0, 1) if own.ndim == 4 else own.T
            weight.copy_(torch.from_numpy(turned.copy()))
        for linear in model.modules():
            if isinstance(linear, torch.nn.Linear):
                linear.bias.zero_()
        logits = model(torch.from_numpy(images[:, ::-1, ::-1].transpose(0, 3, 1, 2).copy()))
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", task.TASKS)
def test_jax_steps_of_every_task_keep_their_state(name: str):
    """Traced, not compiled: parameters stay in float32, and a scan can carry the state on."""
    jax = pytest.importorskip("jax")
    from rivals import jax_functions

    chosen = task.TASKS[name]
    images = jax.ShapeDtypeStruct((100, *chosen.network.input_shape), np.float32)
    labels = jax.ShapeDtypeStruct((100,), np.int32)
    rows = jax.ShapeDtypeStruct((3, chosen.batch_size), np.int32)
    state = jax.eval_shape(lambda: jax_functions.start(chosen, np.random.default_rng(0)))
    steps_of = jax_functions.scanned(jax_functions.stepper(chosen))
    after, loss = jax.eval_shape(steps_of, state, rows, images, labels)
    assert jax.tree.map(lambda each: each.dtype, after) == jax.tree.map(lambda e: e.dtype, state)
    assert (loss.shape, loss.dtype) == ((), np.float32)


@pytest.mark.parametrize("name", task.TASKS)
def test_pytorch_makes_a_step_of_every_task(name: str):
    torch = pytest.importorskip("torch")
    from rivals import pytorch

    chosen = task.TASKS[name]
    model = pytorch.built(chosen.network)
    optimizer = pytorch.optimizer_of(chosen, model)
    images = torch.rand(4, *chosen.network.input_shape).permute(0, 3, 1, 2)
    before = [each.detach().clone() for each in model.parameters()]
    with torch.autocast("cpu", torch.bfloat16, enabled=chosen.precision == "bfloat16"):
        loss = torch.nn.functional.cross_entropy(model(images), torch.arange(4))
    loss.backward()
    optimizer.step()
    changed = [bool((a != b).any()) for a, b in zip(model.parameters(), before, strict=True)]
    assert all(changed) and torch.isfinite(loss)


def dictionaries(params: list) -> list[dict]:
    """Parameters layer by layer, those of branches too."""
    return [
        found
        for each in params
        for found in ([each] if isinstance(each, dict) else dictionaries(each))
    ]


def test_the_made_images_are_what_bnexp_reads():
    from rivals import data

    with np.load(data.made_images()) as arrays:
        assert arrays["x_train"].shape == (10_000, 32, 32, 3)
        assert arrays["x_train"].dtype == np.uint8
    assert any("images.npz" in each for each in task.TASKS["plain"].overrides())


def test_rivals_train_by_the_same_settings():
    """Batch, rate, optimizer, momentum, nonlinearity as in bnexp's configuration of the task."""
    from bnexp.config.compose import compose

    for name, chosen in task.TASKS.items():
        config = compose(*chosen.overrides())
        assert config.trainer.batch_size == chosen.batch_size, name
        assert config.optimizer["lr"] == chosen.lr, name
        assert config.optimizer.kind == chosen.optimizer
        assert config.norm["momentum"] == chosen.network.momentum
        assert config.norm["epsilon"] == layers.EPSILON
        assert config.model["activation"] == chosen.network.activation
        assert config.trainer.precision == chosen.precision
        if chosen.optimizer == "adagrad":
            assert config.optimizer["initial_accumulator"] == task.ACCUMULATOR
        if chosen.name == "cnn":
            assert layers.Dropout(config.model["dropout"]) in chosen.network.layers
