"""The benchmark: what it counts, compares and reports; a short real turn."""

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import benchmark
from rivals import contenders, task
from rivals.contenders import OURS, Contender, ContenderError


def test_operations_of_a_step_by_hand():
    """Forward, gradient for the weights, gradient for the inputs (not of the first layer)."""
    mlp = 784 * 100 + 100 * 100 + 100 * 100 + 100 * 10
    assert benchmark.flop("mlp") == 2 * 60 * (3 * mlp - 784 * 100)
    conv = [28 * 28 * 25 * 32, 14 * 14 * 25 * 32 * 64, 7 * 7 * 64 * 1024, 1024 * 10]
    assert benchmark.flop("cnn") == 2 * 64 * (3 * sum(conv) - conv[0])


def entry(seconds: float, ratio: float) -> dict[str, float]:
    spread = {"seconds": seconds, "low": seconds, "high": seconds, "of_peak": 0.5}
    return spread | {"ratio": ratio, "ratio_low": ratio, "ratio_high": ratio}


REPORT: dict = {
    "step": {
        "mlp": {"contenders": {OURS: entry(1e-4, 1), "Keras fit": entry(5e-4, 5)}},
        "cnn": {"contenders": {OURS: entry(2e-2, 1), "Keras fit": entry(3e-2, 1.5)}},
        "cnn-bfloat16": {
            "contenders": {OURS: entry(1e-2, 1), "PyTorch": {"missing": "torch is not installed"}}
        },
    },
    "sweep": {
        "mlp": {
            "steps": 1000,
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
        (row["section"], row["workload"], row["rival"]): (row["reached"], row["met"])
        for row in benchmark.targets(REPORT)
    }
    assert rows == {
        ("step", "mlp", "Keras fit"): (5, True),
        ("step", "mlp", "matrix product"): (0.5, False),
        ("step", "cnn", "Keras fit"): (1.5, True),
        ("step", "cnn", "matrix product"): (0.5, False),
        ("sweep", "mlp", "Keras fit"): (4, False),
        ("step", "cnn-bfloat16", "Keras fit, float32"): (pytest.approx(3), True),
        ("step", "cnn-bfloat16", "bnexp, float32"): (pytest.approx(2), True),
    }


@pytest.mark.parametrize(("unit", "timed"), [("AVX-512", True), ("AVX2", False), ("", True)])
def test_bfloat16_is_timed_where_the_cpu_does_not_emulate_it(monkeypatch, unit: str, timed: bool):
    monkeypatch.setattr(benchmark.backend, "vector_unit", lambda: unit)
    assert ("cnn-bfloat16" in benchmark.workloads()) is timed
    assert {"mlp", "cnn"} <= set(benchmark.workloads())


def test_a_gross_loss_is_one_against_rivals():
    def row(rival: str, reached: float) -> dict:
        return {"rival": rival, "target": 2.0, "reached": reached}

    slow = row("Keras fit", 0.9)
    rows = [slow, row("Keras fit", 1.1), row("matrix product", 0.1)]
    assert benchmark.gross_losses(rows) == [slow]


def test_without_bfloat16_the_other_targets_are_held():
    step = {name: REPORT["step"][name] for name in ("mlp", "cnn")}
    rows = benchmark.targets(REPORT | {"step": step})
    assert {row["workload"] for row in rows} == {"mlp", "cnn"}


def test_tables_name_what_is_missing():
    text = benchmark.tables(REPORT | {"targets": benchmark.targets(REPORT)})
    assert "torch is not installed" in text
    assert "| mlp          | Keras fit | 500" in text
    absent_first = {"mlp": {"contenders": {"PyTorch": {"missing": "-"}, OURS: entry(1e-4, 1)}}}
    assert "lowest to highest" in benchmark.step_table(absent_first)
    assert "would be done | 1.5 s " in text
    assert "| mlp, 1,000 steps a run | Keras fit | 30.0" in text


def test_a_contender_that_cannot_take_part_says_why(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(contenders.KINDS, "none", contenders.Kind("ours", package="not_there"))
    assert contenders.missing("none", "float32") == "not_there is not installed"
    assert contenders.missing("TF 1 style", "bfloat16") == "not in bfloat16"
    assert contenders.missing(OURS, "bfloat16") == ""


def test_a_contender_that_fails_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(contenders.KINDS, "broken", contenders.Kind("nothing_there"))
    with pytest.raises(ContenderError, match=r"broken: .*No module named"):
        Contender("broken", "mlp", 1)


@pytest.mark.parametrize("name", [OURS, "matrix product"])
def test_a_contender_makes_steps_when_asked(name: str):
    contender = Contender(name, "mlp", 1)
    try:
        contender.seconds(20)
        assert 0 < contender.seconds(20) < 20
    finally:
        contender.close()


def test_rivals_train_the_same_network():
    """Same layers, batch and rate as bnexp's own configuration of the task."""
    from bnexp.config.compose import compose

    for name, chosen in task.TASKS.items():
        config = compose(*chosen.overrides)
        assert (config.trainer.batch_size, config.optimizer["lr"]) == (
            chosen.batch_size,
            chosen.lr,
        ), name
        assert config.norm["momentum"] == task.MOMENTUM[chosen.network]
        assert config.norm["epsilon"] == task.EPSILON
        if chosen.network == "mlp":
            assert tuple(config.model["hidden"]) == task.HIDDEN
        else:
            assert tuple(config.model["filters"]) == task.FILTERS
            assert config.model["kernel_size"] == task.KERNEL
            assert config.model["hidden"] == [task.DENSE]
            assert config.model["dropout"] == 1 - task.KEEP
            assert config.optimizer["initial_accumulator"] == task.ACCUMULATOR
        assert config.trainer.precision == chosen.precision
