"""Configs of all versions of this program, checked, in the words of this one.

Version 0.1 wrote every key of every group, whether the run read it or not; now a run has the keys
of the options that it chose. A key that is missing, because it was added later, has its default.
Values are checked against the signatures of options, as those of the command line are.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, get_type_hints

from bnexp.config import Config, ConfigError
from bnexp.config.checking import checked, shown
from bnexp.config.options import GROUPS, KIND, SOURCE, TARGET, parameters
from bnexp.config.places import definitions
from bnexp.config.schema import PLAIN, VALUES, target_of
from bnexp.config.signature import COMPUTED, REQUIRED

_HASH = re.compile(r"[0-9a-f]{64}")
_FORMS = {  # of what a config says beside an option's settings
    KIND: (re.compile(r".*\S.*"), "the name of an option"),
    TARGET: (re.compile(r"[A-Za-z_][\w.]*[.:][A-Za-z_]\w*"), "module:object"),
    SOURCE: (_HASH, "a SHA-256"),
    "_content_": (_HASH, "a SHA-256"),
}

# Of version 0.1: keys that only options of these kinds read.
_READ_BY = {
    "data.path": ("npz",),
    "model.filters": ("cnn",),
    "model.kernel_size": ("cnn",),
    "norm.momentum": ("batch",),
    "norm.epsilon": ("batch", "layer"),
    "norm.position": ("batch", "layer"),
    "norm.population": ("batch",),
    "norm.population_batches": ("batch",),
    "norm.gradient": ("batch",),
    "norm.bias": ("batch", "layer"),
    "init.stddev": ("gaussian", "truncated"),
    "init.conv_stddev": ("gaussian", "truncated"),
    "optimizer.momentum": ("momentum", "adam"),
    "optimizer.beta_2": ("adam",),
    "optimizer.epsilon": ("adam",),
    "optimizer.initial_accumulator": ("adagrad",),
}


def in_todays_words(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A config of any version as flat keys (`optimizer.lr`), with all that its options have.

    Raises:
        ConfigError: a value that cannot be; the message names its key.
    """
    if TARGET not in tree["norm"]:
        tree = _from_0_1(tree)
    flat: dict[str, Any] = {}
    missing: dict[str, dict[str, Any]] = {}
    for key, value in tree.items():
        if not isinstance(key, str):
            raise ConfigError(f"the key {key!r} is no text")
        if key in GROUPS:
            given, missing[key] = _group(key, _Node(repr(value), value))
            flat |= given
        else:
            flat |= flatten({key: _checked(key, value, _values().get(key))})
    for group in GROUPS:
        if group in PLAIN and group not in missing:
            missing[group] = _group(group, _Node("", {}))[1]
        flat |= missing.get(group, {})
    return flat


