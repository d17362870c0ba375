"""Run folders: where they lie, what is written there, and how it is read again."""

import contextlib
import functools
import json
import math
import os
import platform
import re
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

import bnexp
from bnexp.config import Config, ConfigError, run_id, scientific
from bnexp.config.options import GROUPS
from bnexp.config.schema import PLAIN, build, target_of
from bnexp.folders import tables
from bnexp.folders.errors import RunError
from bnexp.folders.results import (
    DIVERGED,
    FAILED,
    FINISHED,
    LATER_FIELDS,
    RESULT_FIELDS,
    STATUSES,
    parsed_result,
)
from bnexp.folders.tables import HISTORY, HISTORY_COLUMNS, PROBE_COLUMNS, write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DIVERGED",
    "FAILED",
    "FINISHED",
    "HISTORY_COLUMNS",
    "LATER_FIELDS",
    "PROBE_COLUMNS",
    "RESULT_FIELDS",
    "STATUSES",
    "RunError",
    "parsed_result",
    "run_id",
    "write_atomically",
]

REQUIRED_GROUPS = ("data", "model", "norm", "init", "optimizer", "trainer")
MAX_CONFIG, MAX_DEPTH = 1_000_000, 500  # characters; brackets: the parser's stack is not endless
NESTED = re.compile(rf"^[\s?:-]{{{MAX_DEPTH},}}", re.MULTILINE)  # the same by indentation
GROUP = re.compile(r"^(?=\w+:\s)", re.MULTILINE)  # where a key without indentation begins
ONE_PIECE = re.compile(r"^(---|\.\.\.|%)|[&*]", re.MULTILINE)  # documents; what refers to elsewhere
CHECKPOINT = "checkpoint"  # folder within a run's folder, while it is unfinished
PROFILE = "profile.json"
PACK = "runs.parquet"  # many runs as one file: see pack.py
RunFiles: TypeAlias = Callable[[str], str | None]  # the text of a run's file, if there is one


def run_folder(config: Config) -> Path:
    """outputs/<name>/<run_id>/"""
    return config.sweep_dir / run_id(config)


def make_folder(path: Path, setting: str = "output_dir:") -> None:
    """Creates a folder that can be written to; `setting` says in an error what named it.

    Raises:
        ConfigError: it cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigError(
            f"{setting} {path} cannot be written ({error.strerror or error})"
        ) from error


def write_config(folder: Path, config: Config) -> None:
    """config.yaml: the resolved scientific config."""
    write_atomically(folder / "config.yaml", yaml.safe_dump(scientific(config), sort_keys=False))


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """result.json, the last file of a run; numbers that are not finite become null."""
    known = {field: result.get(field) for field in (*RESULT_FIELDS, *LATER_FIELDS)}
    full = {field: _finite(value) for field, value in {**known, **result}.items()}
    write_atomically(folder / "result.json", json.dumps(full, indent=2, allow_nan=False) + "\n")


def write_profile(folder: Path, profile: dict[str, Any]) -> None:
    """profile.json: where the run's seconds went, to the microsecond."""
    rounded = {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in profile.items()
    }
    write_atomically(folder / PROFILE, json.dumps(rounded, indent=2) + "\n")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def provenance() -> dict[str, Any]:
    """Versions and commit, for result.json."""
    versions = {"python": platform.python_version(), "bnexp": bnexp.__version__}
    for package in ("tensorflow", "keras", "numpy"):
        with contextlib.suppress(ModuleNotFoundError):
            versions[package] = version(package)
    return {"versions": versions, "git_commit": git_commit()}


@functools.cache
def git_commit() -> str | None:
    """The commit of this code, with "-dirty" behind it if changed since; None: no checkout."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():  # installed, perhaps within another project's checkout
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def made_by(result: Mapping[str, Any]) -> str:
    """Which state of this program made a run: its commit, else its version."""
    versions = result.get("versions") or {}
    commit = result.get("git_commit")
    return f"commit {commit[:10]}" if commit else f"version {versions.get('bnexp', 'unknown')}"


def read_result(folder: Path) -> dict[str, Any] | None:
    """result.json; None if the run is unfinished.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / "result.json"
    text = read_text(path)
    return None if text is None else parsed_result(text, path)


