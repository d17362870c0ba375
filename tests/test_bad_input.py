"""Every bad input that was tried, and its answer: one line that says what would be right.

The names of the tests are the table: what was given, as one types it. Each leaves with exit code 2,
prints one line and no traceback, starts nothing and writes nothing.
"""

import importlib
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SMALL

import bnexp
from bnexp.__main__ import COMMANDS
from bnexp.config import ConfigError, places
from bnexp.folders.errors import RunError

# what was typed after `bnexp` -> what the answer contains
COMMAND_LINES = {
    # --- groups take the name of an option, and nothing else
    "run optimizer=null": "choose an option by its name (adagrad, adam, fixed_norm, momentum, sgd)",
    "run data=null": "choose an option by its name (cifar10, csv",
    "run trainer=null": "choose an option by its name (default)",
    "run optimizer=3": "choose an option by its name",
    "run optimizer={}": "choose an option by its name",
    "run model=[mlp]": "choose an option by its name",
    "run 'model={kind: mlp}'": "choose an option by its name",
    "run optimizer.kind=sgd": "choose the option by its name: optimizer=sgd",
    "run norm._target_=x.y": "choose the option by its name",
    "run norm=bach": "did you mean 'batch'",
    "run optimizer=sdg": "did you mean 'sgd'",
    "run ~norm": "choose an option by its name",
    "run +norm=batch": "norm appears more than once",
    "run norm=none,batch": "add --multirun",
    "run norm=no_module:Thing": "no module 'no_module'",
    "run model=bnexp.networks.mlp:nothing": "has no 'nothing'",
    # --- keys
    "run =3": "which setting? write key=value",
    "run nonsense": "not a valid override; write key=value",
    "run ''": "not a valid override; write key=value",
    "run nrom=batch": "did you mean 'norm'",
    "run optimizer.lrr=1": "did you mean 'optimizer.lr'",
    "run lr=0.1": "did you mean 'optimizer.lr'",
    "run steps=10": "did you mean 'trainer.steps'",
    "run +surplus=1": "surplus",
    "run +optimizer.nesterov=true": "nesterov",
    "run norm=none norm.momentum=0.9": "has no setting 'momentum'; it is one of norm=batch",
    "run model=mlp norm=layer norm.momentum=0.9": "has no setting 'momentum'",
    "run optimizer.momentum=0.5": "has no setting 'momentum'; it is one of optimizer=adam",
    "run data.path=x.npz": "has no setting 'path'; it is one of data=csv",
    "run hydra.launcher.n_job=1": "unknown key 'hydra.launcher.n_job'",
    # --- values
    "run optimizer.lr=fast": "optimizer.lr=fast: give a number",
    "run optimizer.lr=-1": "optimizer.lr=-1 is out of range: a finite number above 0",
    "run optimizer.lr=0": "optimizer.lr=0 is out of range",
    "run optimizer.lr=nan": "optimizer.lr=nan is out of range",
    "run optimizer.lr=1e999": "optimizer.lr=inf is out of range",
    "run optimizer.lr=": "optimizer.lr=: give a number",
    "run optimizer.lr=true": "optimizer.lr=true: give a number",
    "run 'optimizer.lr=sort(0.1,0.2'": "cannot be read",
    "run 'optimizer.lr=${nothing}'": "optimizer.lr: Interpolation key 'nothing' not found",
    "run 'name=${name}'": "name: Recursive interpolation",
    "run 'seed=${oc.env:NOTHING_OF_THIS_NAME}'": "NOTHING_OF_THIS_NAME",
    "run optimizer.initial_accumulator=0": "initial_accumulator=0 is out of range",
    "run optimizer=adam optimizer.epsilon=0": "optimizer.epsilon=0 is out of range",
    "run norm.momentum=2": "norm.momentum=2 is out of range",
    "run norm.epsilon=1e-50": "norm.epsilon=1e-50",
    "run norm.position=middle": "is not one of pre, post",
    "run model.hidden=[]": "give at least one value",
    "run model.hidden=[10,0]": "0 in it is out of range",
    "run model.hidden=10": "give a list",
    "run model.dropout=1": "model.dropout=1 is out of range",
    "run init.stddev=-1": "init.stddev=-1 is out of range",
    "run seed=-1": "seed=-1 is out of range",
    "run seed=null": "seed=null: give a whole number",
    "run seed=1.5": "seed=1.5: give a whole number",
    "run seed=[1]": "seed=[1]: give a whole number",
    "run rerun=maybe": "give true or false",
    "run config_dirs=3": "config_dirs=3: give a list",
    "run config_dirs=[nowhere]": "nowhere: no such folder",
    "run metrics=top_5": "give a list",
    "run metrics=[top5]": "did you mean 'top_5'",
    "run metrics=[loss]": "recorded anyway",
    "run metrics=[top_5,top_5]": "once each",
    "run metrics=null": "give a list",
    "run probes.record=[weights]": "probes.record=weights is not one of activations, ",
    "run probes.record=[jacobian]": "probes.record=jacobian needs model=mlp",
    "run trainer.precision=float16": "is not one of float32, bfloat16",
    # --- numbers that nobody means
    "run trainer.steps=0": "trainer.steps=0 is out of range",
    "run trainer.steps=99999999999999999999999": "is out of range: a whole number from 1",
    "run trainer.threads=0": "trainer.threads=0 is out of range",
    "run trainer.threads=100000": "trainer.threads=100000 is out of range",
    "run trainer.batch_size=60000": "is larger than the 55000 training images",
    "run trainer.batch_size=100000000 dry_run=true": "is larger than the 55000 training images",
    "run trainer.eval_every=0": "trainer.eval_every=0 is out of range",
    "run trainer.checkpoint_seconds=inf": "trainer.checkpoint_seconds=inf is out of range",
    "run probes.images=0": "probes.images=0 is out of range",
    "run data.train_size=70000": "data.train_size=70000 is larger",
    "run --multirun hydra.launcher.n_jobs=abc": "n_jobs=abc is not one of -1; or: give a whole",
    "run --multirun hydra.launcher.n_jobs=0": "a whole number from 1 to 1024",
    "run --multirun hydra.launcher.n_jobs=1000000": "a whole number from 1 to 1024",
    # --- folders and files
    "run output_dir=": "output_dir= must name a folder",
    "run name=": "must be a folder below output_dir",
    "run name=../elsewhere": "must be a folder below output_dir",
    "run name=/elsewhere": "must be a folder below output_dir",
    "run name=[a]": "name=[a]: give a text",
    "run output_dir=~nobody-of-this-name/x": "there is no such user",
    "run output_dir=a,b": "add --multirun",
    "run output_dir=/proc/none": "output_dir: /proc/none/default/",
    "run --multirun output_dir=/proc/none": "output_dir: /proc/none/default cannot be written",
    "run --config-dir nowhere": "nowhere: no such folder",
    "run --config-dir": "expected one argument",
    "run --config-dir ''": "an empty text is no path",
    "run data=npz": "data.path must be given",
    "run data=npz data.path=": "data.path=",
    "run data=npz data.path=nowhere.npz": "nowhere.npz: no such file",
    "run data=npz 'data.path=größe (1).npz'": "größe (1).npz: no such file",
    "run data=npz data.path=~/no/such/file.npz": f"data.path={Path.home()}/no/such/file.npz",
    # --- sweeps
    "run --multirun 'seed=range(0,0)'": "a sweep over no value has no run",
    "run --multirun 'seed=range(0,3,0)'": "must not be zero",
    "run --multirun 'seed=glob(*)'": "a sweep over no value has no run",
    "run --multirun 'model=glob(x*)'": "a sweep over no value has no run",
    "run --multirun 'model=glob(*)'": "model.builder must be given",
    "run --multirun 'optimizer.lr=choice(null,1)'": "give null without a function: null,1",
    "run --multirun 'optimizer.lr=choice()'": "empty choice",
    "run --multirun 'optimizer.lr=interval(0,1)'": "INTERVAL_SWEEP",
    "run --multirun optimizer.lr=0.1,-1": "optimizer.lr=-1 is out of range",
    "run --multirun norm=none,bach": "did you mean 'batch'",
    "run --multirun model=mlp norm=none,layer norm.momentum=0.5": "has no setting 'momentum'",
    "run --multirun model=mlp norm=none,batch norm.momentun=0.5": "did you mean 'norm.momentum'",
    "run --multirun data.train_size=100,70000": "data.train_size=70000 is larger",
    "run --multirun hydra.sweeper.params=3": "params=3: give keys and values",
    "run --multirun hydra/launcher=ray": "hydra/launcher=ray needs a package: pip install",
    "run --multirun hydra/launcher=submitit_slurm": "needs a package: pip install",
    "run --multirun hydra/sweeper=search": "hydra/sweeper=search needs a package: pip install",
    "run --multirun hydra/launcher=nothing": "unknown option hydra/launcher=nothing",
    "run --multirun hydra/sweeper=nothing": "unknown option hydra/sweeper=nothing",
    # --- presets
    "run experiment=quick": "did you mean 'quickstart'",
    "run experiment=null": "choose an option by its name (batch_size, ",
    "run experiment=[quickstart,original]": "choose an option by its name",
    "run experiment=quickstart,original": "add --multirun",
    "run +experiment=quickstart": "Multiple values for experiment",
    "run --multirun experiment=quickstart,nothing": "unknown option experiment=nothing",
    "trial trial.choose_by=accuracy,speed": "trial.choose_by=speed is not one of",
    "trial trial.budget=30,1": "trial.budget",
    "trial trial.tune_seeds=0": "trial.tune_seeds=0 is out of range",
    "trial trial.bugdet=3min": "did you mean 'trial.budget'",
    "run --multirun experiment=quickstart,fig1": "experiment=fig1 is a trial, which goes by itself",
    "run experiment=quickstart norm=nothing": "unknown option norm=nothing",
    # --- flags
    "run --nonsense": "unrecognized arguments: --nonsense",
    "run --cfg": "expected one argument",
    "run --cfg nothing": "invalid choice: 'nothing'",
    "run --info nothing": "invalid choice: 'nothing'",
    "run --resolve": "--resolve flag can only be used",
    "run --config-name nothing": "Cannot find primary config 'nothing'",
    "run --config-path /nowhere": "Primary config directory not found",
    "run --shell-completion": "Expecting one subcommand",
    # --- other commands
    "nothing": "no command 'nothing' (there are: run, ",
    "plott": "did you mean 'plot'",
    "plot nowhere": "nowhere: no such folder",
    "plot ''": "an empty text is no path",
    "plot .": "no runs in .",
    "plot --out ''": "an empty text is no path",
    "plot --out": "expected one argument",
    "plot --where norm=[": "outputs: no such folder",
    "plot --where norm": "needs KEY=VALUE",
    "plot --where =3": "needs KEY=VALUE",
    "plot --x nothing": "invalid choice: 'nothing'",
    "plot --format gif": "invalid choice: 'gif'",
    "plot --metric": "expected at least one argument",
    "plot --config-dir nowhere": "nowhere: no such folder",
    "plot --nonsense": "unrecognized arguments: --nonsense",
    "list nowhere": "nowhere: no such folder",
    "list .": "no runs in .",
    "list ''": "an empty text is no path",
    "list --status fnished": "invalid choice: 'fnished'",
    "list --format yaml": "invalid choice: 'yaml'",
    "list --where norm": "needs KEY=VALUE",
    "list --sort": "expected one argument",
    "info": "arguments are required: RUN",
    "info 0a1b": "outputs: no such folder",
    "info 0a1b --in nowhere": "nowhere: no such folder",
    "info .": "no run's folder (bnexp list . shows",
    "info runs.parquet": "is a pack of runs; name a run in it",
    "info nowhere/runs.parquet/a/b": "nowhere/runs.parquet: cannot be read",
    "diff 0a1b": "arguments are required: RUN",
    "diff 0a1b 2c3d 4e5f": "unrecognized arguments: 4e5f",
    "diff 0a1b 2c3d --in .": "0a1b: no run of this id in .",
    "clean nowhere": "nowhere: no such folder",
    "clean --finished": "say which, with --where KEY=VALUE",
    "clean --where norm=none": "give one of --failed, --unfinished, --diverged, --finished too",
    "clean --older-than 7": "'7': give a number with m, h, d or w, as in 7d",
    "clean --failed --where norm": "needs KEY=VALUE",
    "evaluate": "arguments are required: FOLDER",
    "evaluate ''": "an empty text is no path",
    "evaluate nowhere": "nowhere/config.yaml: cannot be read",
    "evaluate --config-dir nowhere x": "nowhere: no such folder",
    "options nothing": "no group 'nothing'",
    "options nrom": "did you mean 'norm'",
    "options norm=bach": "did you mean 'batch'",
    "options norm=": "no option norm=",
    "options ''": "no group ''",
    "options --config-dir nowhere": "nowhere: no such folder",
    "check": "arguments are required: overrides",
    "check nonsense": "not a valid override; write key=value",
    "check norm=bach": "did you mean 'batch'",
    "check norm=no_module:Thing": "no module 'no_module'",
    "check optimizer.lr=-1": "optimizer.lr=-1 is out of range",
    "check seed=0,1": "seed=0,1 has several values",
    "check experiment=quickstart": "is a sweep of several runs",
    "check --config-dir nowhere norm=batch": "nowhere: no such folder",
    "pack": "arguments are required: --out",
    "pack nowhere --out x": "nowhere: no such folder",
    "pack . --out x": "no runs in .",
    "pack . --out ''": "an empty text is no path",
    "pack '' --out x": "an empty text is no path",
    "pack . --unpack x --out y": "give folders to pack, or --unpack FILE",
    "pack --unpack nowhere --out x": "nowhere: cannot be read",
    "export ''": "an empty text is no path",
    "export --nonsense": "unrecognized arguments: --nonsense",
    "completion": "arguments are required: shell",
    "completion zsh": "invalid choice: 'zsh'",
    "reproduce --only quikstart": "did you mean 'quickstart'",
    "reproduce --only quickstart -- nonsense": "not a valid override; write key=value",
    "reproduce -- output_dir=x": "is set by this command",
    "reproduce --check quickstart": "outputs/reference/runs.parquet: cannot be read",
    "reproduce --unpack ''": "an empty text is no path",
    "reproduce --nonsense": "unrecognized arguments: --nonsense",
    # --- scripts
    "scripts/benchmark.py --repeats 0": "0 is out of range: a whole number from 1 to 1000",
    "scripts/benchmark.py --repeats -1": "-1 is out of range",
    "scripts/benchmark.py --repeats few": "few: give a whole number",
    "scripts/benchmark.py --out ''": "an empty text is no path",
    "scripts/faults.py --runs 0": "0 is out of range: a whole number from 2",
    "scripts/faults.py --runs -2": "-2 is out of range",
    "scripts/faults.py --runs 3": "3 is not an even number",
    "scripts/faults.py --steps 0": "0 is out of range: a whole number from 1",
    "scripts/faults.py --kills -1": "-1 is out of range",
    "scripts/synthetic_runs.py": "arguments are required: folder",
    "scripts/synthetic_runs.py /proc/none": "/proc/none cannot be written",
    "scripts/synthetic_runs.py x --runs -1": "-1 is out of range",
    "scripts/synthetic_runs.py x --rows 0": "0 is out of range",
}


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and this process as a fresh one: no folders of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one not in ("", ".")])
    monkeypatch.setattr(places, "_own_folders", [])
    return tmp_path


