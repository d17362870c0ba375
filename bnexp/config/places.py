"""Where options lie: in `conf/`, in folders of the user's, and in installed packages."""

import itertools
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

from bnexp.config.errors import ConfigError
from bnexp.config.signature import find_module

PLUGINS = "bnexp.plugins"  # entry points of packages that bring options

_own_folders: list[Path] = []


def shipped() -> Path:
    """The folder `conf/`: within the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def given(text: str) -> Path:
    """A path as a user writes it, in which `~` is a user's folder.

    Raises:
        ConfigError: it is empty, or there is no such user.
    """
    if not text.strip():
        raise ConfigError("an empty text is no path; . is the folder you are in")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ConfigError(f"{text}: there is no such user ({error})") from error


def use_folder(folder: Path) -> None:
    """Looks for options and modules in a user's folder too, before those of this package.

    Raises:
        ConfigError: there is no such folder.
    """
    folder = given(str(folder)).absolute()
    if not folder.is_dir():
        raise ConfigError(f"--config-dir {folder}: no such folder")
    if folder not in _own_folders:
        _own_folders.append(folder)
    importable(folder)


def importable(folder: Path) -> None:
    """Puts a folder before all others from which modules are imported."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def own_folders() -> list[Path]:
    """The user's folders, and those of installed packages that bring options."""
    return [*_own_folders, *_plugin_folders()]


@lru_cache(maxsize=1)
def plugins() -> tuple[str, ...]:
    """Packages that name themselves in the entry point group; they are not imported."""
    return tuple(point.module for point in entry_points(group=PLUGINS))


def _plugin_folders() -> list[Path]:
    found = map(find_module, plugins())
    return [path.parent for path in found if path is not None]


def search_folders() -> list[Path]:
    """All folders with groups of options, the user's first."""
    own = [inner for folder in own_folders() for inner in (folder / "conf", folder)]
    return [folder for folder in [*own, shipped()] if folder.is_dir()]


def definitions(group: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option of a group: its name and its YAML."""
    seen = set()
    for folder in search_folders():
        for path in sorted((folder / group).glob("*.yaml")):
            if path.stem not in seen:
                seen.add(path.stem)
                yield path.stem, _node(path)


def _node(path: Path) -> dict[str, Any]:
    try:
        node = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: no YAML ({' '.join(str(error).split())})") from error
    return node if isinstance(node, dict) else {}


def comment(group: str, name: str) -> str:
    """What an option of ours says of itself at the start of its YAML, in one line; else ""."""
    path = shipped() / group / f"{name}.yaml"
    if not path.is_file():
        return ""
    lines = itertools.takewhile(lambda line: line[:1] == "#", path.read_text("utf-8").splitlines())
    told = (line[2:] for line in lines if not line.startswith("# @package"))
    return " ".join(told)


def names(group: str) -> list[str]:
    """The names of a group's options."""
    return sorted(name for name, _ in definitions(group))
