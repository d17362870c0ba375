"""Options: a YAML file in its group that names a function or class, and the settings it has.

`conf/norm/batch.yaml` holds `_target_: bnexp.norms.batch.batch` and the values that differ from
that function's defaults. Nothing else lists the options or their keys.
"""

import ast
import hashlib
import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

from bnexp.config.checking import checked
from bnexp.config.errors import ConfigError, nearest
from bnexp.config.signature import (
    REQUIRED,
    Parameter,
    Signature,
    find_module,
    read,
    split_target,
)

TARGET, KIND, SOURCE = "_target_", "kind", "_source_"
PLUGINS = "bnexp.plugins"
REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
# Told by result.json's versions, not by a hash of their source.
LIBRARIES = ("bnexp", "keras", "tensorflow", "tf_keras")


@dataclass(frozen=True)
class Group:
    """A folder of `conf/`, whose options can be exchanged for one another.

    Attributes:
        common: dataclass of the settings that its options share; empty: none.
        provided: names of parameters that the program gives, and that are no settings.
        shared_with: only targets with this parameter have the common settings; empty: all.
    """

    common: str = ""
    provided: frozenset[str] = frozenset()
    shared_with: str = ""


GROUPS = {
    "data": Group("bnexp.data.preparation.Preparation"),
    "model": Group(
        "bnexp.config.common.Activation",
        frozenset({"unit", "norm", "policy", "input_shape", "classes"}),
        shared_with="unit",
    ),
    "norm": Group("bnexp.config.common.Placement", frozenset({"name", "dtype"})),
    "init": Group("bnexp.config.common.Start"),
    "optimizer": Group("bnexp.config.common.Rate", frozenset({"learning_rate"})),
    "schedule": Group("bnexp.config.common.Warmup", frozenset({"step", "steps"})),
    "trainer": Group(),
    "probes": Group(),
}


@dataclass(frozen=True)
class Option:
    """What was chosen for a group, with all its settings.

    Attributes:
        group: "norm".
        kind: the name it was chosen by: "batch".
        target: what it names: "bnexp.norms.batch.batch".
        settings: the target's own, by name, defaults filled in.
        common: those that the group's options share.
        source: SHA-256 of the user's code; empty for code of this package and its libraries.
    """

    group: str
    kind: str
    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    common: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.settings[key] if key in self.settings else self.common[key]

    def get(self, key: str, default: Any = None) -> Any:
        """A setting, or the default where this option has no such."""
        return self.settings.get(key, self.common.get(key, default))

    def load(self) -> Any:
        """The function or class itself, imported now.

        Raises:
            ConfigError: its module cannot be imported.
        """
        return load(self.target)

    def __call__(self, **provided: Any) -> Any:
        """Calls the target with its settings and what the program gives."""
        return self.load()(**self.settings, **provided)

    def tree(self) -> dict[str, Any]:
        """As config.yaml has it."""
        source = {SOURCE: self.source} if self.source else {}
        return {KIND: self.kind, TARGET: self.target, **source, **self.settings, **self.common}


def load(target: str) -> Any:
    """The object that `module:object` or `package.module.object` names, imported now.

    Raises:
        ConfigError: its module cannot be imported, or has no such object.
    """
    module, name = split_target(target)
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ConfigError(f"{target}: {error}") from error
    except Exception as error:  # whatever a user's module raises while it is imported
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise ConfigError(f"{target}: the module cannot be imported ({reason})") from error


def parameters(group: str, target: str) -> tuple[dict[str, Parameter], dict[str, Parameter]]:
    """The settings of a target: its own, and those it shares with the group.

    Raises:
        ConfigError: there is no such target.
    """
    signature, facts = read(target), GROUPS[group]
    hidden = facts.provided | signature.provided
    own = {name: p for name, p in signature.settings.items() if name not in hidden}
    if not facts.common or signature.gives_none or not _shares(facts, signature):
        return own, {}
    common = {name: p for name, p in read(facts.common).settings.items() if name not in own}
    return own, common


def _shares(facts: Group, signature: Signature) -> bool:
    names = signature.settings.keys() | signature.provided
    return not facts.shared_with or facts.shared_with in names