@pytest.fixture
def answer(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """What a command says to bad input."""

    def answered(line: str) -> str:
        before = {path: path.stat().st_mtime_ns for path in empty.rglob("*")}
        name, *words = shlex.split(line)
        monkeypatch.setattr(sys, "argv", [name, *words])
        with pytest.raises(SystemExit) as left:
            _main_of(name, words, monkeypatch)()
        printed = capsys.readouterr()
        assert left.value.code == 2, printed.err
        assert printed.out == ""
        assert len(printed.err.splitlines()) == 1, printed.err
        assert {path: path.stat().st_mtime_ns for path in empty.rglob("*")} == before
        return printed.err

    return answered


def _main_of(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    if name.startswith("scripts/"):
        monkeypatch.syspath_prepend(ROOT / "scripts")
        return importlib.import_module(Path(name).stem).main
    if name in COMMANDS:
        return lambda: importlib.import_module(COMMANDS[name][0]).main(words)
    monkeypatch.setattr(sys, "argv", ["bnexp", name, *words])
    return importlib.import_module("bnexp.__main__").main


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_on_the_command_line(answer, line):
    told = answer(line)
    assert told.startswith("bnexp: ")
    assert COMMAND_LINES[line] in told


# --- files of the user's: what they hold, what was typed, what the answer contains

PRESET = "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {PARAMS}}}\n"
YAML_FILES = {
    "a tab in a preset": ("experiment/own.yaml", "seed:\t1\n\tname: x\n", "no YAML"),
    "a key twice in a preset": ("experiment/own.yaml", "seed: 1\nseed: 2\n", "duplicate key seed"),
    "a preset that is a list": ("experiment/own.yaml", "- a\n", "holds no `key: value` lines"),
    "a preset that is a text": ("experiment/own.yaml", "words\n", "# @package _global_"),
    "a preset in Latin-1": ("experiment/own.yaml", b"name: gr\xf6\xdfe\n", "own.yaml"),
    "a preset with zeros": ("experiment/own.yaml", b"\0\0\0", "own.yaml"),
    "a preset of another package": ("experiment/own.yaml", "seed: 1\n", "# @package _global_"),
    "a preset with an unknown key": (
        "experiment/own.yaml",
        "# @package _global_\noptimizer: {lrr: 1}\n",
        "did you mean 'lr'",
    ),
    "a preset that sweeps an unknown key": (
        "experiment/own.yaml",
        PRESET.replace("PARAMS", "optimizer.lrr: '1,2'"),
        "did you mean 'optimizer.lr'",
    ),
    "a preset that sweeps over a list": (
        "experiment/own.yaml",
        PRESET.replace("PARAMS", "seed: [0, 1]"),
        "values of a sweep have commas alone, as in 1,2",
    ),
    "a preset whose params are a text": (
        "experiment/own.yaml",
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: words}}\n",
        "experiment=own: params holds no `key: value` lines",
    ),
    "an option without a target": ("norm/own.yaml", "momentum: 1\n", "lacks _target_"),
    "an option with a target of a number": ("norm/own.yaml", "_target_: 3\n", "lacks _target_"),
    "an option that is a list": ("norm/own.yaml", "- a\n", "holds no `key: value` lines"),
    "an option with a key too many": (
        "norm/own.yaml",
        "_target_: bnexp.norms.batch.batch\nmomentun: 1\n",
        "did you mean 'momentum'",
    ),
    "an option whose value is out of range": (
        "norm/own.yaml",
        "_target_: bnexp.norms.batch.batch\nmomentum: 2\n",
        "norm.momentum=2 is out of range",
    ),
    "an option whose module is not there": (
        "norm/own.yaml",
        "_target_: no_module.Thing\n",
        "no module 'no_module'",
    ),
    "an option that is there already": (
        "norm/batch.yaml",
        "_target_: bnexp.norms.group.group\n",
        "there is a norm=batch already",
    ),
}


