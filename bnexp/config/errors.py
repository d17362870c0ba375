"""The error for settings that cannot be run, and hints at what was meant."""

import difflib
import re
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting that cannot be run; the message names the key, the value and the remedy."""


_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# What Keras and TensorFlow wrap around the error of a user's code.
_WRAPPING = re.compile(
    r"Exception encountered when calling|in user code:|File \"|Arguments received|•"
)


def reason(error: BaseException) -> str:
    """An error in one line: of a message of many lines the one that tells what went wrong."""
    text = _ANSI.sub("", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not _WRAPPING.match(line)]
    if not told:
        return lines[0] if lines else type(error).__name__
    return told[-1] if "in user code:" in text else told[0]


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the known word most like `word`, or nothing if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
