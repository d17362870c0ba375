"""Settings: what composes, what is refused, and what makes two runs the same run."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import CONF

from bnexp.config import ConfigError, build, options, run_id, scientific
from bnexp.config.compose import compose, compose_sweep
from bnexp.config.identity import shape
from bnexp.config.options import GROUPS
from bnexp.options import text as describe

PRESETS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
OPTIONS = [(group, path.stem) for group in GROUPS for path in (CONF / group).glob("*.yaml")]


def test_defaults_are_those_of_the_original_repository():
    config = compose()
    assert (config.model.kind, config.model["filters"], config.model["hidden"]) == (
        "cnn",
        [32, 64],
        [1024],
    )
    assert config.norm.kind == "batch"
    assert (config.norm["epsilon"], config.norm["momentum"]) == (1e-3, 0.5)
    assert (config.optimizer.kind, config.optimizer["lr"]) == ("adagrad", 0.01)
    assert config.optimizer["initial_accumulator"] == 0.1
    assert config.init.kind == "original"
    assert [config.init[key] for key in ("stddev", "conv_stddev", "bias")] == [0.05, 0.1, 0.1]
    assert (config.trainer.batch_size, config.trainer.steps) == (64, 5000)
    assert config.trainer.eval_every == 200
    assert config.model["dropout"] == 0.5


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_an_option_says_what_it_is_and_only_what_differs_from_its_defaults(group, name):
    text = (CONF / group / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    node = yaml.safe_load(text)
    own, common = options.parameters(group, node["_target_"])
    for key, value in node.items():
        if key not in ("_target_", "defaults"):
            assert value != (own | common)[key].default, f"{group}={name}: {key} is the default"


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_setting_of_an_option_has_its_meaning_written_down(group, name):
    node = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    own, common = options.parameters(group, node["_target_"])
    silent = [key for key, parameter in (own | common).items() if not parameter.doc]
    assert silent == []


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_option_composes(group, name, npz):
    needed = {"data": [f"data.path={npz}"], "model": []}.get(group, ["model=mlp"])
    if (group, name) == ("data", "csv"):
        needed.append("data.label=label")
    if (group, name) == ("model", "keras"):
        needed.append("model.builder=keras.applications:MobileNetV2")
    if group == "data" and "path" not in _settings(group, name):
        needed = []
    config = compose(*needed, f"{group}={name}")
    assert getattr(config, group) is not None


def _settings(group, name):
    node = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    return options.parameters(group, node["_target_"])[0]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_composes_and_opens_with_its_command(preset):
    configs = compose_sweep(f"experiment={preset}")
    assert len(configs) > 1
    assert {config.name for config in configs} == {preset.removesuffix("_cnn")}
    head = (CONF / "experiment" / f"{preset}.yaml").read_text().split("\n\n")[0]
    assert f"experiment={preset}" in head


def test_a_list_of_equal_numbers_has_a_short_form():
    assert compose("model=mlp", "model.hidden=${repeat:7,4}").model["hidden"] == [7, 7, 7, 7]
    depths = compose_sweep("experiment=skips", "model.activation=relu")
    assert {len(config.model["hidden"]) for config in depths} == {20, 50}


def test_a_preset_that_is_a_sweep_is_not_composed_as_one_run():
    with pytest.raises(ConfigError, match="is a sweep of several runs"):
        compose("experiment=quickstart")
    with pytest.raises(ConfigError, match="seed=0,1 has several values"):
        compose("seed=0,1")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("optimizer.lr=-1", "optimizer.lr=-1 is out of range: a finite number above 0"),
        ("optimizer.lr=0", "optimizer.lr=0"),
        ("optimizer.lr=nan", "optimizer.lr=nan"),
        ("optimizer.lr=inf", "optimizer.lr=inf"),
        ("optimizer.lr=fast", "optimizer.lr=fast: give a number"),
        ("optimizer.initial_accumulator=0", "initial_accumulator=0"),
        ("optimizer.weight_decay=-0.1", "optimizer.weight_decay=-0.1"),
        ("optimizer=sdg", "did you mean 'sgd'"),
        ("optimizer.kind=sgd", "choose the option by its name: optimizer=sgd"),
        ("optimizer.momentum=0.5", "has no setting 'momentum'; it is one of optimizer=adam"),
        ("trainer.steps=0", "trainer.steps=0"),
        ("trainer.steps=99999999999999999999999", "trainer.steps=9999.*out of range"),
        ("trainer.steps=1.5", "give a whole number"),
        ("trainer.batch_size=0", "trainer.batch_size=0"),
        ("trainer.eval_every=0", "trainer.eval_every=0"),
        ("trainer.precision=float16", "trainer.precision=float16"),
        ("trainer.threads=0", "trainer.threads=0"),
        ("trainer.threads=100000", "trainer.threads=100000"),
        ("trainer.reshuffle=maybe", "give true or false"),
        ("model.dropout=1", "model.dropout=1"),
        ("model.hidden=[]", "model.hidden=.*at least one value"),
        ("model.hidden=[10,0]", r"model.hidden=\[10,0\]: 0 in it is out of range"),
        ("model.hidden=10", "model.hidden=10: give a list"),
        ("norm.momentum=2", "norm.momentum=2"),
        ("norm.momentun=0.9", "did you mean 'norm.momentum'"),
        ("norm.epsilon=0", "norm.epsilon=0"),
        ("norm.position=middle", "norm.position=middle is not one of pre, post"),
        ("norm.gradient=full_mean", "norm.gradient=full_mean"),
        ("norm=bn", "unknown option norm=bn"),
        ("init.stddev=0", "init.stddev=0"),
        ("init.scale=0", "init.scale=0"),
        ("init.scale=inf", "init.scale=inf"),
        ("data.train_size=0", "data.train_size=0"),
        ("data.val_size=0", "data.val_size=0"),
        ("data=npz", "data.path must be given"),
        ("data.path=x.npz", "has no setting 'path'; it is one of data=csv"),
        ("seed=-1", "seed=-1"),
        ("name=../elsewhere", "name="),
        ("output_dir=", "output_dir= must name a folder"),
        ("+optimizer.nesterov=true", "nesterov"),
        ("+surplus=1", "surplus"),
        ("lr=0.1", "did you mean 'optimizer.lr'"),
        ("steps=10", "did you mean 'trainer.steps'"),
        ("metrics=[top5]", "did you mean 'top_5'"),
        ("metrics=[top_5,top_5]", "once each"),
        ("optimizer=null", "choose an option by its name"),
        ("model.builder=a:b", "builder"),
        ("norm=no_such_module:Thing", "no module 'no_such_module'"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name_in_one_line(override, named):
    with pytest.raises(ConfigError, match=named) as refused:
        compose(override)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("override", "value"), [("trainer.steps=1e3", 1000), ("trainer.steps=20.0", 20)]
)
def test_a_whole_number_may_be_written_as_a_float(override, value):
    found = compose(override).trainer.steps
    assert found == value
    assert isinstance(found, int)


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
            ("probes.images=5",),
            ("trainer.early_eval_every=7",),
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
        "schedule=cosine",
        "schedule.warmup=10",
        "data.flip=true",
        "metrics=[brier]",
        "probes=gradients",
    ],
)
def test_run_id_depends_on_what_can_change_the_numbers(override):
    assert run_id(compose(override)) != run_id(compose())


@pytest.mark.parametrize(
    ("override", "shared"),
    [
        ("init.scale=10", True),
        ("trainer.reshuffle=false", True),
        ("optimizer.lr=3", True),
        ("schedule=cosine", True),
        ("norm.population=exact", True),
        ("optimizer.weight_decay=0.1", False),
        ("norm.gradient=none", False),
        ("norm.bias=true", False),
        ("norm=layer", False),
        ("data.flip=true", False),
    ],
)
def test_runs_share_a_compiled_program_only_if_they_differ_in_values(override, shared):
    assert (shape(compose(override)) == shape(compose())) == shared


def test_one_option_under_two_names_is_one_run():
    named = compose("init=original")
    spelled = compose("init=truncated", "init.conv_stddev=0.1", "init.bias=0.1")
    assert run_id(named) == run_id(spelled)


def test_a_data_file_counts_by_content(npz, tmp_path):
    copied = tmp_path / "copy.npz"
    copied.write_bytes(npz.read_bytes())
    original = run_id(compose("data=npz", f"data.path={npz}"))
    assert run_id(compose("data=npz", f"data.path={copied}")) == original
    with copied.open("ab") as file:
        file.write(b"more")
    assert run_id(compose("data=npz", f"data.path={copied}")) != original


def test_scientific_config_is_read_back_as_the_same_run():
    config = compose("seed=3", "optimizer=adam", "norm=group")
    tree = scientific(config)
    for group, target in (("trainer", "Trainer"), ("probes", "Probes")):
        tree[group] = {"_target_": f"bnexp.config.schema.{target}", **tree[group]}
    again = build(tree | {"name": "x", "output_dir": "y"})
    assert run_id(again) == run_id(config)
    assert replace(again, name=config.name, output_dir=config.output_dir) == config


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_option_is_described_from_its_signature(group, name):
    told = describe(f"{group}={name}")
    own, common = options.parameters(
        group, yaml.safe_load((CONF / group / f"{name}.yaml").read_text())["_target_"]
    )
    for key in own | common:
        assert f"  {group}.{key}=" in told
    assert told.startswith(f"{group}={name}: ")
    assert "any value" not in told


def test_types_ranges_defaults_and_meaning_are_told():
    told = describe("norm=batch")
    assert "norm.momentum=0.5    a number from 0 to below 1" in told
    assert "norm.gradient=full    one of full, no_mean, none" in told
    assert "norm.ghost_size=null    a whole number from 1 to 1e+09 or null" in told
    assert describe("norm").splitlines()[0] == "norm"
    with pytest.raises(ConfigError, match="did you mean 'batch'"):
        describe("norm=bach")


# ---- sweeps over options with different keys ----------------------------------------------------


def test_a_key_that_an_option_lacks_is_dropped_in_a_sweep_over_options():
    configs = compose_sweep("model=mlp", "norm=none,batch", "norm.momentum=0.5,0.9", "seed=0,1")
    kinds = [(config.norm.kind, config.norm.get("momentum"), config.seed) for config in configs]
    assert sorted(kinds, key=str) == sorted(
        [("none", None, 0), ("none", None, 1)]
        + [("batch", m, seed) for m in (0.5, 0.9) for seed in (0, 1)],
        key=str,
    )


def test_a_single_value_of_a_swept_options_key_is_dropped_too():
    configs = compose_sweep("model=mlp", "norm=none,batch,group", "norm.groups=2")
    assert [config.norm.get("groups") for config in configs] == [None, None, 2]


def test_a_key_that_no_swept_option_has_is_refused():
    with pytest.raises(ConfigError, match=r"did you mean 'norm\.momentum'"):
        compose_sweep("model=mlp", "norm=none,batch", "norm.momentun=0.5,0.9")
    with pytest.raises(ConfigError, match="it is one of norm=batch"):
        compose_sweep("model=mlp", "norm=none,layer", "norm.momentum=0.5,0.9")


def test_a_presets_key_goes_with_the_option_that_has_it():
    configs = compose_sweep("experiment=quickstart", "norm=layer", "seed=0", "optimizer.lr=1")
    assert [config.norm.kind for config in configs] == ["layer"]
    both = compose_sweep("experiment=quickstart", "seed=0", "optimizer.lr=1")
    assert {config.norm.kind: config.norm.get("momentum") for config in both} == {
        "none": None,
        "batch": 0.9,
    }


def test_several_presets_are_swept_each_over_its_own_values():
    together = compose_sweep("experiment=quickstart,original")
    alone = [c for name in ("quickstart", "original") for c in compose_sweep(f"experiment={name}")]
    assert list(map(run_id, together)) == list(map(run_id, alone))
    assert {config.name for config in together} == {"quickstart", "original"}
    fewer = compose_sweep("experiment=quickstart,learning_rate", "norm=none,layer", "seed=3")
    assert {config.seed for config in fewer} == {3}
    assert {config.norm.kind for config in fewer} == {"none", "layer"}
    assert len({config.optimizer["lr"] for config in fewer if config.name == "learning_rate"}) > 2


def test_several_names_with_one_preset_are_sweeps_of_their_own():
    configs = compose_sweep("model=mlp", "name=first,second", "seed=0")
    assert [config.name for config in configs] == ["first", "second"]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("output_dir=~/x", f"{Path.home()}/x"),
        ('output_dir="~/x"', f"{Path.home()}/x"),
        ("output_dir=größe", "größe"),
        ("output_dir=a (1)", "a (1)"),
        ("output_dir=it's", "it's"),
        ("output_dir=a#b", "a#b"),
        ("output_dir='a,b'", "a,b"),
    ],
)
def test_a_path_may_be_written_as_in_a_shell(word, value):
    assert compose(word).output_dir == value
    assert compose_sweep(word, "seed=0,1")[0].output_dir == value


@pytest.mark.parametrize("override", ["seed=range(0,0)", "seed=range(0,3,0)", "model=glob(x*)"])
def test_a_sweep_over_nothing_is_refused(override):
    with pytest.raises(ConfigError):
        compose_sweep(override)
