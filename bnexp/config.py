"""The typed schema of a run: what may be varied, and within which range.

Hydra composes `conf/` against these dataclasses, so an unknown key or a value of the
wrong type is an error; `build` then checks ranges. Meaning, unit and source of every key
stand beside it in `conf/`. This module imports no TensorFlow.
"""

import difflib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

DATASETS = ("mnist", "fashion_mnist", "cifar10", "npz")
MODELS = ("cnn", "mlp")
ACTIVATIONS = ("sigmoid", "relu", "tanh")
NORMS = ("none", "batch", "layer")
POSITIONS = ("pre", "post")
POPULATIONS = ("moving", "exact")
GRADIENTS = ("full", "no_mean", "none")
INITS = ("gaussian", "truncated", "glorot", "he")
OPTIMIZERS = ("sgd", "momentum", "adagrad", "adam")
PRECISIONS = ("float32", "bfloat16")
PROBES = ("activations", "gradients", "population", "jacobian")


# Division without remainder in a preset: steps that depend on the size of a batch.
OmegaConf.register_new_resolver("floordiv", lambda a, b: int(a) // int(b), replace=True)


class ConfigError(ValueError):
    """A setting that cannot be run; the message names the key, the value and the remedy."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the known word most like `word`, or nothing if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _check(key: str, value: Any, holds: bool, expected: str) -> None:
    if not holds:
        raise ConfigError(f"{key}={value} is out of range: {expected}")


def _choice(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = nearest(value, known)
        raise ConfigError(f"{key}={value} is not one of {', '.join(known)}{hint}")


def _number(key: str, value: float, minimum: float, *, strict: bool = False) -> None:
    """Finite and at least `minimum`, or above it if `strict`."""
    holds = math.isfinite(value) and (value > minimum if strict else value >= minimum)
    _check(key, value, holds, f"a finite number {'above' if strict else 'of at least'} {minimum:g}")


def _count(key: str, value: int | None, minimum: int = 1) -> None:
    if value is not None:
        _check(key, value, value >= minimum, f"a whole number of at least {minimum}")


def _package(setting: str, module: str, *, extra: str) -> None:
    """A setting that needs an optional package is refused before anything is started."""
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # nor is there its parent
        found = False
    if not found:
        raise ConfigError(f"{setting} needs a package: pip install -e '.[{extra}]'")


@dataclass
class Data:
    """Which images, and how they are split."""

    kind: str = MISSING
    path: str | None = None
    train_size: int | None = None
    val_size: int = MISSING
    split_seed: int | None = None
    binarize: bool = False

    def check(self) -> None:
        _choice("data.kind", self.kind, DATASETS)
        _count("data.train_size", self.train_size)
        _count("data.val_size", self.val_size)
        _count("data.split_seed", self.split_seed, 0)
        if self.kind == "npz" and not self.path:
            raise ConfigError("data=npz needs data.path=FILE.npz")


@dataclass
class Model:
    """The network."""

    kind: str = MISSING
    activation: str = MISSING
    hidden: list[int] = MISSING
    filters: list[int] = MISSING
    kernel_size: int = MISSING
    dropout: float = MISSING

    def check(self) -> None:
        _choice("model.kind", self.kind, MODELS)
        _choice("model.activation", self.activation, ACTIVATIONS)
        widths = {"model.hidden": self.hidden}
        if self.kind == "cnn":
            widths["model.filters"] = self.filters
            _count("model.kernel_size", self.kernel_size)
        for key, sizes in widths.items():
            _check(key, sizes, bool(sizes) and min(sizes) >= 1, "one positive width per layer")
        _check("model.dropout", self.dropout, 0 <= self.dropout < 1, "a share from 0 to below 1")


@dataclass
class Norm:
    """What normalizes each hidden layer."""

    kind: str = MISSING
    momentum: float = MISSING
    epsilon: float = MISSING
    position: str = MISSING
    population: str = MISSING
    population_batches: int = MISSING
    gradient: str = "full"
    bias: bool = False

    def check(self) -> None:
        _choice("norm.kind", self.kind, NORMS)
        _choice("norm.position", self.position, POSITIONS)
        _choice("norm.population", self.population, POPULATIONS)
        _choice("norm.gradient", self.gradient, GRADIENTS)
        _check("norm.momentum", self.momentum, 0 <= self.momentum < 1, "from 0 to below 1")
        _number("norm.epsilon", self.epsilon, 0, strict=True)
        _count("norm.population_batches", self.population_batches)


@dataclass
class Init:
    """The distribution of the initial weights."""

    kind: str = MISSING
    stddev: float = MISSING
    conv_stddev: float | None = None
    bias: float = MISSING
    scale: float = 1.0

    def check(self) -> None:
        _choice("init.kind", self.kind, INITS)
        _number("init.stddev", self.stddev, 0, strict=True)
        if self.conv_stddev is not None:
            _number("init.conv_stddev", self.conv_stddev, 0, strict=True)
        _check("init.bias", self.bias, math.isfinite(self.bias), "a finite number")
        _number("init.scale", self.scale, 0, strict=True)


@dataclass
class Optimizer:
    """The update rule and its constants."""

    kind: str = MISSING
    lr: float = MISSING
    lr_decay: float = 1.0
    lr_decay_every: int = MISSING
    weight_decay: float = 0.0
    momentum: float = MISSING
    beta_2: float = MISSING
    epsilon: float = MISSING
    initial_accumulator: float = MISSING

    def check(self) -> None:
        _choice("optimizer.kind", self.kind, OPTIMIZERS)
        _number("optimizer.lr", self.lr, 0, strict=True)
        _check("optimizer.lr_decay", self.lr_decay, 0 < self.lr_decay <= 1, "above 0, at most 1")
        _count("optimizer.lr_decay_every", self.lr_decay_every)
        _number("optimizer.weight_decay", self.weight_decay, 0)
        _check("optimizer.momentum", self.momentum, 0 <= self.momentum < 1, "from 0 to below 1")
        _check("optimizer.beta_2", self.beta_2, 0 <= self.beta_2 < 1, "from 0 to below 1")
        _number("optimizer.epsilon", self.epsilon, 0)
        _number("optimizer.initial_accumulator", self.initial_accumulator, 0)


@dataclass
class Trainer:
    """How long, in what batches, how often evaluated, and how computed."""

    steps: int = MISSING
    batch_size: int = MISSING
    reshuffle: bool = True
    eval_every: int = MISSING
    early_steps: int = 0
    early_eval_every: int = MISSING
    precision: str = "float32"
    threads: int | None = None
    save_model: bool = False
    tensorboard: bool = False
    profile: bool = False
    checkpoint_every: int | None = None
    checkpoint_seconds: float | None = 30.0

    def check(self) -> None:
        _choice("trainer.precision", self.precision, PRECISIONS)
        _count("trainer.early_steps", self.early_steps, 0)
        counts = ("steps", "batch_size", "eval_every", "early_eval_every")
        for key in (*counts, "threads", "checkpoint_every"):
            _count(f"trainer.{key}", getattr(self, key))
        if self.checkpoint_seconds is not None:
            _number("trainer.checkpoint_seconds", self.checkpoint_seconds, 0)
        if self.tensorboard:
            _package("trainer.tensorboard=true", "tensorboard.summary", extra="tensorboard")


@dataclass
class Probes:
    """What is recorded inside the network while it trains."""

    record: list[str] = field(default_factory=list)
    images: int = 1000
    every: int | None = None

    def check(self) -> None:
        for name in self.record:
            _choice("probes.record", name, PROBES)
        _check("probes.record", self.record, len(set(self.record)) == len(self.record), "once each")
        _count("probes.images", self.images)
        _count("probes.every", self.every)


@dataclass
class Config:
    """One run: groups, and how to carry it out."""

    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    norm: Norm = field(default_factory=Norm)
    init: Init = field(default_factory=Init)
    optimizer: Optimizer = field(default_factory=Optimizer)
    trainer: Trainer = field(default_factory=Trainer)
    probes: Probes = field(default_factory=Probes)
    seed: int = 0
    name: str = MISSING
    output_dir: str = MISSING
    rerun: bool = False
    dry_run: bool = False
    fail_fast: bool = False

    def check(self) -> None:
        for item in fields(self):
            if is_dataclass(item.type):
                getattr(self, item.name).check()
        if "jacobian" in self.probes.record:
            holds = self.model.kind == "mlp" and (
                self.norm.kind == "none" or (self.norm.kind, self.norm.position) == ("batch", "pre")
            )
            expected = "jacobian needs model=mlp, and norm=none or batch with norm.position=pre"
            _check("probes.record", self.probes.record, holds, expected)
        _count("seed", self.seed, 0)
        if not self.name or Path(self.name).is_absolute() or ".." in Path(self.name).parts:
            raise ConfigError(f"name={self.name!r} must be a folder below output_dir")

    @property
    def sweep_dir(self) -> Path:
        """The folder that holds the run folders of this name."""
        return Path(self.output_dir) / self.name


# What says where and how to run, not what: left out of a run's scientific config.
IMMATERIAL = {"name", "output_dir", "rerun", "dry_run", "fail_fast"} | {
    f"trainer.{key}"
    for key in (
        "threads",
        "save_model",
        "tensorboard",
        "profile",
        "checkpoint_every",
        "checkpoint_seconds",
    )
}


def _unused(config: Config) -> set[str]:
    """Keys that this run does not read, so that their values give it no second identity."""
    unused = set()
    if config.data.kind != "npz":
        unused |= {"data.path"}
    if config.model.kind == "mlp":
        unused |= {"model.filters", "model.kernel_size", "init.conv_stddev"}
    if config.norm.kind == "none":
        unused |= {f"norm.{key}" for key in asdict(config.norm) if key != "kind"}
    if config.norm.kind == "layer":
        keys = ("momentum", "population", "population_batches", "gradient")
        unused |= {f"norm.{key}" for key in keys}
    if config.norm.position == "post":
        unused |= {"norm.bias"}
    if config.norm.population == "moving":
        unused |= {"norm.population_batches"}
    if config.init.kind not in ("gaussian", "truncated"):
        unused |= {"init.stddev", "init.conv_stddev"}
    if config.optimizer.lr_decay == 1:
        unused |= {"optimizer.lr_decay_every"}
    if config.optimizer.kind not in ("momentum", "adam"):
        unused |= {"optimizer.momentum"}
    if config.optimizer.kind != "adam":
        unused |= {"optimizer.beta_2", "optimizer.epsilon"}
    if config.optimizer.kind != "adagrad":
        unused |= {"optimizer.initial_accumulator"}
    if config.trainer.early_steps == 0:
        unused |= {"trainer.early_eval_every"}
    if not config.probes.record:
        unused |= {"probes.images", "probes.every"}
    return unused


def scientific(config: Config) -> dict[str, Any]:
    """All that can change a run's numbers, as a nested dict of plain values."""
    return _without(asdict(config), IMMATERIAL)


def identity(config: Config) -> dict[str, Any]:
    """The scientific config less the keys that this run does not read."""
    return _without(scientific(config), _unused(config))


def shape(config: Config) -> str:
    """What a compiled program depends on, less the data: equal for runs that can share one."""
    optimizer = asdict(config.optimizer) | {
        "lr": None,
        "lr_decay": None,
        "lr_decay_every": None,
        "weight_decay": config.optimizer.weight_decay > 0,
    }
    parts = [asdict(config.model), asdict(config.norm), optimizer, config.trainer.precision]
    return json.dumps([*parts, config.trainer.batch_size], sort_keys=True)


def cost(config: Config) -> float:
    """Roughly proportional to a run's time: products per image, images, steps."""
    model = config.model
    if model.kind == "cnn":
        area, products, channels = 784.0, 0.0, 1
        for filters in model.filters:
            products += area * model.kernel_size**2 * channels * filters
            area, channels = area / 4, filters
        widths = [int(area * channels), *model.hidden]
    else:
        products, widths = 0.0, [784, *model.hidden]
    products += sum(a * b for a, b in pairwise(widths))
    return products * config.trainer.batch_size * config.trainer.steps


def _without(tree: dict[str, Any], keys: Iterable[str], prefix: str = "") -> dict[str, Any]:
    dropped = set(keys)
    return {
        key: _without(value, dropped, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in tree.items()
        if prefix + key not in dropped
    }


def build(composed: DictConfig | dict[str, Any]) -> Config:
    """The typed config behind a composed one.

    Raises:
        ConfigError: an unknown key, a missing or mistyped value, or one out of range.
    """
    try:
        # plain values first: merging two structured configs would let unknown keys pass
        plain = OmegaConf.to_container(OmegaConf.create(composed), resolve=True)
        built = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), plain))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        reason = str(error).split("\n")[0]
        raise ConfigError(f"{key}: {reason}" if key else reason) from error
    assert isinstance(built, Config)
    built.check()
    return built


def known_keys(schema: Any = Config, prefix: str = "") -> list[str]:
    """Every group and key of the schema, with dots."""
    keys: list[str] = []
    for item in fields(schema):
        keys.append(prefix + item.name)
        if is_dataclass(item.type):
            keys += known_keys(item.type, f"{prefix}{item.name}.")
    return keys


def set_value(tree: dict[str, Any], key: str, value: Any) -> None:
    """Sets a key with dots in a nested dict.

    Raises:
        ConfigError: there is no such key.
    """
    *groups, last = key.split(".")
    node: Any = tree
    for group in groups:
        node = node.get(group) if isinstance(node, dict) else None
    if not isinstance(node, dict) or last not in node:
        raise unknown_key(key)
    node[last] = value


def unknown_key(key: str) -> ConfigError:
    """The error for a key that the schema does not have."""
    return ConfigError(f"unknown key '{key}'{nearest(key, [*known_keys(), 'experiment'])}")


def register_schema() -> None:
    """Lets `conf/config.yaml` name this schema in its defaults list."""
    ConfigStore.instance().store(name="schema", node=Config)
