"""Options: a YAML file in its group that names a function or class, and the settings it has.

`conf/norm/batch.yaml` holds `_target_: bnexp.norms.batch.batch` and the values that differ from
that function's defaults. Nothing else lists the options or their keys.
"""

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bnexp.config.checking import checked
from bnexp.config.errors import ConfigError, nearest
from bnexp.config.places import definitions, names
from bnexp.config.signature import (
    COMPUTED,
    REQUIRED,
    Parameter,
    Signature,
    read,
    split_target,
)
from bnexp.config.source import source_hash

TARGET, KIND, SOURCE = "_target_", "kind", "_source_"
REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Group:
    """A folder of `conf/`, whose options can be exchanged for one another.

    Attributes:
        common: dataclass of the settings that its options share, less those that an option names
            in its attribute `without`; empty: none.
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
    left_out = [*own, *signature.attributes.get("without", ())]
    common = {name: p for name, p in read(facts.common).settings.items() if name not in left_out}
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
        if name in node or p.default is not COMPUTED
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
    given = {key: p for key, p in own.items() if key in node or p.default is not COMPUTED}
    settings = {key: _value(f"{group}.{key}", node, p) for key, p in given.items()}
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


def named(settings: Mapping[str, Any]) -> list[str]:
    """The objects that settings name as `module:object`."""
    values = [one for v in settings.values() for one in (v if isinstance(v, list) else [v])]
    return [value for value in values if isinstance(value, str) and REFERENCE.fullmatch(value)]
