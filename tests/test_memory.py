"""What a run needs of memory is told, or refused, before it is taken."""

import keras
import pytest
from conftest import SMALL, Lines

from bnexp.config import ConfigError
from bnexp.data.loading import load
from bnexp.networks.hints import Hints, hints
from bnexp.training import memory
from bnexp.training.loop import train_and_evaluate
from bnexp.training.program import program_for


def test_large_images_and_batches_need_more(compose):
    dataset = load(compose(*SMALL).data)
    small = keras.applications.MobileNetV2((32, 32, 3), weights=None, classes=3)
    large = keras.applications.MobileNetV2((224, 224, 3), weights=None, classes=3)
    found = [
        memory.estimated(dataset, model, Hints(False, 10, hints(lambda: None, model).eval_batch), n)
        for model, n in ((small, 32), (large, 32), (large, 256))
    ]
    assert found == sorted(found)
    assert found[2] - found[1] > 224 * (found[1] - found[0]) / 32
    assert 1e9 < found[1] < 2e10


def test_a_run_that_takes_half_of_what_is_free_says_so_in_its_log(compose, tmp_path, monkeypatch):
    config = compose(*SMALL)
    needed = memory.estimated(
        load(config.data),
        program_for(config, load(config.data)).model,
        program_for(config, load(config.data)).hints,
        config.trainer.batch_size,
    )
    monkeypatch.setattr(memory, "available", lambda: int(1.5 * needed))
    report = Lines()
    (tmp_path / "run").mkdir()
    train_and_evaluate(config, tmp_path / "run", report)
    assert any(line.startswith("memory: about 0.9 GB, of 1.4 GB free") for line in report.lines)


def test_a_run_that_cannot_fit_is_refused_in_a_line(compose, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 100_000_000)
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match=r"more memory than there is .*data\.train_size") as told:
        train_and_evaluate(compose(*SMALL), tmp_path / "run", Lines())
    assert "\n" not in str(told.value)


def test_what_is_free_is_known_here():
    free = memory.available()
    assert free is not None
    assert 1e8 < free < 1e14
