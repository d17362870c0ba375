"""Words and tables for people at a terminal, wide or narrow, with few characters or many."""

import shutil
import sys
from collections.abc import Sequence

NARROW, GAP = 8, 2  # no column is cut to less; spaces between columns


def duration(seconds: float) -> str:
    """ "3 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def counted(number: int, thing: str) -> str:
    """ "1 seed", "2 seeds"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def size(count: int) -> str:
    """Bytes as people say them: "12 kB", "3.4 MB"."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB" if count >= 1e3 else counted(count, "byte")
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def cut(text: str, width: int) -> str:
    """A text of at most `width` characters; three dots stand for what is left out."""
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."[: max(0, width)]


def width() -> int | None:
    """Columns of the terminal that stdout is; None: it is none, and takes lines of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(
    rows: Sequence[Sequence[str]], names: Sequence[str], flexible: str = "", room: int | None = None
) -> str:
    """Rows under names, columns of numbers to the right.

    Args:
        rows: cells as text.
        names: of the columns.
        flexible: the column that is cut where the lines are too long.
        room: characters in a line; None: as many as there are.
    """
    lines = [list(names), *map(list, rows)]
    widest = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if room is not None and flexible in names:
        place = list(names).index(flexible)
        left = room - sum(widest) + widest[place] - GAP * (len(widest) - 1)
        widest[place] = min(widest[place], max(NARROW, left))
    numbers = [_are_numbers(column) for column in zip(*lines[1:], strict=True)]
    adjust = [str.rjust if right else str.ljust for right in numbers]
    return "\n".join(
        (" " * GAP)
        .join(put(cut(cell, n), n) for cell, n, put in zip(line, widest, adjust, strict=True))
        .rstrip()
        for line in lines
    )


def _are_numbers(column: Sequence[str]) -> bool:
    """Digits first; an empty cell is as good."""
    return all(cell[:1].isdigit() or cell[:1] in ("", "-") for cell in column)