@pytest.mark.parametrize("case", YAML_FILES)
def test_yaml_files(answer, empty, case):
    name, content, told = YAML_FILES[case]
    file = empty / "mine" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    word = f"{file.parent.name}={file.stem}"
    assert told in answer(f"run --config-dir mine {word}")


CODE = {
    "a module with a syntax error": ("def thing(:", "norm=own:thing", "own.py: cannot be read"),
    "a module of bytes": (b"\xff\xfe\0", "norm=own:thing", "own.py: cannot be read"),
    "a module without the object": ("x = 1", "norm=own:thing", "has no 'thing'"),
    "an object that is no function": ("thing = 3", "norm=own:thing", "not a function or class"),
    "a range that is none": (
        "from typing import Annotated\nfrom bnexp.config.types import In\n"
        "def thing(a: Annotated[float, In('0..1')] = 0.5): ...",
        "norm=own:thing",
        "is no interval such as",
    ),
    "a default out of its range": (
        "from typing import Annotated\nfrom bnexp.config.types import In\n"
        "def thing(a: Annotated[float, In('(0, 1)')] = 5): ...",
        "norm=own:thing",
        "norm.a=5 is out of range",
    ),
    "a setting without default": ("def thing(a): ...", "norm=own:thing", "norm.a must be given"),
    "a network without unit": (
        "def thing(input_shape, classes): ...",
        "model=own:thing",
        "takes no `unit`",
    ),
    "a metric of a name that is taken": (
        "def accuracy(labels, logits): ...",
        "metrics=[own:accuracy]",
        "accuracy is recorded anyway",
    ),
    "a metric that is not there": ("x = 1", "metrics=[own:margin]", "has no 'margin'"),
    "a probe that is not there": ("x = 1", "probes.record=[own:thing]", "has no 'thing'"),
}


