"""Types of settings with their ranges, for the signatures of options.

`Annotated[float, In("[0, 1)")]` is a number from 0 to below 1. This module imports neither
TensorFlow nor Hydra.
"""

import math
import re
from dataclasses import dataclass
from typing import Annotated

_INTERVAL = re.compile(r"([\[(])\s*(\S+)\s*,\s*(\S+?)\s*([\])])")


@dataclass(frozen=True)
class In:
    """A range in the notation of intervals: "(0, inf)" is above 0, "[0, 1)" from 0 to below 1.

    Raises:
        ValueError: no interval.
    """

    interval: str

    def __post_init__(self) -> None:
        self._parts()

    def _parts(self) -> tuple[str, float, float, str]:
        found = _INTERVAL.fullmatch(self.interval)
        if not found:
            raise ValueError(f"{self.interval!r} is no interval such as '[0, 1)'")
        return found[1], float(found[2]), float(found[3]), found[4]

    def __contains__(self, value: float) -> bool:
        left, low, high, right = self._parts()
        above = value > low or (left == "[" and value == low)
        below = value < high or (right == "]" and value == high)
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        """In words: "above 0", "from 0 to below 1"."""
        left, low, high, right = self._parts()
        words = []
        if not math.isinf(low):
            words.append(f"from {low:g}" if left == "[" else f"above {low:g}")
        if not math.isinf(high):
            words.append(f"{'to' if right == ']' else 'to below'} {high:g}")
        if words == [f"from {low:g}"]:
            return f"at least {low:g}"
        return " ".join(words) or "finite"


class NotEmpty:
    """A list with at least one item."""


class Home:
    """A path, in which `~` is the user's folder."""


Place = Annotated[str, Home()]
# The upper bounds lie far above what anyone means: a number beyond is a slip, and would never end.
Positive = Annotated[float, In("(0, inf)")]
NonNegative = Annotated[float, In("[0, inf)")]
Share = Annotated[float, In("[0, 1)")]
Count = Annotated[int, In("[1, 1e9]")]
Index = Annotated[int, In("[0, 1e9]")]
Widths = Annotated[list[Count], NotEmpty()]
