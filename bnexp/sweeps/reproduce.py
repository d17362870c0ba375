"""Reproduces the paper: every preset, then one small file of all runs, and the report.

What is finished is not run again: after a failure or Ctrl-C the same command goes on. The run
folders go to outputs/, and what is to be committed to outputs/reference/: `runs.parquet` (all runs
of the presets, see `bnexp pack`), `times.csv`, `environment.txt`, `commands.txt`, report/.

Examples:
    bnexp reproduce                          everything
    bnexp reproduce --list                   the presets, and what each asks
    bnexp reproduce --only fig1 depth        some of them
    bnexp reproduce --out /tmp/try --runs /tmp/try/runs -- trainer.steps=50
    bnexp reproduce --check fig1             is outputs/fig1 what the reference has?
    bnexp reproduce --unpack /tmp/folders    the reference as run folders
"""

import contextlib
import csv
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, get_args

import yaml

from bnexp.analysis.versions import in_todays_words
from bnexp.command_line import Parser, one_line_errors, path
from bnexp.config import ConfigError, nearest, places
from bnexp.config.compose import check_words
from bnexp.config.options import TARGET
from bnexp.folders import runs
from bnexp.folders.runs import PACK, PROFILE, RunError
from bnexp.folders.tables import HISTORY
from bnexp.sweeps.plan import DONE, RESUME, RETRY, TODO
from bnexp.training import backend
from bnexp.training.interrupt import Interrupted
from bnexp.training.stopwatch import Part

EXPERIMENTS = places.shipped() / "experiment"
PRESETS = (  # in the order in which they are run
    "quickstart",
    "original",
    "fig1",
    "learning_rate",
    "init",
    "depth",
    "deep",
    "deep_sigmoid",
    "inception",
    "regularization",
    "shuffling",
    "lrn",
    "weight_decay",
    "weight_scale",
    "outside_gradient",
    "position",
    "momentum",
    "batch_size",
    "jacobian",
    "noisy_bn",
    "landscape",
    "effective_rate",
    "deep_start",
    "substitutes",
    "substitutes_residual",
    "skips",
)
TIMES, ENVIRONMENT, COMMANDS = "times.csv", "environment.txt", "commands.txt"
COLUMNS = ("preset", "runs", "seconds", "profiled", "total", *get_args(Part))
UNREAD = ("data.path", "metrics", "probes.images", "probes.every")
GIVEN = dict(os.environ)  # for child processes; `one_line_errors` changes ours
OURS = ("name", "output_dir", "experiment", "dry_run")  # not to be overridden
LISTED = re.compile(rf"({DONE}|{RESUME}|{RETRY}|{TODO}) +(.+?/[0-9a-f]{{10}})(?: |$)")


@dataclass(frozen=True)
class Preset:
    """A preset as it is run here.

    Attributes:
        name: its file's name in conf/experiment/.
        folder: where the sweeps' folders go.
        overrides: further overrides.
    """

    name: str
    folder: Path
    overrides: Sequence[str]

    @property
    def arguments(self) -> list[str]:
        """Of `python`, to carry it out."""
        ours = [f"experiment={self.name}", f"output_dir={self.folder}", "trainer.profile=true"]
        return ["-m", "bnexp.run", *ours, *self.overrides]

    def states(self) -> dict[Path, str]:
        """The runs' folders and how each stands.

        Raises:
            RunError: there is no such preset, it cannot be composed, or is no sweep.
        """
        _require_preset(self.name)
        command = [sys.executable, *self.arguments, "dry_run=true"]
        asked = subprocess.run(command, capture_output=True, text=True, env=GIVEN)
        listed = [match.groups() for match in map(LISTED.match, asked.stdout.splitlines()) if match]
        if asked.returncode or not listed:
            raise RunError(asked.stderr.strip().removeprefix("bnexp: ") or "lists no runs")
        return {Path(folder): state for state, folder in listed}