@pytest.mark.parametrize("case", CODE)
def test_code_of_the_users(answer, empty, case):
    content, words, told = CODE[case]
    (empty / "own.py").write_bytes(content if isinstance(content, bytes) else content.encode())
    sys.modules.pop("own", None)
    assert told in answer(f"run {words}")


# --- from Python

CALLS = {
    "run('norm=bach')": "did you mean 'batch'",
    "run('optimizer.lr=-1')": "out of range",
    "run('seed=0,1')": "give it to bnexp.sweep",
    "run('experiment=quickstart')": "give it to bnexp.sweep",
    "run('nonsense')": "write key=value",
    "run('=3')": "write key=value",
    "run('optimizer={}')": "choose an option by its name",
    "run('dry_run=true')": "dry_run=true makes no run that could be returned",
    "run(config_dir='nowhere')": "nowhere: no such folder",
    "sweep('norm=none,bach')": "did you mean 'batch'",
    "sweep('seed=range(0,0)')": "a sweep over no value has no run",
    "sweep('seed=0,1', 'dry_run=true')": "dry_run=true makes no run that could be returned",
    "sweep('hydra.launcher.n_jobs=0')": "a whole number from 1 to 1024",
    "sweep('hydra/launcher=ray')": "needs a package: pip install",
    "sweep('--nonsense')": "--nonsense",
    "load_runs('nowhere')": "nowhere: no such folder",
}


