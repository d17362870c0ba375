"""`--where KEY=VALUE[,VALUE]`: which runs a command is about."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from bnexp.config import ConfigError


def settings(texts: Sequence[str]) -> dict[str, list[Any]]:
    """["optimizer.lr=0.1", "optimizer.lr=1"] as {"optimizer.lr": [0.1, "0.1", 1.0, "1"]}.

    A key that is given twice has the values of both.

    Raises:
        ConfigError: a text that is no KEY=VALUE.
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not (key and equals and values):
            raise ConfigError(f"--where {text}: needs KEY=VALUE")
        words = re.split(r",(?![^\[]*\])", values)  # not within brackets
        found.setdefault(key, []).extend(one for word in words for one in _readings(word))
    return found


def _readings(word: str) -> list[Any]:
    """What a word can stand for: a text, as an id is even of digits alone; a number, a list.

    A number also as 1e-5, which YAML takes for text.
    """
    try:
        value: Any = float(word)
    except ValueError:
        try:
            value = yaml.safe_load(word)
        except yaml.YAMLError:  # an open bracket
            return [word]
    if isinstance(value, list):
        return [tuple(value), word]
    return [word] if value == word else [value, word]
