"""By which of its overrides a run is told apart from the others of its sweep."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

ESCAPED = re.compile(r"\\(.)")  # as Hydra has what a sweep's value may not hold
REPEATED = re.compile(r"^\$\{repeat:([^,]+),(\d+)\}$")


def differing(overrides: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Of the overrides of each run those that not all runs have."""
    common = set.intersection(*map(set, overrides)) if overrides else set()
    return [tuple(word for word in words if word not in common) for words in overrides]


def short_labels(settings: Sequence[Sequence[str]]) -> list[str]:
    """Overrides as one text a run, each by the last part of its key if that will do.

    So it is "norm=none lr=0.1" for `norm=none optimizer.lr=0.1`, and "hidden=20×100" for
    `model.hidden=${repeat:100,20}`.
    """
    keys = dict.fromkeys(word.partition("=")[0] for words in settings for word in words)
    ends = {key: key.rpartition(".")[2] for key in keys}
    count = Counter(ends.values())
    names = {key: end if count[end] == 1 else key for key, end in ends.items()}
    return [" ".join(_renamed(word, names) for word in words) for words in settings]


def _renamed(word: str, names: Mapping[str, str]) -> str:
    key, equals, value = word.partition("=")
    shown = REPEATED.sub(r"\2×\1", ESCAPED.sub(r"\1", value))
    return f"{names[key]}{equals}{shown}"