def read_text(path: Path) -> str | None:
    """A file's text; None if there is no file.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error


def ended_result(folder: Path) -> dict[str, Any] | None:
    """The result of a run that need not be run again: finished or diverged.

    Raises:
        RunError: result.json or history.csv is damaged.
    """
    result = read_result(folder)
    if result is None or result["status"] == FAILED:
        return None
    _check_history(folder / "history.csv", result)
    return result


def _check_history(path: Path, result: dict[str, Any]) -> None:
    """Whether the file is whole; without pandas, whose import a sweep need not wait for."""
    text = read_text(path)
    tables.header(text, path)
    last = tables.last_row(text or "").get("step", "0")
    if result["status"] == FINISHED and last != str(result["steps"]):
        raise RunError(f"{path}: damaged (ends at step {last} of {result['steps']})")


def summary(result: dict[str, Any]) -> str:
    """How a run ended, in a few words."""
    if result["status"] == FAILED:
        return f"failed: {result['error']['type']}: {result['error']['message']}"
    if result["status"] == DIVERGED:
        return f"diverged at step {result['steps']}"
    return (
        f"validation accuracy {result['final_val_accuracy']:.4f}, "
        f"test accuracy {result['test_accuracy']:.4f}, {result['total_seconds']:.1f} s"
    )


def objective(result: dict[str, Any]) -> float:
    """What a search maximizes: the best validation accuracy; 0 of a run that diverged."""
    return result["best_val_accuracy"] if result["status"] == FINISHED else 0.0


def read_config(folder: Path) -> dict[str, Any]:
    """config.yaml as a nested dict.

    Raises:
        RunError: the file is missing or damaged.
    """
    path = folder / "config.yaml"
    text = read_text(path)
    if text is None:
        raise RunError(f"{path}: cannot be read (there is no such file)")
    return parsed_config(text, path)


def parsed_config(text: str, path: Path) -> dict[str, Any]:
    """A config from its YAML, as a nested dict.

    Raises:
        RunError: it is damaged; the message names the path.
    """
    if len(text) > MAX_CONFIG or NESTED.search(text) or sum(map(text.count, "[{")) > MAX_DEPTH:
        raise RunError(f"{path}: no config of a run (too large, or nested too deeply)")
    try:
        tree = _by_groups(text)
        if tree is None:
            tree = yaml.load(text, Loader=yaml.CSafeLoader)
            _check_aliases(tree, text)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{path}: cannot be read ({reason})") from error
    groups = REQUIRED_GROUPS
    if not isinstance(tree, dict) or not all(isinstance(tree.get(key), dict) for key in groups):
        raise RunError(f"{path}: no config of a run (needs {', '.join(groups)})")
    if "seed" not in tree or "kind" not in tree["norm"] or "steps" not in tree["trainer"]:
        raise RunError(f"{path}: lacks seed, norm.kind or trainer.steps")
    return tree


def _by_groups(text: str) -> dict[Any, Any] | None:
    """A config parsed group by group: runs share most of theirs, and YAML takes milliseconds.

    None: the text is not one that can be taken apart, or is damaged.
    """
    if ONE_PIECE.search(text):
        return None
    tree: dict[Any, Any] = {}
    try:
        for part in filter(None, GROUP.split(text)):
            [(key, value)] = _group(part).items()
            tree[key] = dict(value) if isinstance(value, dict) else value
    except (ValueError, TypeError, AttributeError, RecursionError, yaml.YAMLError):
        return None
    return tree


@functools.lru_cache(maxsize=4096)
def _group(text: str) -> Any:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def _check_aliases(tree: Any, text: str) -> None:
    """What is written once may stand in a tree many times over, also within itself.

    Raises:
        ValueError: it becomes much larger than its text.
    """
    if "*" not in text:
        return
    waiting, count = [tree], 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count > len(text):
            raise ValueError("it holds itself, or one part too often")
        if isinstance(node, dict | list):
            waiting += node.values() if isinstance(node, dict) else node


def typed_config(folder: Path) -> Config:
    """The config of a run folder, as the run saw it.

    Raises:
        RunError: config.yaml is missing, damaged or of another version of this program.
    """
    return typed(read_config(folder), folder)


def typed(tree: Mapping[str, Any], folder: Path) -> Config:
    """The config of a run from what `read_config` gives.

    Raises:
        RunError: it is of another version of this program.
    """
    groups: dict[str, Any] = {key: dict(one) for key, one in tree.items() if isinstance(one, dict)}
    if any(group not in groups for group in GROUPS if group != "trainer"):
        raise RunError(f"{folder / 'config.yaml'}: written by version 0.1, and only to be analysed")
    groups["data"].pop("_content_", None)
    for group in PLAIN:
        groups[group] = {"_target_": target_of(group), **groups[group]}
    place = {"name": folder.parent.name or ".", "output_dir": str(folder.parent.parent)}
    try:
        return build({**tree, **groups, **place})
    except ConfigError as error:
        raise RunError(f"{folder / 'config.yaml'}: {error}") from error


def find_run_folders(roots: Iterable[Path]) -> Iterator[Path]:
    """All folders at or below the roots that hold a config.yaml, sorted, each once.

    Links are followed last: what is reached in two ways has the name by which it lies there.
    """
    seen: set[tuple[int, int]] = set()
    waiting = deque(roots)
    while waiting:
        for path, inner, files in os.walk(waiting.popleft()):
            here, inner[:] = sorted(inner), []
            place = _place(path)
            if place in seen:
                continue
            seen.add(place)
            if "config.yaml" in files:  # a run's folder holds no other runs
                yield Path(path)
                continue
            links = [name for name in here if Path(path, name).is_symlink()]
            waiting += [Path(path, name) for name in links]
            inner += [name for name in here if name not in links]


def _place(path: str) -> tuple[int, int]:
    """The same for all names of a folder."""
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def latest(folder: Path) -> tuple[int, float | None]:
    """Step and validation accuracy of the last evaluation so far; (0, None) before the first."""
    try:
        row = tables.last_row((folder / HISTORY).read_text(encoding="utf-8"))
        return int(row["step"]), float(row["val_accuracy"])
    except (OSError, ValueError, KeyError):
        return 0, None


def read_history(folder: Path) -> "pd.DataFrame":
    """history.csv; empty cells are NaN.

    Raises:
        RunError: the file is missing or damaged.
    """
    import pandas as pd

    path = folder / HISTORY
    tables.header(read_text(path), path)
    try:
        table = pd.read_csv(path)
        return table.astype(dict.fromkeys(table.columns, float) | {"step": int})
    except ValueError as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
