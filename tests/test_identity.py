"""What adds a setting, a column or a version changes no id and loses no run."""

from dataclasses import replace

import pandas as pd
import pytest
import yaml
from conftest import SMALL

from bnexp.analysis.loading import load_runs
from bnexp.config import options, run_id, source
from bnexp.config.options import Option
from bnexp.config.signature import Parameter
from bnexp.folders import runs
from bnexp.sweeps.execute import execute


def with_setting(parameters, **added):
    """`options.parameters`, as if every option had further settings."""

    def more(group, target):
        own, common = parameters(group, target)
        if group in ("trainer", "probes"):
            return own, common
        return own | {name: Parameter(default=value) for name, value in added.items()}, common

    return more


def test_a_new_setting_with_a_default_changes_no_id(compose, monkeypatch):
    before = compose(*SMALL)
    identity = run_id(before)
    parameters = options.parameters
    monkeypatch.setattr(options, "parameters", with_setting(parameters, brand_new=0.5))
    after = compose(*SMALL)
    assert after.norm["brand_new"] == 0.5
    assert run_id(after) == identity
    changed = replace(after, norm=_with(after.norm, brand_new=0.7))
    assert run_id(changed) != identity


def _with(option: Option, **settings) -> Option:
    return replace(option, settings={**option.settings, **settings})


def test_a_raised_version_of_an_option_changes_the_ids_of_its_runs_alone(compose, monkeypatch):
    from bnexp.config import identity
    from bnexp.config.signature import read

    batch, none = compose(*SMALL), compose(*SMALL, "norm=none")
    before = run_id(batch), run_id(none)

    def later(target):
        found = read(target)
        return replace(found, attributes={"version": 2}) if "norms.batch" in target else found

    monkeypatch.setattr(identity, "read", later)
    assert run_id(batch) != before[0]
    assert run_id(none) == before[1]


def test_runs_of_older_and_newer_versions_are_compared_with_one_another(compose, tmp_path):
    """A config lacks a setting that came later, another has a column that came later."""
    for overrides in (("norm=none",), (), ("norm=none", "seed=1", "metrics=[brier]"), ("seed=1",)):
        execute(compose(*SMALL, "trainer.steps=20", *overrides), signals=False)
    folder = tmp_path / "default"
    for path in folder.glob("*/config.yaml"):
        tree = yaml.safe_load(path.read_text())
        if tree["seed"] == 0:  # as an older version, which had neither, wrote it
            del tree["model"]["skip"]
            del tree["schedule"]["warmup"]
            path.write_text(yaml.safe_dump(tree))
    found = load_runs(folder)
    assert found.problems == []
    assert list(found.runs["arm"].value_counts()) == [2, 2]
    assert found.runs["condition"].nunique() == 1
    assert found.history["val_brier"].notna().sum() == 1
    assert found.history["val_accuracy"].notna().all()


def test_columns_are_known_by_name_wherever_they_stand(compose, tmp_path):
    config = compose(*SMALL, "trainer.steps=20")
    execute(config, signals=False)
    folder = runs.run_folder(config)
    path = folder / "history.csv"
    table = pd.read_csv(path)
    before = load_runs(folder.parent).history
    table.assign(later=1.5)[["later", *reversed(table.columns)]].to_csv(path, index=False)
    after = load_runs(folder.parent).history
    assert after["later"].tolist() == [1.5] * len(after)
    pd.testing.assert_frame_equal(before, after[before.columns])
    assert runs.ended_result(folder) is not None
    assert runs.latest(folder)[0] == 20


def test_what_a_result_has_beside_the_known_fields_is_kept(tmp_path):
    runs.write_result(tmp_path, {"status": "finished", "run_id": "a", "my_number": 3})
    assert runs.read_result(tmp_path)["my_number"] == 3


@pytest.mark.parametrize("group", ["norm", "model", "data"])
def test_user_code_counts_by_its_source_and_that_of_what_it_imports(group, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helping_module.py").write_text("VALUE = 1\n")
    (tmp_path / "own_module.py").write_text("import helping_module\ndef thing(a=1):\n    pass\n")
    first = source.source_hash("own_module:thing")
    assert len(first) == 64
    (tmp_path / "helping_module.py").write_text("VALUE = 2\n")
    assert source.source_hash("own_module:thing") != first
    assert source.source_hash("bnexp.norms.batch:batch", "keras.layers:Dense") == ""


def test_a_runs_folder_says_which_state_of_the_program_made_it(compose):
    config = compose(*SMALL, "trainer.steps=20")
    result = execute(config, signals=False)
    commit = runs.git_commit()
    assert runs.made_by(result) == (f"commit {commit[:10]}" if commit else "version 0.2.0.dev0")
    assert runs.made_by({"versions": {"bnexp": "0.1.0"}}) == "version 0.1.0"
