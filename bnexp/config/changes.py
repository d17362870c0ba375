"""From a typed config back to the words of the command line that make it."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from bnexp.config import options, places
from bnexp.config.checking import checked
from bnexp.config.errors import ConfigError
from bnexp.config.identity import OPERATIONAL, run_id
from bnexp.config.options import TARGET, Option
from bnexp.config.schema import PLAIN, Config
from bnexp.config.signature import split_target
from bnexp.config.written import assignment


def changes(config: Config) -> list[str]:
    """What differs from the defaults and makes this run another one, as overrides.

    A setting is held against the default of the option that is chosen: "norm=none optimizer=sgd
    optimizer.lr=0.1".
    """
    chosen = [word for word in choices(config) if word not in _default_choices()]
    return [*chosen, *_values(config)]


def choices(config: Config) -> list[str]:
    """The option of each group, by name or else as module:object."""
    return [f"{group}={_name(one)}" for group, one in config.options.items()]


def repeating(config: Config, wanted: str) -> list[str]:
    """The overrides that make a run again, as few as will do; they were tried.

    Args:
        config: of the run.
        wanted: its id.

    Raises:
        ConfigError: they make another one, as code or data of the user's have changed.
    """
    from bnexp.config.compose import compose

    found = ""
    for words in (changes(config), [*choices(config), *_values(config)]):
        found = run_id(compose(*words))
        if found == wanted:
            return words
    raise ConfigError(f"the same settings make the run {found} today: code or defaults changed")


def _name(one: Option) -> str:
    """The name by which the command line knows an option."""
    if options.REFERENCE.fullmatch(one.kind):
        return one.kind
    known = _definitions(one.group).get(one.kind, {})
    if known.get(TARGET) == one.target:
        return one.kind
    return ":".join(split_target(one.target))


def _values(config: Config) -> list[str]:
    """Every setting that its option does not have by default."""
    found = [
        assignment(f"{group}.{key}", value)
        for group, one in config.options.items()
        for key, value in _changed(one).items()
    ]
    for group, kind in PLAIN.items():
        default, values = kind(), vars(getattr(config, group))
        found += [
            assignment(f"{group}.{key}", value)
            for key, value in values.items()
            if value != getattr(default, key) and not (group == "trainer" and key in OPERATIONAL)
        ]
    found += [assignment("metrics", config.metrics)] if config.metrics else []
    return [*found, f"seed={config.seed}"] if config.seed else found


def _changed(one: Option) -> dict[str, Any]:
    default = _defaults(one.group, _name(one), one.target, _places())
    settings = {**one.settings, **one.common}
    return {key: v for key, v in settings.items() if key not in default or default[key] != v}


@lru_cache(maxsize=256)
def _defaults(group: str, name: str, target: str, _: tuple[Path, ...]) -> Mapping[str, Any]:
    """The settings of an option as it is chosen, without those that must be given."""
    there = _definitions(group).get(name, {TARGET: target})
    node = {key: value for key, value in there.items() if key != "defaults"}  # Hydra's list
    own, common = options.parameters(group, target)
    return {
        key: checked(f"{group}.{key}", value, (own | common)[key].annotation)
        for key, value in options.filled(group, name, node).items()
        if key in own | common and value != "???"
    }


def _definitions(group: str) -> Mapping[str, dict[str, Any]]:
    return _defined(group, _places())


@lru_cache(maxsize=64)
def _defined(group: str, _: tuple[Path, ...]) -> Mapping[str, dict[str, Any]]:
    return dict(places.definitions(group))


def _places() -> tuple[Path, ...]:
    """What is read from YAML files holds as long as one looks in the same folders."""
    return tuple(places.search_folders())


@lru_cache(maxsize=1)
def _default_choices() -> set[str]:
    """As config.yaml has them."""
    text = (places.shipped() / "config.yaml").read_text(encoding="utf-8")
    listed = yaml.safe_load(text)["defaults"]
    return {f"{k}={v}" for one in listed if isinstance(one, dict) for k, v in one.items()}