@pytest.mark.parametrize("call", CALLS)
def test_from_python(empty, call):
    with pytest.raises((ConfigError, RunError)) as told:
        eval(f"bnexp.{call}", {"bnexp": bnexp})
    assert CALLS[call] in str(told.value)
    assert "\n" not in str(told.value)
    assert list(empty.iterdir()) == []


# --- kept networks that are not what they were


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, npz: Path) -> Path:
    """A run's folder with its network."""
    folder = tmp_path_factory.mktemp("kept")
    words = [*SMALL, "data=npz", f"data.path={npz}", "data.val_size=64", "data.split_seed=null"]
    return bnexp.run(*words, f"output_dir={folder}", "trainer.save_model=true").folder


def _cut(folder: Path) -> None:
    path = folder / "model.keras"
    path.write_bytes(path.read_bytes()[:-500])


def _flip(folder: Path) -> None:
    path = folder / "model.keras"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        weights = archive.getinfo("model.weights.h5")
    content[weights.header_offset + 2000] ^= 255
    path.write_bytes(content)


def _replaced(*, shape: tuple[int, ...] = (8, 8, 1), outputs: int = 1) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        import keras

        images = keras.Input(shape)
        logits = [keras.layers.Dense(3)(keras.layers.Flatten()(images)) for _ in range(outputs)]
        model = keras.Model(images, logits if outputs > 1 else logits[0])
        model.save(folder / "model.keras")

    return replace


