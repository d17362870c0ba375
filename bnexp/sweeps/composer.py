"""Typed configs of the many runs of a sweep: Hydra composes each choice of options once."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from bnexp.config import Config, build
from bnexp.config.compose import APART, set_value
from bnexp.config.options import GROUPS, owners_of
from bnexp.config.schema import unknown_key

Combination = tuple[str, ...]


class Composer:
    """Typed configs of many jobs that differ in few settings.

    Hydra composes in some 60 ms. Which files make up a config depends on the choices of
    options alone, so each combination of these is composed once, and plain values are set in a
    copy, as Hydra itself does last.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self._loader, self._config = loader, config
        parser = OverridesParser.create(config_loader=self._loader)
        self._parse = lru_cache(maxsize=None)(parser.parse_override)
        self._is_choice = lru_cache(maxsize=None)(self._is_choice_of_files)
        self._composed = lru_cache(maxsize=None)(self._compose)
        self._build = lru_cache(maxsize=None)(self._build_config)

    def __call__(self, overrides: Sequence[str]) -> Config:
        """The config of one job; the same object for the same overrides.

        Raises:
            ConfigError: see `bnexp.config.build`.
        """
        return self._build(tuple(overrides))

    def fitting(self, combinations: Iterable[Combination], optional: set[str]) -> list[Combination]:
        """Each combination without the keys that its options do not have.

        Args:
            combinations: overrides of each run.
            optional: keys of a preset, which may be those of an option that was exchanged.

        Raises:
            ConfigError: a key that the options of no combination have.
        """
        wanted = [tuple(combination) for combination in combinations]
        lacking = {one: self._lacking(one) for one in wanted}
        keys = {self._parse(text).key_or_group for one in wanted for text in lacking[one]}
        for key in sorted(keys):
            held = any(
                self._parse(text).key_or_group == key and text not in lacking[one]
                for one in wanted
                for text in one
            )
            if not held and not (key in optional and _has_owner(key)):
                raise unknown_key(key, self._composed(self._choices(wanted[0])))
        return [tuple(text for text in one if text not in lacking[one]) for one in wanted]

    def fitted(self, combination: Combination) -> Combination:
        """A combination without the keys that its options do not have."""
        lacking = self._lacking(combination)
        return tuple(text for text in combination if text not in lacking)

    def _lacking(self, combination: Combination) -> set[str]:
        tree = self._composed(self._choices(combination))
        plain = (text for text in combination if not self._is_choice(text))
        return {text for text in plain if not _has(tree, self._parse(text).key_or_group)}

    def _choices(self, combination: Combination) -> Combination:
        return tuple(text for text in combination if self._is_choice(text))

    def _build_config(self, overrides: Combination) -> Config:
        choices = self._choices(overrides)
        tree = _copied(self._composed(choices))
        for text in overrides:
            if text not in choices:
                override = self._parse(text)
                if not set_value(tree, override.key_or_group, override.value()):
                    raise unknown_key(override.key_or_group, tree)
        return build(resolved(tree))

    def _is_choice_of_files(self, text: str) -> bool:
        """Whether Hydra itself must compose this; else it is a plain value of a known key."""
        override = self._parse(text)
        key = override.key_or_group
        if override.is_add() or override.is_force_add() or override.is_delete():
            return True
        return key.startswith("hydra.") or bool(self._loader.get_group_options(key))

    def _compose(self, overrides: Combination) -> Any:
        composed = self._loader.load_sweep_config(self._config, list(overrides))
        tree = OmegaConf.to_container(composed, resolve=False)
        assert isinstance(tree, dict)
        return {key: value for key, value in tree.items() if key not in APART}


def _copied(tree: dict[str, Any]) -> dict[str, Any]:
    """A copy in which keys can be set; values are shared, and `deepcopy` takes a millisecond."""
    return {key: _copied(one) if isinstance(one, dict) else one for key, one in tree.items()}


def _has_owner(key: str) -> bool:
    """Whether some option has this key, though none that is chosen."""
    group, _, name = key.partition(".")
    return group in GROUPS and bool(owners_of(group, name))


def _has(tree: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def resolved(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with its interpolations resolved."""
    text = str(tree)
    if "${" not in text:  # OmegaConf takes a millisecond or two
        return tree
    found = OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
