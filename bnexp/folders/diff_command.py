"""Holds two runs against each other: the settings in which they differ, then what they reached.

Examples:
    bnexp diff 0a1b 2c3d
    bnexp diff outputs/a/0a1b2c3d4e outputs/b/2c3d4e5f6a
    bnexp diff 0a1b 2c3d --in outputs/reference
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bnexp.analysis.versions import flatten
from bnexp.command_line import Parser, one_line_errors, use_folders
from bnexp.config.options import TARGET
from bnexp.config.written import written
from bnexp.folders.finding import Found
from bnexp.folders.info_command import add_runs, flat, named_runs, told_state
from bnexp.terminal import cut, table, width

RESULTS = {
    "final_val_accuracy": ".4f",
    "best_val_accuracy": ".4f",
    "test_accuracy": ".4f",
    "test_loss": ".4f",
    "test_log_loss": ".4f",
    "steps": "d",
    "train_seconds": ".1f",
    "total_seconds": ".1f",
    "steps_per_second": ".4g",
}
ORIGIN = ("git_commit", "versions", "machine", "threads")
LACKS = "-"


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp diff`."""
    parser = Parser("bnexp diff", __doc__)
    add_runs(parser, "runs", 2)
    with one_line_errors():
        arguments = parser.parse_args(given)
        use_folders(arguments.config_dir)
        one, other = named_runs(arguments.runs, arguments.roots)
        print(diff(one, other, width()))


def diff(one: Found, other: Found, room: int | None = None) -> str:
    """What two runs differ in, in lines of at most so many characters."""
    settings = list(_settings(flat(one), flat(other)))
    rows = [
        ("", told_state(one), told_state(other)),
        *(settings or [("(all settings are the same)", "", "")]),
        ("", "", ""),
        *_results(one.result, other.result),
        *_origin(one.result, other.result),
    ]
    names = ("", str(one.place), str(other.place))
    return _side_by_side(rows, names, room)


def _side_by_side(
    rows: Sequence[tuple[str, str, str]], names: tuple[str, str, str], room: int | None
) -> str:
    if room is not None:
        keys = max(len(row[0]) for row in rows)
        half = max(8, (room - keys - 4) // 2)
        rows = [(key, cut(a, half), cut(b, half)) for key, a, b in rows]
        names = ("", _end(names[1], half), _end(names[2], half))
    return table(rows, names)


def _end(text: str, width_: int) -> str:
    """The end of a folder's name, by which runs are told apart."""
    return text if len(text) <= width_ else f"...{text[3 - width_ :]}"


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Those in which they differ; what follows from the name of an option is left out."""
    for key in dict.fromkeys([*one, *other]):
        group = key.partition(".")[0]
        follows = key == f"{group}.{TARGET}" and one.get(f"{group}.kind") != other.get(
            f"{group}.kind"
        )
        if (one.get(key, LACKS) != other.get(key, LACKS)) and not follows:
            yield key.removesuffix(".kind"), _shown(one, key), _shown(other, key)


def _shown(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, LACKS)
    return written(value) if value is None or isinstance(value, bool) else str(value)


def _results(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key, form in RESULTS.items():
        values = [result.get(key) for result in (one, other)]
        if any(value is not None for value in values):
            a, b = (LACKS if value is None else format(value, form) for value in values)
            yield key.replace("_", " "), a, b


def _origin(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Program, packages and machine, where they differ."""
    flats = [flatten({key: result.get(key) for key in ORIGIN}) for result in (one, other)]
    differing = list(_settings(*flats))
    if differing:
        yield "", "", ""
    yield from differing