def _edited(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "config.yaml"
        text, count = re.subn(old, new, path.read_text(), count=1)
        assert count
        path.write_text(text)

    return edit


KEPT = {
    "a network that is cut": (_cut, "model.keras: cannot be read"),
    "a network with a flipped byte": (_flip, "model.keras: cannot be read"),
    "a network that is a text": (
        lambda folder: (folder / "model.keras").write_text("words"),
        "model.keras: cannot be read",
    ),
    "no network": (lambda folder: (folder / "model.keras").unlink(), "trainer.save_model=true"),
    "no config": (lambda folder: (folder / "config.yaml").unlink(), "config.yaml: cannot be read"),
    "two outputs": (_replaced(outputs=2), "does not fit the run's data"),
    "images of another size": (_replaced(shape=(4, 4, 1)), "does not fit the run's data"),
    "a config that is no YAML": (_edited("seed:", "seed: ["), "config.yaml: cannot be read"),
    "a seed that is a text": (_edited("seed: 0", "seed: zero"), "seed=zero: give a whole number"),
    "a seed of null": (_edited("seed: 0", "seed: null"), "seed=null: give a whole number"),
    "steps that are a list": (_edited("steps: 40", "steps: [40]"), "trainer.steps=[40]: give"),
    "an infinite rate": (_edited(r"lr: \S+", "lr: .inf"), "optimizer.lr=inf is out of range"),
    "another activation": (_edited(r"activation: \S+", "activation: tanh"), "is not what it was"),
    "a target that is not there": (_edited("bnexp.norms.batch.", "nothing."), "no module"),
}


@pytest.mark.parametrize("case", KEPT)
def test_kept_networks(answer, empty, kept, case):
    damage, told = KEPT[case]
    folder = empty / kept.name
    shutil.copytree(kept, folder)
    damage(folder)
    assert told in answer(f"evaluate {folder.name}")


# --- code of the user's that fails when it runs: `bnexp check` says what, and leaves with 1

FAILING = {
    "a norm that raises": (
        "def own(*, name, dtype): raise KeyError('no such thing')",
        "no such thing",
    ),
    "a norm that is no layer": ("def own(*, name, dtype): return 3", "FAILS network"),
    "a norm that changes the shape": (
        "import keras\ndef own(*, name, dtype): return keras.layers.Dense(7)",
        "FAILS",
    ),
    "a norm that makes NaN": (
        "import keras\n"
        "def own(*, name, dtype): return keras.layers.Rescaling(float('nan'), name=name)",
        "FAILS training",
    ),
    "a module that raises": ("def own(*, name, dtype): ...\nraise OSError('no disk')", "no disk"),
}


@pytest.mark.parametrize("case", FAILING)
def test_checked_code_of_the_users(empty, case, monkeypatch, capsys):
    content, told = FAILING[case]
    (empty / "own_norm.py").write_text(content)
    sys.modules.pop("own_norm", None)
    monkeypatch.setattr(sys, "argv", ["bnexp check"])
    with pytest.raises(SystemExit) as left:
        importlib.import_module("bnexp.check").main(["norm=own_norm:own"])
    printed = capsys.readouterr()
    assert left.value.code == 1
    assert told in printed.out
    assert "Traceback" not in printed.out + printed.err
    assert [path.name for path in empty.iterdir() if path.name != "__pycache__"] == ["own_norm.py"]
