"""Settings of options, read from source: without importing it, whatever way it is written."""

import sys
import textwrap
from pathlib import Path

import pytest

from bnexp.config import ConfigError, options, signature, source
from bnexp.config.compose import compose, compose_sweep
from bnexp.config.signature import COMPUTED, REQUIRED, read


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that cannot be imported, and says how it is named."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str, name: str = "own_thing") -> str:
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text) + "\nraise SystemExit('imported')\n")
        return name.replace("/", ".")

    return write


def defaults(target: str) -> dict:
    return {name: parameter.default for name, parameter in read(target).settings.items()}


def test_functions_classes_and_dataclasses_say_their_settings_without_being_imported(module):
    name = module(
        """
        from dataclasses import dataclass
        from typing import ClassVar
        def function(a, b: int = 2, *more, c=3, **rest): ...
        class Plain:
            def __init__(self, a=1): ...
        class Heir(Plain): ...
        @dataclass
        class Base:
            a: int = 1
        @dataclass
        class Data(Base):
            b: float = 2.0
            slots: ClassVar[int] = 1
        """
    )
    assert defaults(f"{name}:function") == {"a": REQUIRED, "b": 2}
    assert read(f"{name}:function").provided == {"c"}
    assert defaults(f"{name}:Plain") == defaults(f"{name}:Heir") == {"a": 1}
    assert defaults(f"{name}:Data") == {"a": 1, "b": 2.0}
    assert f"{name}" not in sys.modules


@pytest.mark.parametrize(
    ("code", "version"),
    [
        ("def thing(): ...\nthing.version = 2", 2),
        ("class thing:\n    version = 3", 3),
        ("from typing import ClassVar\nclass thing:\n    version: ClassVar[int] = 4", 4),
        ("class Base:\n    version = 5\nclass thing(Base): ...", 5),
        ("class thing:\n    def __init__(self): ...", 1),
    ],
)
def test_a_version_is_read_however_it_is_written(module, code, version):
    path = module("")
    Path(sys.path[0], f"{path}.py").write_text(code)
    assert read(f"{path}:thing").version == version


def test_a_default_that_is_computed_is_left_to_the_code(module, tmp_path):
    name = module("import math\nUNITS = 64\ndef thing(a=2**7, b=UNITS, c=math.pi, d=(1, 2)): ...")
    assert defaults(f"{name}:thing") == {"a": 128, "b": 64, "c": COMPUTED, "d": [1, 2]}
    filled = options.filled("norm", "thing", {"_target_": f"{name}:thing"})
    assert "c" not in filled
    assert options.option("norm", filled).settings == {"a": 128, "b": 64, "d": [1, 2]}


