"""The installed package: a wheel in an environment of its own, in an empty folder."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, environment


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the sdist."""
    out = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    made = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert made.returncode == 0, made.stdout + made.stderr
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The `bnexp` command of a fresh environment that has this one's dependencies."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    [wheel] = built.glob("*.whl")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    # a path in a .pth is not searched for further .pth files, such as that of our checkout
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin" / "bnexp"


def call(command: Path, folder: Path, *arguments: str) -> str:
    finished = subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=environment(HOME=str(folder / "home"), MPLBACKEND="agg"),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_the_wheel_holds_all_that_is_read_at_run_time(built):
    [wheel] = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"bnexp/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    tracked = subprocess.run(
        ["git", "ls-files", "bnexp", "hydra_plugins"], cwd=ROOT, capture_output=True, text=True
    )
    wanted |= set(tracked.stdout.split())
    assert wanted - names == set()
    assert {"bnexp/py.typed", "bnexp/data/mnist.npz"} <= names


def test_the_sdist_builds_without_a_checkout(built):
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {"/".join(Path(name).parts[1:]) for name in packed.getnames()}
    assert {"setup.py", "pyproject.toml", "LICENSE", "README.md"} <= names
    assert {"conf/config.yaml", "conf/norm/batch.yaml", "bnexp/data/mnist.npz"} <= names


def test_the_command_runs_plots_and_sweeps_in_an_empty_folder(installed, tmp_path):
    assert call(installed, tmp_path, "--version").startswith("bnexp 0.2")
    few = ("model=mlp", "trainer.steps=100", "trainer.eval_every=50")
    assert "test accuracy" in call(installed, tmp_path, "run", *few)
    assert "done before, by version 0.2" in call(installed, tmp_path, "run", *few)
    swept = call(installed, tmp_path, "run", "--multirun", *few, "norm=none,group", "norm.groups=4")
    assert "2 finished" in swept
    assert "index.html" in call(installed, tmp_path, "plot", "--format", "svg")
    assert (tmp_path / "outputs" / "report" / "index.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "outputs"]


def test_hints_about_extras_fit_an_installed_package(installed, tmp_path):
    finished = subprocess.run(
        [installed, "run", "model=mlp", "trainer.tensorboard=true"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    if finished.returncode == 0:  # the extra is there
        pytest.skip("TensorBoard is installed")
    assert finished.stderr.count("\n") == 1
    assert "pip install 'bnexp[tensorboard]'" in finished.stderr


def test_completion_knows_commands_options_and_keys(installed, tmp_path):
    script = call(installed, tmp_path, "completion", "bash")
    wanted = {"bnexp ru": "run", "bnexp run norm=gr": "norm=group", "bnexp run optimizer.l": "lr"}
    for line, found in wanted.items():
        words = " ".join(f'"{word}"' for word in line.split(" "))
        shell = (
            f"{script}\nCOMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({words})"
            f"\nCOMP_CWORD={line.count(' ')}; _bnexp; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        )
        finished = subprocess.run(
            ["bash", "-c", shell],
            cwd=tmp_path,
            env=environment(PATH=f"{installed.parent}:/usr/bin:/bin"),
            capture_output=True,
            text=True,
        )
        assert found in finished.stdout, finished.stderr
