"""What there is to choose, and what every setting means.

Examples:
    bnexp options                    groups and their options
    bnexp options norm               the options of a group, a line each
    bnexp options norm=batch         an option's settings: type, range, default, meaning
    bnexp options --config-dir mine norm=scale
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from bnexp.command_line import Parser, one_line_errors, use_folders
from bnexp.config import ConfigError, nearest, places
from bnexp.config.checking import WORDS, shown
from bnexp.config.options import GROUPS, TARGET, parameters
from bnexp.config.signature import REQUIRED, Parameter, read
from bnexp.config.types import In

WIDTH = 96


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp options`."""
    parser = Parser("bnexp options", __doc__)
    parser.add_argument("words", nargs="*", metavar="GROUP[=OPTION]")
    parser.add_config_dir()
    with one_line_errors():
        arguments = parser.parse_args(given)
        use_folders(arguments.config_dir)
        for word in arguments.words or GROUPS:
            print(text(word))


def text(word: str) -> str:
    """What is told of a group or, as `group=option`, of an option.

    Raises:
        ConfigError: there is no such.
    """
    group, equals, name = word.partition("=")
    if group not in GROUPS:
        raise ConfigError(f"no group '{group}'{nearest(group, GROUPS)} ({', '.join(GROUPS)})")
    known = dict(places.definitions(group))
    if not equals:
        lines = [f"  {one:16} {summary(str(node[TARGET]))}" for one, node in known.items()]
        return "\n".join([group, *lines])
    if name not in known:
        raise ConfigError(f"no option {word}{nearest(name, known)} ({', '.join(known)})")
    return "\n".join(
        [f"{word}: {summary(str(known[name][TARGET]))}", *_settings(group, known[name])]
    )


def summary(target: str) -> str:
    """The first line of a target's docstring."""
    return (read(target).doc.splitlines() or [""])[0]


def rows(group: str, node: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Of each setting of an option: its key, type, value by default and meaning."""
    own, common = parameters(group, node[TARGET])
    for key, parameter in (own | common).items():
        value = node.get(key, parameter.default)
        default = "must be given" if value is REQUIRED else shown(value)
        yield f"{group}.{key}", kind_of(parameter), default, parameter.doc


def _settings(group: str, node: dict[str, Any]) -> Iterator[str]:
    for key, kind, default, doc in rows(group, node):
        yield f"\n  {key}={default}    {kind}"
        yield textwrap.fill(doc, WIDTH, initial_indent="      ", subsequent_indent="      ")


def kind_of(parameter: Parameter) -> str:
    """A setting's type and range in words."""
    return _kind(parameter.annotation)


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        ranges = [str(one) for one in arguments[1:] if isinstance(one, In)]
        return " ".join([_kind(arguments[0]), *ranges])
    if origin is Literal:
        return "one of " + ", ".join(map(shown, arguments))
    if origin is list:
        return f"a list, each {_kind(arguments[0])}" if arguments else "a list"
    if arguments and origin is not dict:
        return " or ".join(_kind(one) for one in arguments)
    return WORDS.get(origin or annotation, "any value")
