"""Tells what is known of a run: settings, results, where the time went, how to repeat it.

Examples:
    bnexp info outputs/quickstart/0a1b2c3d4e
    bnexp info 0a1b                         the start of an id will do, of a run in outputs/
    bnexp info 0a1b --in outputs/reference  elsewhere, also in a pack
    bnexp info 0a1b --all                   every setting, and the whole log
"""

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bnexp.command_line import Parser, one_line_errors, path, use_folders
from bnexp.config import Config, ConfigError
from bnexp.folders import runs
from bnexp.folders.errors import RunError
from bnexp.folders.finding import Found, find
from bnexp.folders.state import RUNNING, UNFINISHED, steps_of
from bnexp.terminal import counted, duration, size, width

LOG_LINES, LOG_LINES_OF_FAILED = 5, 15
LABEL = 10  # characters of what stands before a line
MEASURED = {
    "final_val_accuracy": "validation accuracy",
    "best_val_accuracy": "best of it",
    "test_accuracy": "test accuracy",
    "test_loss": "test loss",
    "test_log_loss": "test log loss",
}


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp info`."""
    parser = Parser("bnexp info", __doc__)
    add_runs(parser, "run")
    parser.add_argument("--all", action="store_true", help="every setting, and the whole log")
    with one_line_errors():
        arguments = parser.parse_args(given)
        use_folders(arguments.config_dir)
        found = named_runs(arguments.run, arguments.roots)
        print("\n\n".join(info(run, everything=arguments.all, room=width()) for run in found))


def add_runs(parser: Parser, name: str, count: int | str = "+") -> None:
    """The arguments that name runs."""
    parser.add_argument(
        name, nargs=count, metavar="RUN", help="a folder, or the start of a run's id"
    )
    parser.add_argument(
        "--in",
        dest="roots",
        action="append",
        type=path,
        metavar="FOLDER",
        help="where ids are looked for, as often as one likes; default: outputs/",
    )
    parser.add_config_dir()


def named_runs(words: Sequence[str], roots: Sequence[Path] | None) -> list[Found]:
    """The runs that are named, ids by what lies in the folders.

    Raises:
        RunError: there is no such run, or there are several.
    """
    return [find(word, roots or [Path("outputs")]) for word in words]


def info(run: Found, *, everything: bool = False, room: int | None = None) -> str:
    """All that is told of a run, in lines of so many characters; None: of any length."""
    config = _typed(run)
    parts = {
        "": [f"{run.place}: {told_state(run)}"],
        "reached": list(_results(run.result)),
        "settings": list(_settings(run, config, everything)),
        "time": list(_times(run)),
        "made by": [line for line in _origin(run.result) if line],
        "files": list(_files(run)),
        "log": list(_log(run, everything)),
        "again": again(run, config),
    }
    return "\n".join(
        line
        for name, lines in parts.items()
        for line in _labelled(name, _wrapped(name, lines, room))
    )


def _wrapped(name: str, lines: Sequence[str], room: int | None) -> list[str]:
    """Lines that are long as several, but for those that are to be copied."""
    if room is None or name in ("again", "log"):
        return [*lines]
    return [part for line in lines for part in textwrap.wrap(line, max(20, room - LABEL))]


def _labelled(name: str, lines: Sequence[str]) -> Iterator[str]:
    for i, line in enumerate(lines):
        yield f"{(name if i == 0 else ''):{LABEL}}{line}" if name else line


def told_state(run: Found) -> str:
    """How a run stands, in words: "running, at step 1200 of 5000"."""
    state, result = run.state, run.result
    if state in (RUNNING, UNFINISHED):
        evaluated = 0 if run.is_packed else runs.latest(run.place)[0]
        steps = evaluated if run.is_packed else steps_of(run.place, evaluated)
        return f"{state}, at step {steps} of {run.config['trainer']['steps']}"
    if state == runs.FINISHED:
        return f"{state}, {result['steps']} steps in {duration(result['total_seconds'] or 0)}"
    return runs.summary(result)


def _typed(run: Found) -> Config | str:
    """The typed config, or why there is none."""
    try:
        return runs.typed(run.config, run.place)
    except RunError as error:
        return str(error).partition(": ")[2]


def _results(result: dict[str, Any]) -> Iterator[str]:
    told = [
        f"{name} {result[key]:.4f}" for key, name in MEASURED.items() if result.get(key) is not None
    ]
    if told:
        yield ", ".join(told[:3])
        yield from [", ".join(told[3:])] if told[3:] else []
    further = {
        key: value
        for key, value in result.items()
        if key.startswith("test_") and key not in MEASURED and isinstance(value, float)
    }
    if further:
        yield ", ".join(f"{key.replace('_', ' ')} {value:.4f}" for key, value in further.items())


def _settings(run: Found, config: Config | str, everything: bool) -> Iterator[str]:
    """Those that differ from the defaults; all of a run that this version cannot make."""
    from bnexp.config.changes import changes

    if not isinstance(config, str) and not everything:
        found = changes(config)
        yield from found or ["the defaults"]
        if found:
            yield "(the others are the defaults: --all shows them)"
        return
    for key, value in flat(run).items():
        if not key.endswith("_target_"):
            yield f"{key}={'null' if value is None else value}"


def flat(run: Found) -> dict[str, Any]:
    """The settings of a run of any version, with dots, in the words of this one."""
    from bnexp.analysis.versions import in_todays_words

    try:
        return in_todays_words(run.config)
    except ConfigError as error:
        raise RunError(f"{run.place / 'config.yaml'}: {error}") from error


def _times(run: Found) -> Iterator[str]:
    result = run.result
    if result.get("train_seconds"):
        yield (
            f"{duration(result['train_seconds'])} of training, "
            f"{result['steps_per_second']:.4g} steps a second"
        )
    if run.profile:
        counts = ("total", "steps", "compiled", "first_step")
        spent = {key: s for key, s in run.profile.items() if key not in counts and s >= 0.05}
        largest = sorted(spent, key=lambda key: -spent[key])
        yield ", ".join(f"{key} {spent[key]:.1f} s" for key in largest)


def _origin(result: dict[str, Any]) -> Iterator[str]:
    """Program, packages, machine."""
    if "versions" not in result:
        return
    versions = result["versions"] or {}
    yield ", ".join([runs.made_by(result), *(f"{k} {v}" for k, v in versions.items())])
    machine = result.get("machine") or {}
    parts = [
        machine.get("cpu"),
        machine.get("cores") and f"{machine['cores']} cores",
        *(machine.get("gpu") or []),
        machine.get("system"),
        result.get("threads") and f"{counted(result['threads'], 'thread')} used",
    ]
    yield ", ".join(str(part) for part in parts if part)


def _files(run: Found) -> Iterator[str]:
    if run.is_packed:
        yield "in a pack; bnexp pack --unpack writes it out as a folder"
        return
    found = [one for one in sorted(run.place.rglob("*")) if one.is_file()]
    shown = [one for one in found if not one.name.startswith(".")]
    names = (
        f"{one.relative_to(run.place).as_posix()} ({size(one.stat().st_size)})" for one in shown
    )
    yield ", ".join(names)


def _log(run: Found, everything: bool) -> Iterator[str]:
    """The end of the log of a run that has not come to a good end."""
    status = run.result["status"]
    if run.is_packed or (status == runs.FINISHED and not everything):
        return
    text = runs.read_text(run.place / "run.log") or ""
    last = LOG_LINES_OF_FAILED if status == runs.FAILED else LOG_LINES
    yield from text.splitlines()[0 if everything else -last :]


def again(run: Found, config: Config | str) -> list[str]:
    """The command that makes this run; behind it, if so, why it would make another one today."""
    from bnexp.config.changes import changes, repeating

    if isinstance(config, str):
        return [f"cannot be run by this version: {config}"]
    try:
        words, doubt = repeating(config, run.place.name), []
    except ConfigError as error:
        words, doubt = changes(config), [f"(not as it was: {error})"]
    return [shlex.join(["bnexp", "run", *words, *_places(run), *_threads(run.result)]), *doubt]


def _places(run: Found) -> Iterator[str]:
    """Where it lies, unless it is where runs go by default."""
    from bnexp.config.written import assignment

    sweep = run.place.parent
    if run.is_packed:
        yield assignment("name", sweep.name)
        return
    if sweep.name != "default":
        yield assignment("name", sweep.name)
    if str(sweep.parent) != "outputs":
        yield assignment("output_dir", str(sweep.parent))


def _threads(result: dict[str, Any]) -> Iterator[str]:
    """Another number of them gives other low-order bits."""
    if (result.get("threads") or 1) > 1:
        yield f"trainer.threads={result['threads']}"