def filled(group: str, kind: str, node: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """An option's YAML with all keys that it has, defaults where it says nothing.

    A setting without default is `???`, Hydra's word for a value that must be given.

    Raises:
        ConfigError: it has no `_target_`, or a key that the target does not have.
    """
    target = node.get(TARGET)
    if not isinstance(target, str):
        raise ConfigError(f"{place or group}: lacks {TARGET}: module.object")
    own, common = parameters(group, target)
    known = own | common
    for key in node:
        if key not in known and key not in (TARGET, KIND):
            raise ConfigError(f"{place}: {target} has no setting '{key}'{nearest(key, known)}")
    values = {
        name: node.get(name, "???" if p.default is REQUIRED else p.default)
        for name, p in known.items()
    }
    return {KIND: kind, TARGET: target, **values}


def option(group: str, node: Any) -> Option:
    """The checked option of a composed group.

    A key that another option of the group has is dropped: a preset may set it for the arm that
    has it.

    Raises:
        ConfigError: no option, or a key or value that it cannot have.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get(TARGET), str):
        raise ConfigError(f"{group}: choose an option by its name ({', '.join(names(group))})")
    kind, target = str(node.get(KIND, "")), node[TARGET]
    own, common = parameters(group, target)
    for key in node:
        if key not in own and key not in common and key not in (TARGET, KIND, SOURCE):
            _drop_or_refuse(group, kind, key, [*own, *common])
    settings = {key: _value(f"{group}.{key}", node, p) for key, p in own.items()}
    shared = {key: _value(f"{group}.{key}", node, p) for key, p in common.items()}
    return Option(group, kind, target, settings, shared, source_hash(target, *named(settings)))


def named_option(group: str, name: str) -> Option:
    """An option by its name, with the values of its YAML.

    Raises:
        ConfigError: there is no such.
    """
    known = dict(definitions(group))
    if name not in known:
        raise ConfigError(f"{group}={name} is not one of {_listed(known)}{nearest(name, known)}")
    return option(group, filled(group, name, known[name]))


def _value(key: str, node: Mapping[str, Any], parameter: Parameter) -> Any:
    value = node.get(key.rpartition(".")[2], parameter.default)
    if value is REQUIRED or value == "???":
        raise ConfigError(f"{key} must be given: {key}=...  ({parameter.doc or 'no default'})")
    return checked(key, value, parameter.annotation)


def _drop_or_refuse(group: str, kind: str, key: str, known: Iterable[str]) -> None:
    owners = [name for name in owners_of(group, key) if name != kind]
    if not owners:
        hint = nearest(key, known)
        raise ConfigError(
            f"unknown key '{group}.{key}'{hint} ({group}={kind} has {_listed(known)})"
        )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "no settings"


def owners_of(group: str, key: str) -> list[str]:
    """The options of a group that have this setting."""
    return [name for name, keys in _keys(group) if key in keys]


def keys_of(group: str) -> list[str]:
    """The settings of all options of a group, each once."""
    return list(dict.fromkeys(key for _, keys in _keys(group) for key in keys))


def _keys(group: str) -> Iterator[tuple[str, list[str]]]:
    for name, node in definitions(group):
        try:
            own, common = parameters(group, str(node.get(TARGET)))
        except ConfigError:
            continue
        yield name, [*own, *common]


# ---- where options lie ---------------------------------------------------------------------------

_own_folders: list[Path] = []


def shipped() -> Path:
    """The folder `conf/`: within the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def use_folder(folder: Path) -> None:
    """Looks for options and modules in a user's folder too, before those of this package.

    Raises:
        ConfigError: there is no such folder.
    """
    folder = folder.expanduser().absolute()
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
def _plugin_folders() -> tuple[Path, ...]:
    """Packages name themselves in the entry point group `bnexp.plugins`; they are not imported."""
    found = (find_module(point.module) for point in entry_points(group=PLUGINS))
    return tuple(path.parent for path in found if path is not None)


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
                node = yaml.safe_load(path.read_text(encoding="utf-8"))
                yield path.stem, node if isinstance(node, dict) else {}


def names(group: str) -> list[str]:
    """The names of a group's options."""
    return sorted(name for name, _ in definitions(group))


def named(settings: Mapping[str, Any]) -> list[str]:
    """The objects that settings name as `module:object`."""
    values = [one for v in settings.values() for one in (v if isinstance(v, list) else [v])]
    return [value for value in values if isinstance(value, str) and REFERENCE.fullmatch(value)]


# ---- the user's code -----------------------------------------------------------------------------


def source_hash(*targets: str) -> str:
    """SHA-256 of the user's files behind targets, with the files of theirs that those import.

    Empty where all is of this package, Keras or TensorFlow.
    """
    files: dict[Path, str] = {}
    for target in targets:
        module = split_target(target)[0]
        if module.partition(".")[0] not in LIBRARIES and (path := find_module(module)):
            _collect(path, files)
    if not files:
        return ""
    return hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest()


def _collect(path: Path, files: dict[Path, str]) -> None:
    """The file's hash, and those of the modules beside it that it imports."""
    if path in files:
        return
    content, imported = _hashed(path, path.stat().st_mtime_ns)
    files[path] = content
    for name in imported:
        if (path.parent / f"{name}.py").is_file():
            _collect(path.parent / f"{name}.py", files)


@lru_cache(maxsize=256)
def _hashed(path: Path, _mtime: int) -> tuple[str, tuple[str, ...]]:
    text = path.read_bytes()
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            imported |= {node.module or ""} | {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    return hashlib.sha256(text).hexdigest(), tuple(sorted(imported))


def needs_tensorflow(target: str) -> bool:
    """Whether the file behind a target imports Keras or TensorFlow, at its top or within."""
    path = find_module(split_target(target)[0])
    if path is None:
        return True
    _, imported = _hashed(path, path.stat().st_mtime_ns)
    return any(name.partition(".")[0] in ("keras", "tensorflow") for name in imported)
