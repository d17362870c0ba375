"""The typed config of one run: its options, and how it is run."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from bnexp.config import options, places
from bnexp.config.checking import checked
from bnexp.config.errors import ConfigError, nearest
from bnexp.config.options import GROUPS, KIND, SOURCE, TARGET, Option
from bnexp.config.signature import find_module, read, split_target
from bnexp.config.types import Count, In, Index, NonNegative, Place

Threads = Annotated[int, In("[1, 4096]")]
Together = Annotated[int, In("[1, 64]")]


@dataclass(frozen=True)
class Trainer:
    """How long a run trains, in what batches, how often it is evaluated, and how computed.

    Args:
        steps: training steps (one batch each).
        batch_size: images in a batch. What is left at the end of an epoch and fills no batch is
            skipped.
        reshuffle: true: each epoch puts the images together to batches anew; false: the same
            batches in the same order every epoch (section 4.2.1: reshuffling gains about 1% of
            validation accuracy).
        eval_every: steps between evaluations on the validation images; the last step is always
            evaluated.
        early_steps: up to this step evaluate every early_eval_every steps instead; 0: do not.
        early_eval_every: steps; read if early_steps is above 0.
        precision: float32, or bfloat16: activations and products in bfloat16; weights, statistics,
            losses and updates stay in float32. Faster on CPUs with AVX-512, many times slower on
            those without.
        threads: CPU threads of a run; null: one a run, as in a sweep, so that a run has the same
            numbers alone and in a sweep. More only pay for large networks, and change low-order
            bits.
        together: runs of a sweep that train in step as one program, where they differ in seed,
            learning rate, weight decay and initial weights alone; null: up to 8 dense networks on
            a GPU, one on a CPU. Numbers are those of single runs within rounding.
        checkpoint_seconds: seconds after which an unfinished run writes its state to disk again,
            to go on from if it is interrupted; null: not by time.
        checkpoint_every: the same by training steps; null: not by steps.
        save_model: keep the trained network as model.keras in the run folder.
        predictions: write predictions.csv into the run folder after the last step: a row for each
            test image, with its label and the probability that the network gives each class.
        tensorboard: write TensorBoard event files into the run folder while the run trains
            (tensorboard --logdir outputs).
        profile: write profile.json into the run folder: the seconds that went into importing
            TensorFlow, loading data, compiling, training, evaluating, probes, checkpoints, writing
            files, and the rest.
    """

    steps: Count = 5000
    batch_size: Count = 64
    reshuffle: bool = True
    eval_every: Count = 200
    early_steps: Index = 0
    early_eval_every: Count = 50
    precision: Literal["float32", "bfloat16"] = "float32"
    threads: Threads | None = None
    together: Together | None = None
    checkpoint_seconds: NonNegative | None = 30.0
    checkpoint_every: Count | None = None
    save_model: bool = False
    predictions: bool = False
    tensorboard: bool = False
    profile: bool = False


@dataclass(frozen=True)
class Probes:
    """What is recorded inside the network while it trains.

    Args:
        record: the probes: names (activations, gradients, landscape, ...: the files of
            bnexp/probes), or a function of your own as module:function.
        images: images that probes look at: always the first so many of the test split
            (activations, jacobian) or of the training split (those of the loss and its gradient);
            population takes the whole validation split.
        every: record at step 0, at evaluations whose step is a multiple of this, and at the last;
            null: at every evaluation.
    """

    record: list[str] = field(default_factory=list)
    images: Count = 1000
    every: Count | None = None


@dataclass(frozen=True)
class Config:
    """One run: the options chosen, and what is said of it as a whole.

    Attributes:
        data, model, norm, init, optimizer, schedule: the options.
        trainer, probes: see there.
        metrics: further metrics: names, or functions as module:function.
        seed: names the streams of random numbers.
        name: folder below output_dir that the run folders are written to.
        output_dir: where results go.
        rerun, dry_run, fail_fast: see conf/config.yaml.
        config_dirs: the user's folders of options and modules.
    """

    data: Option
    model: Option
    norm: Option
    init: Option
    optimizer: Option
    schedule: Option
    trainer: Trainer
    probes: Probes
    metrics: list[str] = field(default_factory=list)
    seed: Annotated[int, In("[0, 1e18]")] = 0
    name: str = "default"
    output_dir: Place = "outputs"
    rerun: bool = False
    dry_run: bool = False
    fail_fast: bool = False
    config_dirs: list[Place] = field(default_factory=list)

    @property
    def options(self) -> dict[str, Option]:
        """The exchangeable options by group."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Option)}

    @property
    def sweep_dir(self) -> Path:
        """The folder that holds the run folders of this name."""
        return Path(self.output_dir) / self.name

    @property
    def work(self) -> int:
        """Images that are trained on: what a run's time grows with, for networks of one kind."""
        return self.trainer.steps * self.trainer.batch_size


USUAL = {"loss", "accuracy", "log_loss"}  # the metrics of every evaluation
PLAIN = {"trainer": Trainer, "probes": Probes}  # groups whose target is not exchanged


def target_of(group: str) -> str:
    """The `_target_` of a group whose target is not exchanged."""
    return f"{__name__}.{PLAIN[group].__name__}"


VALUES = [item.name for item in fields(Config) if item.name not in GROUPS]


