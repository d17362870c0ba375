"""Values in the words of the command line."""

import re
from typing import Any


def assignment(key: str, value: Any) -> str:
    """An override: "optimizer.lr=0.1", "model.hidden=[100,100]"."""
    return f"{key}={written(value)}"


def written(value: Any) -> str:
    """A value as Hydra reads it."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, tuple | list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        pairs = (f"{written(key)}:{written(one)}" for key, one in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, int | float) or _is_plain(str(value)):
        return str(value)
    escaped = re.sub(r"(\\*)('|$)", _escaped, str(value))
    return f"'{escaped}'"


def _escaped(found: "re.Match[str]") -> str:
    """Backslashes count only before a quote, be it the last one."""
    return found[1] * 2 + ("\\'" if found[2] else "")


def _is_plain(text: str) -> bool:
    """Whether Hydra takes a text as it is, and for a text."""
    return re.fullmatch(r"[A-Za-z_./][\w./:+-]*", text) is not None and text.lower() not in (
        "null",
        "true",
        "false",
        "nan",
        "inf",
    )
