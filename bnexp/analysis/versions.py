"""Configs of all versions of this program in the words of this one.

Version 0.1 wrote every key of every group, whether the run read it or not; now a run has the keys
of the options that it chose. A key that is missing, because it was added later, has its default.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from bnexp.config import ConfigError
from bnexp.config.options import GROUPS, KIND, TARGET, parameters
from bnexp.config.places import definitions
from bnexp.config.schema import PLAIN, target_of
from bnexp.config.signature import COMPUTED, REQUIRED

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
_RATE, _EVERY = "optimizer.lr_decay", "optimizer.lr_decay_every"


def in_todays_words(config: Mapping[str, Any]) -> dict[str, Any]:
    """A flat config (`optimizer.lr`) of any version, with every key that its options have."""
    flat = dict(config)
    if f"norm.{TARGET}" not in flat:
        flat = _from_0_1(flat)
    for group in GROUPS:
        target = _target(group, flat)
        if target and group not in PLAIN:
            flat.setdefault(f"{group}.{TARGET}", target)
        for key, value in _defaults(group, flat).items():
            flat.setdefault(key, value)
    return flat


def _from_0_1(flat: dict[str, Any]) -> dict[str, Any]:
    rate, every = flat.pop(_RATE, 1.0), flat.pop(_EVERY, None)
    kept = {
        key: value
        for key, value in flat.items()
        if key not in _READ_BY or flat.get(f"{key.partition('.')[0]}.{KIND}") in _READ_BY[key]
    }
    if rate == 1:
        return kept | {"schedule.kind": "constant"}
    return kept | {"schedule.kind": "exponential", "schedule.rate": rate, "schedule.every": every}


def _target(group: str, flat: Mapping[str, Any]) -> str:
    """What an option names; of version 0.1, what the option of that name is today."""
    if group in PLAIN:
        return target_of(group)
    kind = flat.get(f"{group}.{KIND}")
    return str(flat.get(f"{group}.{TARGET}") or _shipped(group).get(str(kind), ""))


def _defaults(group: str, flat: Mapping[str, Any]) -> dict[str, Any]:
    target = _target(group, flat)
    return _defaults_of(group, target) if target else {}


@cache
def _shipped(group: str) -> dict[str, str]:
    return {name: str(node.get(TARGET, "")) for name, node in definitions(group)}


@cache
def _defaults_of(group: str, target: str) -> dict[str, Any]:
    """Empty for code that is not here."""
    try:
        own, common = parameters(group, target)
    except ConfigError:
        return {}
    defaults = {name: parameter.default for name, parameter in (own | common).items()}
    return {
        f"{group}.{name}": "-".join(map(str, value)) if isinstance(value, list) else value
        for name, value in defaults.items()
        if value is not REQUIRED and value is not COMPUTED and not isinstance(value, dict)
    }