def build(composed: Mapping[str, Any]) -> Config:
    """The typed config behind a composed one, a nested mapping of plain values.

    Raises:
        ConfigError: an unknown key, a missing or mistyped value, or one out of range.
    """
    for key in composed:
        if key == "experiment":
            raise ConfigError("a preset begins with the line `# @package _global_`")
        if key not in GROUPS and key not in VALUES:
            raise unknown_key(str(key), composed)
    chosen: dict[str, Any] = {}
    for group in GROUPS:
        found = options.option(group, composed.get(group))
        chosen[group] = PLAIN[group](**found.settings) if group in PLAIN else found
    hints = get_type_hints(Config, include_extras=True)
    given = {key: checked(key, composed[key], hints[key]) for key in VALUES if key in composed}
    config = Config(**chosen, **given)
    _check(config)
    return config


def _check(config: Config) -> None:
    """What concerns more than one key."""
    given = read(config.model.target)
    if not {"unit", "norm"} & (given.settings.keys() | given.provided):
        raise ConfigError(
            f"model={config.model.kind}: {config.model.target} takes no `unit`, so that norm= "
            "would have no effect; an ordinary Keras builder goes as model=keras "
            "model.builder=module:function"
        )
    name = config.name
    if not name.strip() or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ConfigError(f"name={name!r} must be a folder below output_dir")
    if not config.output_dir.strip():
        raise ConfigError("output_dir= must name a folder; . is the one you are in")
    if config.trainer.tensorboard:
        require("trainer.tensorboard=true", "tensorboard.summary", extra="tensorboard")
    for kind, words in (("probes", config.probes.record), ("metrics", config.metrics)):
        called = [word.rpartition(":")[2] for word in words]
        if len(set(called)) < len(called):
            raise ConfigError(f"{kind}: {', '.join(words)} must be named once each")
        if taken := USUAL & set(called) if kind == "metrics" else set():
            raise ConfigError(f"metrics: {', '.join(taken)} is recorded anyway; use another name")
        for word in words:
            part_target(kind, word)
    for word in config.probes.record:
        module = split_target(part_target("probes", word))[0]
        if module.startswith("bnexp."):  # these import no TensorFlow
            getattr(importlib.import_module(module), "check", lambda _: None)(config)


def part_target(package: str, word: str) -> str:
    """What a name in a list stands for: `bnexp.probes.activations:activations`, or as it is.

    A name is looked for in the user's folders (`probes/NAME.py`) and then in this package.

    Raises:
        ConfigError: there is no such.
    """
    if options.REFERENCE.fullmatch(word):
        read(word)
        return word
    prefixes = ["", *(f"{plugin}." for plugin in places.plugins()), "bnexp."]
    modules = [f"{prefix}{package}.{word}" for prefix in prefixes]
    found = [module for module in modules if find_module(module)]
    if len(found) > 1:
        raise ConfigError(f"{package}: {word} is there twice ({', '.join(found)}); rename yours")
    if found:
        read(f"{found[0]}:{word}")
        return f"{found[0]}:{word}"
    known = part_names(package)
    label = "probes.record" if package == "probes" else package
    raise ConfigError(
        f"{label}={word} is not one of {', '.join(known)}{nearest(word, known)} "
        "(a function of your own: module:function)"
    )


def part_names(package: str) -> list[str]:
    """The parts of a kind that this package and the user's folders bring."""
    folders = [Path(__file__).resolve().parents[1], *places.own_folders()]
    files = [path for folder in folders for path in (folder / package).glob("*.py")]
    return sorted({path.stem for path in files if _defines(path)})


def _defines(path: Path) -> bool:
    """Whether a file defines a function or class of its own name."""
    name = path.stem
    return not name.startswith("_") and any(
        line.startswith((f"def {name}(", f"class {name}(", f"class {name}:"))
        for line in path.read_text(encoding="utf-8").splitlines()
    )


def require(setting: str, module: str, *, extra: str) -> None:
    """A setting that needs an optional package is refused before anything is started.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # nor is there its parent
        found = False
    if not found:
        raise ConfigError(f"{setting} needs a package: pip install {install_hint(extra)}")


def install_hint(extra: str) -> str:
    """What pip is told for an extra: by this package's name, or its folder in a checkout."""
    checkout = Path(__file__).resolve().parents[2]
    return f"-e '.[{extra}]'" if (checkout / "pyproject.toml").is_file() else f"'bnexp[{extra}]'"


def known_keys(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Every group and key of a composed config, with dots."""
    keys: list[str] = []
    for key, value in tree.items():
        if key in (TARGET, KIND, SOURCE):
            continue
        keys.append(prefix + key)
        if isinstance(value, Mapping):
            keys += known_keys(value, f"{prefix}{key}.")
    return keys


def unknown_key(key: str, tree: Mapping[str, Any]) -> ConfigError:
    """The error for a key that a composed config does not have."""
    group, _, name = key.partition(".")
    if group in GROUPS and name:
        owners = options.owners_of(group, name)
        kind = (tree.get(group) or {}).get(KIND)
        if owners:
            chosen = f"{group}={kind}" if kind else f"the {group} that is chosen"
            return ConfigError(
                f"{chosen} has no setting '{name}'; it is one of {group}={', '.join(owners)}"
            )
    known = [*known_keys(tree), "experiment"]
    if group in GROUPS and name:
        known += [f"{group}.{one}" for one in options.keys_of(group)]
    short = {one.rpartition(".")[2]: one for one in known}
    hint = f"; did you mean '{short[key]}'?" if key in short and short[key] != key else ""
    return ConfigError(f"unknown key '{key}'{hint or nearest(key, known)}")
