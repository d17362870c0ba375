"""From overrides to a composed config: Hydra, taught what options are and where they lie."""

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnexp.config import options, places
from bnexp.config.errors import ConfigError
from bnexp.config.explain import explain, unparsed
from bnexp.config.options import GROUPS, KIND, TARGET
from bnexp.config.schema import Config, build

# Division without remainder in a preset: steps that depend on the size of a batch.
OmegaConf.register_new_resolver("floordiv", lambda a, b: int(a) // int(b), replace=True)
# A list of equal numbers: ${repeat:100,50} is fifty layers of 100 units.
OmegaConf.register_new_resolver("repeat", lambda value, n: [value] * int(n), replace=True)

SCHEME = "bnexp"
APART = ("hydra", "trial")  # parts of a composed config that say how runs are made up, not what
PRESET = "experiment"  # the group of presets


class OptionSource(FileConfigSource):
    """A folder of YAML files whose options are filled up with the keys that their targets have.

    In a group of options, `module:object` is an option too, without a file.
    """

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        if _is_reference(config_path):
            node: dict[str, Any] = {TARGET: name}
            result = ConfigResult(
                provider=self.provider, path=self.path, config=node, header={"package": None}
            )
        else:
            self._refuse_taken(group, name)
            result = self._loaded(config_path)
            node = _container(result.config)
        if group in GROUPS:
            defaults = {"defaults": node.pop("defaults")} if "defaults" in node else {}
            place = f"{self.path}/{group}/{name}.yaml" if not _is_reference(config_path) else name
            node = defaults | options.filled(group, name, node, place)
        result.config = OmegaConf.create(node)
        return result

    def _loaded(self, config_path: str) -> ConfigResult:
        try:
            result = super().load_config(config_path)
        except yaml.YAMLError as error:
            told = " ".join(str(error).split())
            raise ConfigError(f"{self.path}/{config_path}: no YAML ({told})") from error
        if not OmegaConf.is_dict(result.config):
            raise ConfigError(f"{self.path}/{config_path}: holds no `key: value` lines")
        return result

    def _refuse_taken(self, group: str, name: str) -> None:
        """A user's option must not take the place of one that others know by its name."""
        shipped = places.shipped()
        if Path(self.path) != shipped and (shipped / group / f"{name}.yaml").is_file():
            raise ConfigError(
                f"{self.path}/{group}/{name}.yaml: there is a {group}={name} already; choose "
                "another name"
            )

    def is_config(self, config_path: str) -> bool:
        return _is_reference(config_path) or super().is_config(config_path)

    def is_group(self, config_path: str) -> bool:
        # a user's folder of metrics, say, holds Python files alone
        return super().is_group(config_path) and any(Path(self.path, config_path).rglob("*.yaml"))

    def list(self, config_path: str, results_filter: ObjectType | None) -> "list[str]":
        if not self.is_group(config_path):
            return []
        found = super().list(config_path, results_filter)
        return [name for name in found if not name.startswith((".", "_"))]


def _container(config: Any, *, resolve: bool = False) -> dict[str, Any]:
    """A composed or loaded config as nested plain values."""
    tree = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(tree, dict)
    return {str(key): value for key, value in tree.items()}


def _is_reference(config_path: str) -> bool:
    group, _, name = config_path.removesuffix(".yaml").rpartition("/")
    return group in GROUPS and options.REFERENCE.fullmatch(name) is not None


class OptionFolders(SearchPathPlugin):
    """Where Hydra looks: the user's folders, installed packages' and then this package's."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        shipped = str(places.shipped())
        ours = [
            item
            for item in search_path.get_path()
            if item.provider == "main" and (item.path or "").removeprefix("file://") == shipped
        ]
        if not ours:  # another program's Hydra
            return
        ours[0].path = f"{SCHEME}://{shipped}"
        for folder in reversed(places.search_folders()[:-1]):
            search_path.prepend("bnexp", f"{SCHEME}://{folder}", anchor="main")


def compose(*overrides: str, config_dir: Path | str | None = None) -> Config:
    """The typed config behind overrides, as the command line would have it for one run.

    Raises:
        ConfigError: an override that cannot be parsed, an unknown key or option, a value out of
            range, several values for one key, or a preset that is a sweep.
    """
    places.importable(Path.cwd())
    if config_dir is not None:
        places.use_folder(Path(config_dir))
    words = readable(overrides)
    check_words(words)
    for text in words:
        _refuse_sweep(text)
    with explained(), hydra.initialize_config_dir(str(places.shipped()), version_base="1.3"):
        composed = hydra.compose("config", words, return_hydra_config=True)
        if "MULTIRUN" in str(OmegaConf.select(composed, "hydra.mode")):
            raise ConfigError(
                f"{' '.join(overrides)} is a sweep of several runs; give it to bnexp.sweep()"
            )
        return build(plain(composed))


@contextmanager
def explained() -> Iterator[None]:
    """Tells what Hydra refuses in our words, also where it raises no exception of its own.

    Raises:
        ConfigError: Hydra refused something.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        ours = isinstance(error, (HydraException, OmegaConfBaseException))
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if ours or frame.f_globals["__name__"].startswith("hydra."):
            raise ConfigError(explain(error)) from error
        raise


@contextmanager
def composed_sweep(overrides: Sequence[str], config_dir: Path | str | None = None) -> Iterator[Any]:
    """The sweeper of a sweep, as Hydra's command line makes it; `.arguments` are its overrides.

    Raises:
        ConfigError: see `compose`.
    """
    from bnexp.run import hydra_arguments, task

    folder = [] if config_dir is None else [f"--config-dir={config_dir}"]
    given = hydra_arguments([*folder, *overrides])
    with explained(), hydra.initialize_config_dir(str(places.shipped()), version_base="1.3"):
        ours = GlobalHydra.instance().hydra
        assert ours is not None
        config = ours.compose_config("config", given, run_mode=RunMode.MULTIRUN)
        context = HydraContext(config_loader=ours.config_loader, callbacks=Callbacks(config))
        sweeper = Plugins.instance().instantiate_sweeper(
            config=config, hydra_context=context, task_function=task
        )
        sweeper.arguments = list(config.hydra.overrides.task)
        yield sweeper


def compose_sweep(*overrides: str, config_dir: Path | str | None = None) -> list[Config]:
    """The typed configs of a sweep's runs, each run once.

    Raises:
        ConfigError: see `compose`.
    """
    from bnexp.config.identity import run_id

    with composed_sweep(overrides, config_dir) as sweeper:
        configs = [job.config for job in sweeper.jobs(sweeper.arguments)]
    return list({(one.sweep_dir, run_id(one)): one for one in configs}.values())


# What a value begins with that Hydra itself must read: a list, keys and values, a quoted text, an
# interpolation, a function of its own.
STRUCTURED = re.compile(
    r"[\[{'\"$]|(choice|range|interval|glob|sort|shuffle|tag|str|int|float|bool)\("
)


def readable(overrides: Sequence[str]) -> list[str]:
    """The words with quotes where Hydra's grammar needs them: `name=größe`, `data.path=~/a (1)`.

    A text with commas could also be meant as several values; these are left to the user.
    """
    parser = OverridesParser.create()
    found = []
    for text in overrides:
        key, equals, value = text.partition("=")
        try:
            parser.parse_override(text)
        except HydraException:
            if equals and "," not in value and not STRUCTURED.match(value):
                escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
                text = f"{key}='{escaped}'"
        found.append(text)
    return found


def check_words(overrides: Sequence[str]) -> None:
    """Makes sure that groups get the name of an option, and nothing else.

    Raises:
        ConfigError: they do not, or an override cannot be parsed.
    """
    parser = OverridesParser.create()
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            raise ConfigError(unparsed(text, error)) from error
        _check_range(override)
        group, _, name = override.key_or_group.partition(".")
        if not group:
            raise ConfigError(f"{text}: which setting? write key=value")
        if group in GROUPS and name in (KIND, TARGET):
            value = override.get_value_element_as_str()
            raise ConfigError(f"{text}: choose the option by its name: {group}={value}")
        plain = not override.is_sweep_override() and not override.is_delete()
        chosen = group in (*GROUPS, PRESET) and not name and plain
        if chosen and not isinstance(override.value(), str):
            known = ", ".join(places.names(group))
            raise ConfigError(f"{text}: choose an option by its name ({known})")


def _check_range(override: Override) -> None:
    if override.is_range_sweep():
        try:
            empty = next(iter(override.sweep_string_iterator()), None) is None
        except ValueError as error:
            raise ConfigError(f"{override.input_line}: {error}") from error
        if empty:
            raise ConfigError(f"{override.input_line}: a sweep over no value has no run")


def _refuse_sweep(text: str) -> None:
    if OverridesParser.create().parse_override(text).is_sweep_override():
        raise ConfigError(f"{text} has several values; give it to bnexp.sweep()")


def plain(composed: DictConfig) -> dict[str, Any]:
    """A composed config as nested plain values, without the parts that are no run's.

    Raises:
        ConfigError: an interpolation that leads nowhere.
    """
    try:
        ours = OmegaConf.masked_copy(composed, [str(key) for key in composed if key not in APART])
        return _container(ours, resolve=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        reason = str(error).split("\n")[0]
        raise ConfigError(f"{key}: {reason}" if key else reason) from error


def set_value(tree: dict[str, Any], key: str, value: Any) -> bool:
    """Sets a key with dots in a nested dict; False: there is no such key."""
    *groups, last = key.split(".")
    node: Any = tree
    for group in groups:
        node = node.get(group) if isinstance(node, dict) else None
    if not isinstance(node, dict) or last not in node:
        return False
    node[last] = value
    return True


def preset_parameters(arguments: Sequence[str]) -> list[str]:
    """What the presets that are named sweep over, as overrides."""
    found = []
    for name, node in named_presets(arguments):
        for key in ("hydra", "sweeper", "params"):
            node = node.get(key) or {}
            if not isinstance(node, dict):
                raise ConfigError(f"{PRESET}={name}: {key} holds no `key: value` lines")
        found += [f"{key}={value}" for key, value in node.items()]
    return found


def named_presets(arguments: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """The presets that are named, as their files have them."""
    chosen = [word.partition("=")[2] for word in arguments if word.startswith(f"{PRESET}=")]
    if not chosen:  # to read all presets takes as long as to compose a config
        return []
    return [(name, node) for name, node in places.definitions(PRESET) if name in chosen]


def single_presets(arguments: Sequence[str]) -> list[list[str]]:
    """The arguments once for each preset that they name: each sweeps over values of its own.

    Raises:
        ConfigError: several, of which one is a trial.
    """
    parser = OverridesParser.create()
    for place, text in enumerate(arguments):
        if text.startswith(f"{PRESET}="):
            override = parser.parse_override(text)
            if override.is_discrete_sweep():
                names = list(override.sweep_string_iterator())
                _refuse_trials(names)
                before, after = arguments[:place], arguments[place + 1 :]
                return [[*before, f"{PRESET}={name}", *after] for name in names]
    return [[*arguments]]


def _refuse_trials(names: Sequence[str]) -> None:
    for name, node in places.definitions(PRESET):
        if name in names and "trial" in node and len(names) > 1:
            raise ConfigError(
                f"{PRESET}={name} is a trial, which goes by itself: bnexp run {PRESET}={name}"
            )


def swept_groups(arguments: Sequence[str]) -> set[str]:
    """The groups of which several options are wanted at once."""
    parser = OverridesParser.create()
    found = set()
    for text in arguments:
        try:
            override = parser.parse_override(text)
        except HydraException:
            continue
        if override.is_sweep_override() and override.key_or_group in GROUPS:
            found.add(override.key_or_group)
    return found