def trial_in_todays_words(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a trial (see trial.json) of any version, its arms as `in_todays_words`.

    Raises:
        ConfigError: a value that cannot be; the message names its key.
    """
    conditions = [
        {**one, "arms": {arm: in_todays_words(tree) for arm, tree in one["arms"].items()}}
        for one in settings["conditions"]
    ]
    return {**settings, "conditions": conditions}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optimizer": {"lr": 1}} as {"optimizer.lr": 1}; lists become text."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = "-".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _from_0_1(tree: Mapping[str, Any]) -> dict[str, Any]:
    new = {key: dict(node) if isinstance(node, dict) else node for key, node in tree.items()}
    for key, kinds in _READ_BY.items():
        group, _, name = key.partition(".")
        if new[group].get(KIND) not in kinds:
            new[group].pop(name, None)
    rate = new["optimizer"].pop("lr_decay", 1.0)
    every = new["optimizer"].pop("lr_decay_every", None)
    schedule = {KIND: "exponential", "rate": rate, "every": every}
    return new | {"schedule": {KIND: "constant"} if rate == 1 else schedule}


@dataclass(frozen=True)
class _Node:
    """What a config says of a group; `text` tells it apart, to the type of each value."""

    text: str
    tree: Any = field(compare=False)


@lru_cache(maxsize=4096)  # most runs share most of their options
def _group(group: str, node: _Node) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of a group, checked; and what of its target is missing, by defaults."""
    if not isinstance(node.tree, dict):
        raise ConfigError(f"{group}={shown(node.tree)}: give keys and values")
    if wrong := [name for name in node.tree if not isinstance(name, str)]:
        raise ConfigError(f"{group}: the key {wrong[0]!r} is no text")
    if group not in PLAIN and KIND not in node.tree:
        raise ConfigError(f"lacks {group}.{KIND}")
    target = _target(group, node.tree)
    known = _known(group, target)
    given = {
        name: _checked(f"{group}.{name}", value, known.get(name))
        for name, value in node.tree.items()
    }
    default = {name: annotated[1] for name, annotated in known.items() if name not in given}
    if lacking := [name for name, value in default.items() if value is REQUIRED]:
        raise ConfigError(f"lacks {group}.{lacking[0]}")
    if target and group not in PLAIN and TARGET not in given:
        default[TARGET] = target
    left_out = [name for name, value in default.items() if value is COMPUTED or value == {}]
    missing = {name: value for name, value in default.items() if name not in left_out}
    return flatten(given, f"{group}."), flatten(missing, f"{group}.")


def _checked(key: str, value: Any, known: tuple[Any, Any] | None) -> Any:
    """A value of the type and range that its key has; of an unknown key a plain value."""
    last = key.rpartition(".")[2]
    if last in _FORMS:
        form, wanted = _FORMS[last]
        if not isinstance(value, str) or not form.fullmatch(value):
            raise ConfigError(f"{key}={shown(value)}: give {wanted}")
    elif known is not None:
        value = checked(key, value, known[0])
    if not _is_plain(value, finite=known is None):
        raise ConfigError(f"{key}={shown(value)} is no plain value")
    return value


def _is_plain(value: Any, *, finite: bool) -> bool:
    """Whether a value is one that a run writes down: no date, no NaN, no key but text."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v, finite=finite) for k, v in value.items())
    if isinstance(value, list):
        return all(_is_plain(one, finite=finite) for one in value)
    if isinstance(value, float):
        return not math.isnan(value) and (math.isfinite(value) or not finite)
    return value is None or isinstance(value, bool | int | str)


def _target(group: str, node: Mapping[str, Any]) -> str:
    """What an option names; of version 0.1, what the option of that name is today."""
    if group in PLAIN:
        return target_of(group)
    return str(node.get(TARGET) or _shipped(group).get(str(node.get(KIND)), ""))


@cache
def _shipped(group: str) -> dict[str, str]:
    return {name: str(node.get(TARGET, "")) for name, node in definitions(group)}


@cache
def _values() -> dict[str, tuple[Any, Any]]:
    """Type and default of what stands beside the groups: the seed, the metrics."""
    hints = get_type_hints(Config, include_extras=True)
    return {name: (hints[name], REQUIRED) for name in VALUES}


@cache
def _known(group: str, target: str) -> dict[str, tuple[Any, Any]]:
    """Type and default of an option's settings; empty for code that is not here."""
    try:
        own, common = parameters(group, target)
    except ConfigError:
        return {}
    return {name: (found.annotation, found.default) for name, found in (own | common).items()}


def filled(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Adds the settings that some runs lack and that this version does not know.

    A newer version, or code that is not here, wrote them. Where all runs that have such a setting
    have one value of it, that is taken for the default, so that older and newer runs are compared.

    Returns:
        A line for each setting that was added.
    """
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        targets = [str(row.get(f"{group}.{TARGET}", "")) for group in GROUPS]
        alike.setdefault((*targets, *row), []).append(row)
    told: list[str] = []
    for place, group in enumerate(GROUPS):
        for target in {shape[place] for shape in alike}:
            members = {shape: rows for shape, rows in alike.items() if shape[place] == target}
            told += _filled(group, _known(group, target).keys() | _FORMS.keys(), members)
    return told


def _filled(
    group: str, known: Set[str], members: Mapping[tuple[str, ...], list[dict[str, Any]]]
) -> Iterator[str]:
    """As `filled`, for the runs of one option; `members` by their keys."""
    keys = {key for shape in members for key in shape[len(GROUPS) :] if key.startswith(f"{group}.")}
    for key in sorted(key for key in keys if key.split(".")[1] not in known):
        having = [row for shape, rows in members.items() if key in shape for row in rows]
        lacking = [row for shape, rows in members.items() if key not in shape for row in rows]
        values = {row[key] for row in having}
        if lacking and len(values) == 1:
            [value] = values
            for row in lacking:
                row[key] = value
            yield (
                f"{key}: not known to this version; {len(lacking)} runs that lack it are taken to "
                f"have {shown(value)}, as the {len(having)} others"
            )