def _require_preset(name: str) -> None:
    known = [path.stem for path in EXPERIMENTS.glob("*.yaml")]
    if name not in known:
        hint = nearest(name, known)
        raise RunError(f"there is no preset conf/experiment/{name}.yaml{hint} (see --list)")


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp reproduce`."""
    ours, theirs = split(sys.argv[1:] if given is None else given)
    with one_line_errors():
        arguments = parser().parse_args(ours)
        if arguments.list:
            width = max(map(len, PRESETS)) + 2
            print("\n".join(f"{name:{width}}{question(name)}" for name in PRESETS))
            return
        if arguments.unpack:
            from bnexp.folders.pack import unpack

            print(f"{len(unpack(arguments.out / PACK, arguments.unpack))} runs")
            return
        if arguments.check:
            good = [check(name, arguments.out / PACK, arguments.runs) for name in arguments.check]
        else:
            good = [reproduce(arguments.only or PRESETS, arguments.runs, arguments.out, theirs)]
    sys.exit(not all(good))


def split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What stands before and after `--`."""
    where = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:where], arguments[where + 1 :]


def parser() -> Parser:
    """The options."""
    options = Parser("bnexp reproduce", __doc__, "%(prog)s [options] [-- OVERRIDE ...]")
    add = options.add_argument
    add("--only", nargs="+", metavar="NAME", help="these presets; default: all of --list")
    add("--out", type=path, default=Path("outputs/reference"), help="default: outputs/reference")
    add("--runs", type=path, default=Path("outputs"), help="of the run folders; default: outputs")
    add("--list", action="store_true", help="name the presets and stop")
    add("--check", nargs="+", metavar="NAME", help="compare the run folders with the pack, bit "
        "for bit; runs nothing; exit code 1 if a history differs")  # fmt: skip
    add("--unpack", type=path, metavar="FOLDER", help="write the pack's runs as folders")
    return options


def question(name: str) -> str:
    """A preset's first sentence on itself."""
    sentence = re.match(r".*?[.?](?= )", places.comment("experiment", name))
    return sentence[0] if sentence else "(there is no such preset)"


# --- carrying out


def reproduce(names: Sequence[str], folder: Path, out: Path, overrides: Sequence[str]) -> bool:
    """Runs presets one after the other, then packs and draws; whether all went well.

    Raises:
        ConfigError: an override that is not the user's here.
        RunError: the pack in `out` has sweeps that this one would lack.
    """
    for override in overrides:
        if override.lstrip("+").partition("=")[0] in OURS:
            raise ConfigError(f"{override}: is set by this command (see --runs, --only)")
    check_words(overrides)
    for name in names:
        _require_preset(name)
    if overrides:
        Preset(names[0], folder, overrides).states()  # refused before anything is written
    runs.make_folder(folder)
    failed: dict[str, str] = {}
    for i, name in enumerate(names):
        print(f"\n=== {name} ({i + 1} of {len(names)})", flush=True)
        try:
            run_preset(Preset(name, folder, overrides), folder / TIMES)
        except RunError as error:
            failed[name] = str(error)
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    gather([Preset(name, folder, overrides) for name in dict.fromkeys([*PRESETS, *names])], out)
    drawn = subprocess.run([sys.executable, "-m", "bnexp", "plot", str(out)], env=GIVEN)
    if drawn.returncode:
        failed["report"] = f"exit code {drawn.returncode}"
    for name, reason in failed.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
    return not failed


def run_preset(preset: Preset, times: Path) -> None:
    """Runs what is left of a preset, and notes its time, also if it fails or is interrupted.

    Raises:
        RunError: it, or one of its runs, failed.
        Interrupted: Ctrl-C or SIGTERM, after the preset's process has ended.
    """
    states = preset.states()
    rows = {row["preset"]: row for row in read_rows(times)}
    old = rows.get(preset.name)
    complete = set(states.values()) == {DONE}
    if complete:
        print(f"{len(states)} runs: all done")
        if old and old["runs"] == str(len(states)):
            return
    # the time of earlier starts counts as long as something is left of them
    spent = old["seconds"] if old and set(states.values()) != {TODO} else ""
    began = time.monotonic()
    code, stopped = (0, None) if complete else _streamed(preset.arguments)
    if not complete:
        spent = f"{float(spent or 0) + time.monotonic() - began:.1f}"
    rows[preset.name] = {"preset": preset.name, "seconds": spent, **sums(states)}
    write_rows(times, sorted(rows.values(), key=lambda row: _place(row["preset"])))
    if stopped is not None:
        raise stopped
    if code:
        raise RunError(f"exit code {code}")


def _streamed(arguments: Sequence[str]) -> tuple[int, Interrupted | None]:
    """The exit code of a Python process whose output is ours, and what interrupted us.

    It gets a signal once, from here: in our group, the terminal's Ctrl-C would reach it too.
    """
    child = subprocess.Popen([sys.executable, *arguments], env=GIVEN, start_new_session=True)
    stopped = None
    while True:
        try:
            return child.wait(), stopped
        except Interrupted as stop:
            stopped = stop
            child.send_signal(stop.signum)


def _place(name: str) -> int:
    return PRESETS.index(name) if name in PRESETS else len(PRESETS)


def sums(folders: Iterable[Path]) -> dict[str, Any]:
    """How many runs have ended, how many tell where their seconds went, and where that is."""
    ended = [folder for folder in folders if (folder / "result.json").is_file()]
    texts = [runs.read_text(folder / PROFILE) for folder in ended]
    profiles = [json.loads(text) for text in texts if text is not None]
    parts = {
        part: f"{sum(profile.get(part, 0.0) for profile in profiles):.3f}" for part in COLUMNS[4:]
    }
    return {"runs": str(len(ended)), "profiled": str(len(profiles)), **parts}


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of times.csv; none if there is no such file, or another version wrote it."""
    text = runs.read_text(path)
    rows = list(csv.DictReader((text or "").splitlines()))
    return [row for row in rows if tuple(row) == COLUMNS]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """times.csv"""
    lines = [COLUMNS, *([row[column] for column in COLUMNS] for row in rows)]
    runs.write_atomically(path, "".join(",".join(map(str, line)) + "\n" for line in lines))


def times_text(rows: Sequence[Mapping[str, str]]) -> str:
    """Each preset's minutes, and what share of its runs' seconds went where, in Markdown.

    Presets that were run before, without a profile, are left out.
    """
    from tabulate import tabulate

    shown = ("train", "evaluate", "probe", "compile")
    table = []
    rows = [row for row in rows if row["seconds"] and float(row["total"])]
    for row in rows:
        total = float(row["total"])
        shares = [float(row[part]) / total for part in shown]
        told = [f"{share:.0%}" for share in (*shares, 1 - sum(shares))]
        table.append([row["preset"], row["runs"], f"{float(row['seconds']) / 60:.1f}", *told])
    whole = [sum(float(row[key]) for row in rows) for key in ("runs", "seconds")]
    table.append(["together", f"{whole[0]:.0f}", f"{whole[1] / 60:.1f}"])
    return tabulate(table, ["preset", "runs", "minutes", *shown, "other"], "pipe")


# --- what is committed


def gather(presets: Sequence[Preset], out: Path) -> None:
    """Writes the pack and what tells of its origin.

    Only now, as a change in a tracked file would mark the commit in every result as dirty.

    Raises:
        RunError: there is nothing to pack, or the old pack has sweeps that this one would lack.
    """
    from bnexp.folders.pack import pack, read

    told = environment()
    members = {preset.name: ended_runs(preset) for preset in presets}
    chosen = [folder for folders in members.values() for folder in folders]
    if not chosen:
        raise RunError(f"{out / PACK}: not written, as no run of a preset has ended")
    folder = presets[0].folder
    sweeps = {run.parent.relative_to(folder).as_posix() for run in chosen}
    lost = set(read(out / PACK).runs) - sweeps if (out / PACK).exists() else set()
    if lost:
        raise RunError(
            f"{out / PACK}: not replaced, as {folder} lacks its sweeps {', '.join(sorted(lost))} "
            "(give another --out, or --unpack them first)"
        )
    runs.make_folder(out)
    pack(chosen, out / PACK, folder)
    rows = [row for row in read_rows(folder / TIMES) if members.get(row["preset"])]
    write_rows(out / TIMES, rows)
    lines = [["python", *one.arguments] for one in presets if members[one.name]]
    lines.append(["bnexp", "plot", str(out)])
    text = "".join(f"{shlex.join(line)}\n" for line in lines)
    runs.write_atomically(out / COMMANDS, text)
    runs.write_atomically(out / ENVIRONMENT, told)
    print(f"\n{times_text(rows)}")
    print(f"\n{out / PACK}: {len(set(chosen))} runs, {(out / PACK).stat().st_size / 1e6:.2f} MB")


def ended_runs(preset: Preset) -> list[Path]:
    """The folders of a preset's runs that have a result; none if there is no such preset."""
    if not (preset.folder / sweep_of(preset.name)).is_dir():
        return []
    try:
        return [folder for folder in preset.states() if (folder / "result.json").is_file()]
    except RunError:
        return []


def environment() -> str:
    """Python, machine, commit, and every package, a line each."""
    facts = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": backend.cpu_name(),
        "cores": os.cpu_count(),
        "commit": runs.git_commit(),
    }
    packages = {f"{one.metadata['Name']}=={one.version}" for one in distributions()}
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    return "\n".join([*lines, "", *sorted(packages, key=str.lower)]) + "\n"


# --- comparing


def check(name: str, path: Path, folder: Path) -> bool:
    """Whether the histories of a preset's run folders are those in the pack, and any is there."""
    from bnexp.folders.pack import read, read_exactly

    sweep = sweep_of(name)
    packed = read(path).runs.get(sweep)
    if packed is None:
        raise RunError(f"{path}: has no sweep {sweep}")
    counts = {"identical": 0, "different": 0, "missing": 0}
    folders = (folder / sweep).glob("*/config.yaml")
    mine = dict(_by_settings(folders))
    for run, files in packed.items():
        if HISTORY not in files:  # failed before its first step
            continue
        place = mine.get(settings(files["config.yaml"], path / sweep / run))
        history = read_exactly(place / HISTORY) if place else None
        state = "different"
        if history is None:
            state = "missing"
        elif timeless(history) == timeless(files["history.csv"]):
            state = "identical"
        else:
            print(f"{place}: its history differs from {path / sweep / run}")
        counts[state] += 1
    print(f"{name}: {', '.join(f'{count} {state}' for state, count in counts.items())}")
    return counts["identical"] > 0 and counts["different"] == 0


def _by_settings(configs: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Run folders by their settings; what is no run is left out."""
    for config in configs:
        with contextlib.suppress(RunError):
            yield settings(runs.read_text(config) or "", config), config.parent


def settings(config: str, place: Path) -> str:
    """A run's settings, whichever version of this program wrote them down."""
    flat = in_todays_words(runs.parsed_config(config, place))
    told = {key: str(value) for key, value in flat.items() if not key.endswith(TARGET)}
    return json.dumps({key: told[key] for key in sorted(told) if key not in UNREAD})


def sweep_of(name: str) -> str:
    """The folder that a preset's runs go to."""
    path = EXPERIMENTS / f"{name}.yaml"
    if not path.is_file():
        return name
    return str(yaml.safe_load(path.read_text(encoding="utf-8")).get("name", name))


def timeless(history: str) -> list[list[str]]:
    """The cells of a history, less its seconds."""
    rows = [line.split(",") for line in history.split("\n")]
    place = rows[0].index("seconds") if "seconds" in rows[0] else len(rows[0])
    return [row[:place] + row[place + 1 :] for row in rows]
