"""Which runs are the same: by what differs from the defaults of the options they chose."""

import hashlib
import json
from dataclasses import asdict, fields
from typing import Any

from bnexp.config import options, source
from bnexp.config.options import Option
from bnexp.config.schema import Config, Probes, Trainer, part_target
from bnexp.config.signature import REQUIRED, read

# Raised when the numbers of a run change for the same settings: by the loop, the order of batches,
# the initial weights. A change within one option raises that option's own version.
VERSION = 1

# What says where and how to run, not what: no part of a run's identity.
OPERATIONAL = (
    "threads",
    "save_model",
    "predictions",
    "tensorboard",
    "profile",
    "checkpoint_every",
    "checkpoint_seconds",
    "together",
)
PATHS = ("path",)  # of a data file counts what it holds, not where it lies


def scientific(config: Config) -> dict[str, Any]:
    """All that can change a run's numbers, as config.yaml has it: plain values, defaults too."""
    trainer = {k: v for k, v in asdict(config.trainer).items() if k not in OPERATIONAL}
    tree: dict[str, Any] = {group: one.tree() for group, one in config.options.items()}
    if content := data_content(config.data):
        tree["data"]["_content_"] = content
    tree |= {"trainer": trainer, "probes": asdict(config.probes)}
    tree |= {"metrics": list(config.metrics), "seed": config.seed}
    return tree


def identity(config: Config) -> dict[str, Any]:
    """What makes a run another run: targets, and the settings that differ from their defaults."""
    tree: dict[str, Any] = {group: difference(one) for group, one in config.options.items()}
    if content := data_content(config.data):
        tree["data"]["content"] = content
    trainer = {k: v for k, v in _changed(config.trainer).items() if k not in OPERATIONAL}
    if not config.trainer.early_steps:
        trainer.pop("early_eval_every", None)
    tree |= {"trainer": trainer, "seed": config.seed}
    if config.probes.record:
        tree["probes"] = _changed(config.probes) | {"code": _code("probes", config.probes.record)}
    if config.metrics:
        tree["metrics"] = {"names": config.metrics, "code": _code("metrics", config.metrics)}
    if VERSION > 1:
        tree["version"] = VERSION
    return tree


def run_id(config: Config) -> str:
    """First 10 hex digits of the SHA-256 of the canonical JSON of the identity."""
    canonical = json.dumps(identity(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:10]


def difference(one: Option) -> dict[str, Any]:
    """An option's target, version, source, and settings that differ from their defaults."""
    own, common = options.parameters(one.group, one.target)
    settings = {**one.settings, **one.common}
    changed = {
        key: value
        for key, value in settings.items()
        if not _is_default(value, (own | common)[key].default)
    }
    for key in PATHS:
        if one.group == "data":
            changed.pop(key, None)
    version = read(one.target).version
    found: dict[str, Any] = {"target": one.target.replace(":", ".")}
    found |= {"settings": changed} if changed else {}
    found |= {"version": version} if version > 1 else {}
    return found | ({"source": one.source} if one.source else {})


def _is_default(value: Any, default: Any) -> bool:
    return default is not REQUIRED and value == default and (value is None) == (default is None)


def _changed(values: Trainer | Probes) -> dict[str, Any]:
    """The fields of a dataclass that differ from its defaults."""
    default = type(values)()
    return {
        item.name: getattr(values, item.name)
        for item in fields(values)
        if getattr(values, item.name) != getattr(default, item.name)
    }


def _code(package: str, words: list[str]) -> str:
    return source.source_hash(*(part_target(package, word) for word in words))


def data_content(data: Option) -> str:
    """SHA-256 of the file or folder that a dataset is read from; empty: it has none.

    Raises:
        DataError: there is no such file.
    """
    from bnexp.data.files import fingerprint

    return fingerprint(data["path"]) if data.get("path") else ""


def shape(config: Config) -> str:
    """What a compiled program depends on, less the data: equal for runs that can share one."""
    parts = [_shaping(config.model), _shaping(config.norm), _shaping(config.optimizer)]
    # the learning rate and the factor of weight decay are arguments of the program
    decays = (config.optimizer.common.get("weight_decay") or 0) > 0
    augmented = [config.data.common.get("flip"), config.data.common.get("crop")]
    trainer = [config.trainer.precision, config.trainer.batch_size]
    return json.dumps([*parts, decays, augmented, trainer, config.metrics], default=str)


def _shaping(one: Option) -> dict[str, Any]:
    """An option's settings that its program is compiled for."""
    outside = read(one.target).attributes.get("outside_program", ())
    common = one.common if one.group != "optimizer" else {}
    settings = {**one.settings, **common}
    kept = {key: value for key, value in settings.items() if key not in outside}
    return {"target": one.target, "source": one.source, **kept}
