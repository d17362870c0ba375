"""The options of the groups model and init, as Hydra composes them."""

import shutil
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

CONF = Path(__file__).resolve().parent.parent / "conf"
DEFAULTS = """
defaults:
  - init: original
  - model: cnn
  - _self_
  - experiment: null
"""
PRESET = """# @package _global_
defaults:
  - override /model: keras
"""


@pytest.fixture
def conf(tmp_path):
    """Only the groups model and init, and a preset that changes the model."""
    for group in ("init", "model"):
        shutil.copytree(CONF / group, tmp_path / group)
    (tmp_path / "config.yaml").write_text(DEFAULTS)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "preset.yaml").write_text(PRESET)
    (tmp_path / "experiment" / "both.yaml").write_text(f"{PRESET}  - override /init: he\n")
    return tmp_path


@pytest.mark.parametrize(
    ("overrides", "init"),
    [
        ([], "truncated.Truncated"),
        (["model=mlp"], "truncated.Truncated"),
        (["model=keras"], "own.own"),
        (["model=keras", "init=he"], "he.He"),
        (["init=he", "model=keras"], "he.He"),
        (["experiment=preset"], "own.own"),
        (["experiment=preset", "init=glorot"], "glorot.Glorot"),
        (["experiment=both"], "he.He"),
        (["experiment=both", "model=mlp"], "he.He"),
    ],
)
def test_keras_networks_keep_their_own_initial_weights_unless_told(conf, overrides, init):
    with initialize_config_dir(str(conf), version_base="1.3"):
        composed = compose("config", overrides)
    assert composed.init["_target_"] == f"bnexp.initializers.{init}"


@pytest.mark.parametrize(
    "path", sorted(CONF.glob("model/*.yaml")) + sorted(CONF.glob("init/*.yaml"))
)
def test_each_option_says_what_it_is_and_what_it_calls(path):
    text = path.read_text()
    assert text.startswith("# ")
    assert yaml.safe_load(text)["_target_"].startswith("bnexp.")
