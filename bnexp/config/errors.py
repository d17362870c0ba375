"""The error for settings that cannot be run, and hints at what was meant."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting that cannot be run; the message names the key, the value and the remedy."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the known word most like `word`, or nothing if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
