"""Values of settings against the types and ranges that signatures give them."""

import math
import types as python_types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from bnexp.config.errors import ConfigError, nearest
from bnexp.config.places import given
from bnexp.config.types import Home, In, NotEmpty

WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "keys and values",
    type(None): "null",
}


class _WrongError(Exception):
    """A value of another type or beyond its range; the text says what is expected."""


def checked(key: str, value: Any, annotation: Any) -> Any:
    """The value as its type has it: 1e3 as 1000 where a whole number is asked, 1 as 1.0.

    Raises:
        ConfigError: another type or out of range; the message says what is expected.
    """
    try:
        return _checked(value, annotation)
    except _WrongError as wrong:
        raise ConfigError(f"{key}={shown(value)}{wrong}") from None


def shown(value: Any) -> str:
    """A value as one would write it on the command line, cut where it is long."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _checked(value: Any, annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if origin is Annotated:
        return _in_range(_checked(value, arguments[0]), arguments[1:], arguments[0])
    if origin is Literal:
        return _one_of(value, arguments)
    if origin in (Union, python_types.UnionType):
        return _any_of(value, arguments)
    if origin is list or annotation is list:
        return _list(value, arguments)
    if origin is dict or annotation is dict:
        return _typed(value, dict)
    return _typed(value, annotation) if annotation in WORDS else value


def _typed(value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise _WrongError(" is out of range: too large for a number") from None
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    fits = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if isinstance(value, list):
        raise _WrongError(f": give {WORDS[kind]}; values of a sweep have commas alone, as in 1,2")
    if not fits:
        raise _WrongError(f": give {WORDS[kind]}")
    return value


def _in_range(value: Any, ranges: Iterable[Any], kind: Any) -> Any:
    for allowed in ranges:
        if isinstance(allowed, Home) and value:
            value = str(given(value))
        if isinstance(allowed, NotEmpty) and not value:
            raise _WrongError(": give at least one value")
        if isinstance(allowed, In) and value is not None and not _within(value, allowed):
            word = "a whole number" if kind is int else "a finite number"
            raise _WrongError(f" is out of range: {word} {allowed}")
    return value


def _within(value: float, allowed: In) -> bool:
    try:
        return math.isfinite(value) and value in allowed
    except OverflowError:
        return False


def _one_of(value: Any, known: tuple[Any, ...]) -> Any:
    if value in known and type(value) in {type(one) for one in known}:
        return value
    hint = nearest(str(value), map(str, known))
    raise _WrongError(f" is not one of {', '.join(map(shown, known))}{hint}")


def _any_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    if value is None and type(None) in kinds:
        return None
    wrongs = []
    for kind in kinds:
        if kind is not type(None):
            try:
                return _checked(value, kind)
            except _WrongError as wrong:
                wrongs.append(str(wrong))
    null = " or null" if type(None) in kinds else ""
    raise _WrongError("; or".join(wrongs) + null)


def _list(value: Any, arguments: tuple[Any, ...]) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise _WrongError(": give a list, as in [1,2]")
    found = []
    for one in value:
        try:
            found.append(_checked(one, arguments[0] if arguments else Any))
        except _WrongError as wrong:
            in_list = f": {shown(one)} in it" if str(wrong).startswith(" ") else ""
            raise _WrongError(f"{in_list}{wrong}") from None
    return found