def test_types_may_be_aliases_strings_or_unknown(module):
    name = module(
        """
        import numpy as np
        from typing import Annotated
        from bnexp.config.types import In, Positive
        Rate = Annotated[float, In("(0, 1)")]
        Maybe = Rate | None
        def thing(a: Rate = 0.5, b: "Positive" = 1, c: np.ndarray = None, d: Maybe = None): ...
        """
    )
    for key, bad in (("a", 1.0), ("b", -1), ("d", 2)):
        with pytest.raises(ConfigError, match=f"norm.{key}={bad}"):
            options.option("norm", {"_target_": f"{name}:thing", key: bad})
    options.option("norm", {"_target_": f"{name}:thing", "c": "anything", "d": None})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing_here:thing", "no module 'nothing_here'"),
        ("own_thing:nothing", "imported|has no 'nothing'"),
        ("own_thing", "name an object of a module"),
        ("broken_thing:thing", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(module, tmp_path, target, message):
    module("def thing(): ...")
    (tmp_path / "own_thing.py").write_text("def thing(): ...")
    (tmp_path / "broken_thing.py").write_text("def thing(:")
    with pytest.raises(ConfigError, match=message) as told:
        read(target)
    assert "\n" not in str(told.value)


def test_the_code_behind_dotted_imports_counts_too(module, tmp_path):
    module("from own_package.blocks import X\ndef thing(): ...", "own_package/nets")
    module("X = 1", "own_package/blocks")
    (tmp_path / "own_package" / "__init__.py").write_text("")
    before = source.source_hash("own_package.nets:thing")
    (tmp_path / "own_package" / "blocks.py").write_text("X = 2")
    assert source.source_hash("own_package.nets:thing") != before


@pytest.mark.parametrize("value", ["9" * 400, "-" + "9" * 400])
@pytest.mark.parametrize("key", ["seed", "trainer.steps", "optimizer.lr"])
def test_a_number_of_400_digits_is_refused_in_a_line(key, value):
    with pytest.raises(ConfigError, match="out of range") as told:
        compose(f"{key}={value}")
    assert len(str(told.value)) < 300


def test_a_typo_in_a_presets_swept_key_is_refused(tmp_path):
    (tmp_path / "experiment").mkdir()
    preset = tmp_path / "experiment" / "misspelt.yaml"
    text = "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper: {params: {KEY: '1,2'}}\n"
    for key, hint in (("optimizer.lrr", "optimizer.lr"), ("trainer.stepz", "trainer.steps")):
        preset.write_text(text.replace("KEY", key))
        with pytest.raises(ConfigError, match=f"did you mean '{hint}'"):
            compose_sweep("experiment=misspelt", config_dir=tmp_path)


def test_a_setting_of_an_option_that_the_preset_sweeps_may_be_given(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "groups.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper: {params: {norm: 'none,group'}}\n"
    )
    words = ("experiment=groups", "model=mlp", "norm.groups=2")
    configs = compose_sweep(*words, config_dir=tmp_path)
    assert [config.norm.get("groups") for config in configs] == [None, 2]


def test_metrics_do_not_take_a_name_that_is_taken(module, tmp_path):
    (tmp_path / "own_metric.py").write_text("def loss(labels, logits): ...\ndef top_5(l, m): ...")
    module("")
    for words, message in (
        ("[own_metric:loss]", "loss is recorded anyway"),
        ("[top_5,own_metric:top_5]", "once each"),
    ):
        with pytest.raises(ConfigError, match=message):
            compose(f"metrics={words}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("norm/batch.yaml", "_target_: bnexp.norms.group.group", "there is a norm=batch already"),
        ("norm/tabbed.yaml", "_target_:\tx\n\tb: 1", "norm.tabbed: no YAML"),
        ("norm/listed.yaml", "- a", "holds no `key: value` lines"),
        ("norm/bare.yaml", "momentum: 1", "lacks _target_"),
        ("norm/odd.yaml", "_target_: bnexp.norms.batch.batch\nmomentun: 1", "did you mean"),
        ("probes/gradients.py", "def gradients(scene): ...", "there twice"),
    ],
)
def test_faults_of_a_users_files_are_told_in_a_line(tmp_path, monkeypatch, name, content, message):
    monkeypatch.setattr("bnexp.config.places._own_folders", [])
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text(content)
    folder, stem = Path(name).parent.name, Path(name).stem
    word = f"norm={stem}" if folder == "norm" else f"probes.record=[{stem}]"
    with pytest.raises(ConfigError, match=message) as told:
        compose("model=mlp", word, config_dir=tmp_path)
    assert "\n" not in str(told.value)


def test_a_network_on_which_norm_would_have_no_effect_is_refused(module):
    name = module("def net(input_shape, classes): ...")
    with pytest.raises(ConfigError, match=r"takes no `unit`.*model=keras model\.builder="):
        compose(f"model={name}:net")


def test_a_module_of_this_package_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    found = signature._found
    monkeypatch.setattr(signature, "_found", lambda name: looked.append(name) or found(name))
    signature._shipped.cache_clear()
    for _ in range(3):
        signature.read("bnexp.norms.batch.batch")
    assert looked == ["bnexp.norms.batch"]
