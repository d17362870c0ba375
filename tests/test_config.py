"""Settings: what composes, what is refused, and what makes two runs the same run."""

from dataclasses import replace

import pytest
import yaml
from conftest import CONF

from bnexp.config import ConfigError, build, scientific, shape
from bnexp.folders.runs import run_id
from bnexp.run import compose

GROUPS = ["data", "model", "norm", "init", "optimizer", "trainer", "probes"]


def test_defaults_are_those_of_the_original_repository():
    config = compose()
    assert (config.model.kind, config.model.filters, config.model.hidden) == (
        "cnn",
        [32, 64],
        [1024],
    )
    assert (config.norm.kind, config.norm.epsilon, config.norm.momentum) == ("batch", 1e-3, 0.5)
    assert (config.optimizer.kind, config.optimizer.lr) == ("adagrad", 0.01)
    assert config.optimizer.initial_accumulator == 0.1
    assert (config.init.kind, config.init.stddev, config.init.conv_stddev, config.init.bias) == (
        "truncated",
        0.05,
        0.1,
        0.1,
    )
    assert (config.trainer.batch_size, config.trainer.steps, config.trainer.eval_every) == (
        64,
        5000,
        200,
    )
    assert config.model.dropout == 0.5


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_of_a_group_has_the_same_commented_keys(group):
    options = sorted((CONF / group).glob("*.yaml"))
    keys = {path.stem: list(yaml.safe_load(path.read_text())) for path in options}
    assert len({tuple(names) for names in keys.values()}) == 1
    for path in options:
        lines = path.read_text().splitlines()
        assert lines[0].startswith("# ")
        for key in keys[path.stem][1:]:  # kind is told by the header
            line = next(i for i, text in enumerate(lines) if text.startswith(f"{key}:"))
            assert lines[line - 1].startswith("# "), f"{path.name}: {key} has no comment"


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_composes(group):
    for path in (CONF / group).glob("*.yaml"):
        needed = ["data.path=x.npz"] if path.stem == "npz" else ["model=mlp"]
        config = compose(*needed, f"{group}={path.stem}")
        assert getattr(config, group) is not None


@pytest.mark.parametrize("preset", sorted(p.stem for p in (CONF / "experiment").glob("*.yaml")))
def test_every_preset_composes_and_opens_with_its_command(preset):
    assert compose(f"experiment={preset}").name == preset.removesuffix("_cnn")
    head = (CONF / "experiment" / f"{preset}.yaml").read_text().split("\n\n")[0]
    assert f"python -m bnexp.run experiment={preset}" in head


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("optimizer.lr=-1", "optimizer.lr=-1"),
        ("optimizer.lr=0", "optimizer.lr=0"),
        ("optimizer.lr=nan", "optimizer.lr=nan"),
        ("optimizer.lr=inf", "optimizer.lr=inf"),
        ("optimizer.lr_decay=1.5", "optimizer.lr_decay=1.5"),
        ("optimizer.weight_decay=-0.1", "optimizer.weight_decay=-0.1"),
        ("optimizer.kind=sdg", "did you mean 'sgd'"),
        ("trainer.steps=0", "trainer.steps=0"),
        ("trainer.batch_size=0", "trainer.batch_size=0"),
        ("trainer.eval_every=0", "trainer.eval_every=0"),
        ("trainer.precision=float16", "trainer.precision=float16"),
        ("trainer.threads=0", "trainer.threads=0"),
        ("model.dropout=1", "model.dropout=1"),
        ("model.hidden=[]", r"model.hidden=\[\]"),
        ("model.hidden=[10,0]", r"model.hidden=\[10, 0\]"),
        ("model.activation=rellu", "did you mean 'relu'"),
        ("norm.momentum=2", "norm.momentum=2"),
        ("norm.epsilon=0", "norm.epsilon=0"),
        ("norm.position=middle", "norm.position=middle"),
        ("norm.gradient=full_mean", "norm.gradient=full_mean"),
        ("init.stddev=0", "init.stddev=0"),
        ("init.scale=0", "init.scale=0"),
        ("init.scale=inf", "init.scale=inf"),
        ("data.train_size=0", "data.train_size=0"),
        ("data.val_size=0", "data.val_size=0"),
        ("data=npz", "data.path"),
        ("seed=-1", "seed=-1"),
        ("name=../elsewhere", "name="),
        ("+optimizer.nesterov=true", "nesterov"),
        ("+surplus=1", "surplus"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(override, named):
    with pytest.raises(ConfigError, match=named):
        compose(override)


def test_run_id_does_not_depend_on_where_and_how_a_run_is_started():
    same = {
        run_id(compose(*overrides))
        for overrides in (
            (),
            ("name=other",),
            ("output_dir=/elsewhere",),
            ("trainer.threads=3",),
            ("trainer.save_model=true",),
            ("optimizer=adagrad", "optimizer.lr=1e-2"),
            ("data.path=unread.npz",),
            ("optimizer.momentum=0.5",),
        )
    }
    assert len(same) == 1
    assert all(len(name) == 10 and int(name, 16) >= 0 for name in same)


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "norm=none",
        "norm.momentum=0.9",
        "norm.gradient=none",
        "norm.bias=true",
        "init.scale=10",
        "trainer.reshuffle=false",
        "optimizer.lr=0.02",
        "trainer.eval_every=100",
    ],
)
def test_run_id_depends_on_what_can_change_the_numbers(override):
    assert run_id(compose(override)) != run_id(compose())


@pytest.mark.parametrize(
    ("override", "shared"),
    [
        ("init.scale=10", True),
        ("trainer.reshuffle=false", True),
        ("norm.gradient=none", False),
        ("norm.bias=true", False),
        ("norm=layer", False),
    ],
)
def test_runs_share_a_compiled_program_only_if_they_differ_in_values(override, shared):
    assert (shape(compose(override)) == shape(compose())) == shared


def test_settings_that_are_not_read_give_no_second_identity():
    def identical(*pairs):
        first, second = (run_id(compose(*overrides)) for overrides in pairs)
        return first == second

    assert identical(("norm=none", "norm.momentum=0.9"), ("norm=none", "norm.momentum=0.5"))
    assert identical(("init=glorot", "init.stddev=1"), ("init=glorot", "init.stddev=2"))
    assert not identical(("init=gaussian", "init.stddev=1"), ("init=gaussian", "init.stddev=2"))
    assert identical(("norm=none", "norm.bias=true", "norm.gradient=none"), ("norm=none",))
    unread = ("momentum=0.1", "population=exact", "population_batches=9", "gradient=none")
    for setting in unread:
        assert identical(("norm=layer", f"norm.{setting}"), ("norm=layer",))
    for setting in ("epsilon=1", "position=post", "bias=true"):
        assert not identical(("norm=layer", f"norm.{setting}"), ("norm=layer",))
    assert identical(("norm.position=post", "norm.bias=true"), ("norm.position=post",))


def test_a_data_file_counts_by_content(npz, tmp_path):
    copied = tmp_path / "copy.npz"
    copied.write_bytes(npz.read_bytes())
    original = run_id(compose("data=npz", f"data.path={npz}"))
    assert run_id(compose("data=npz", f"data.path={copied}")) == original
    with copied.open("ab") as file:
        file.write(b"more")
    assert run_id(compose("data=npz", f"data.path={copied}")) != original


def test_scientific_config_is_read_back_as_the_same_run():
    config = compose("seed=3", "optimizer=adam")
    again = build(scientific(config) | {"name": "x", "output_dir": "y"})
    assert replace(again, name=config.name, output_dir=config.output_dir) == config
