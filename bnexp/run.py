"""Trains networks as `conf/` and the command line say: one run, or with --multirun a sweep."""

import os
import re
import sys
import types
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from bnexp.command_line import Parser, bad_input, one_line_errors, use_folders
from bnexp.config import Config, ConfigError, build, places
from bnexp.config.checking import checked
from bnexp.config.compose import (
    check_words,
    explained,
    named_presets,
    plain,
    preset_parameters,
    readable,
    single_presets,
    swept_groups,
)
from bnexp.config.types import Place
from bnexp.folders import commands
from bnexp.folders.runs import FAILED, RunError, made_by, objective, run_folder, summary
from bnexp.sweeps.execute import BUSY, execute, lacks, result_if_done


def task(composed: DictConfig) -> float:
    """One run, alone or as a job of a launcher; returns the objective of a search.

    A launcher's worker must get an ordinary exception: it takes SystemExit for its own end.
    """
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        os.chdir(hydra_config.runtime.cwd)  # a cluster's worker may stand elsewhere
        return _run(_typed(composed), terminal=False)
    try:
        return _run(_typed(composed), terminal=True)
    except ConfigError as error:  # before Hydra adds lines of its own
        bad_input(str(error))
    except OSError as error:  # a folder that cannot be written to, a disk that is full
        bad_input(str(error))
    except RunError as error:
        raise SystemExit(f"bnexp: {error}") from None


def _run(config: Config, *, terminal: bool) -> float:
    if terminal and config.dry_run:
        print(_listing(config), flush=True)
        return 0.0
    if terminal and (done := result_if_done(config)):
        told = f"{run_folder(config)}: done before, by {made_by(done)}: {summary(done)}"
        lacking = "".join(f"; {one}" for one in lacks(config, done))
        print(f"{told}{lacking}; rerun=true makes it again", flush=True)
        return objective(done)
    record = partial(commands.record, config.sweep_dir) if terminal else None
    result = execute(config, terminal=terminal, begin=record)
    if result["status"] == BUSY:
        raise RunError(f"{run_folder(config)}: another process runs it just now")
    if result["status"] == FAILED:
        log = run_folder(config) / "run.log"
        raise RunError(f"{summary(result)} (traceback: {log})")
    if terminal:
        print(f"{run_folder(config)}: {summary(result)}", flush=True)
    return objective(result)


def _listing(config: Config) -> str:
    """What a sweep of this one run would list."""
    from bnexp.sweeps.plan import Job, make_plan

    plan = make_plan([Job(config, (), ())])
    return "\n".join([f"{plan.folders}: {plan}", *plan.notes, plan.listing()])


def _typed(composed: DictConfig) -> Config:
    """The typed config; before that, the user's folders are found on a cluster's worker too."""
    tree = plain(composed)
    use_folders([Path(one) for one in checked("config_dirs", tree["config_dirs"], list[Place])])
    return build(tree)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `python -m bnexp.run`, also `bnexp run`.

    Args:
        arguments: None: those of the command line.
    """
    # conf/hydra/launcher/ray.yaml and submitit_slurm.yaml bear the names of the plugins' schemas
    warnings.filterwarnings("ignore", message="(?s).*validated against ConfigStore schema")
    with one_line_errors(), explained():
        given = sys.argv[1:] if arguments is None else list(arguments)
        commands.typed[:] = given
        sys.argv[1:] = hydra_arguments(given)
        shipped = str(places.shipped())
        hydra.main(config_path=shipped, config_name="config", version_base="1.3")(task)()


def hydra_arguments(given: Sequence[str]) -> list[str]:
    """The command line as Hydra gets it: our folders of options known, `--config-dir` taken out."""
    parser = Parser("bnexp run", None, add_help=False, allow_abbrev=False)
    parser.add_config_dir()
    words = ["--config-dir" if word == "-cd" else word for word in given]  # Hydra's short form
    known, rest = parser.parse_known_args(words)
    use_folders(known.config_dir)
    if known.config_dir:
        rest.append(f"config_dirs={[str(folder.absolute()) for folder in known.config_dir]}")
    theirs = get_args_parser()
    theirs.error = parser.error
    overrides = theirs.parse_args(rest).overrides
    flags = [word for word in rest if word not in overrides]
    overrides = readable(_of_trials(overrides))
    check_words(overrides)
    return [*flags, *_left_to_the_sweep(overrides)]


def _of_trials(arguments: list[str]) -> list[str]:
    """The arguments with what a trial needs: its sweeper, its folder, its words in quotes.

    A preset is a trial if it has settings `trial.*`; a config's own choice of a sweeper comes
    before that of its presets.
    """
    given = {word.partition("=")[0] for word in arguments}
    words = [_quoted(word) for word in arguments]
    if "hydra/sweeper" not in given and any(
        "trial" in node for _, node in named_presets(arguments)
    ):
        words.append("hydra/sweeper=trial")
    if "hydra/sweeper=trial" not in words:
        return words
    words.append("hydra.mode=MULTIRUN")
    return words if given & {"name", "experiment"} else [*words, "name=trial"]


def _quoted(word: str) -> str:
    """Words within a word, as trial.arms=norm=none,batch, would be taken for a sweep of it.

    And values with commas, as trial.choose_by=accuracy,loss, are a list.
    """
    key, _, value = word.partition("=")
    if not key.startswith("trial."):
        return word
    if "=" not in value:
        return f"{key}=[{value}]" if "," in value and value[0] not in "'\"{[" else word
    if not (listed := re.fullmatch(r"\[(.*)\]", value)):
        return word if value[0] in "'\"{" else f'{key}="{value}"'
    items = re.findall(r"""("[^"]*"|'[^']*'|[^,]+)(?:,|$)""", listed[1])
    quoted = [item if item.strip()[:1] in "'\"" else f'"{item.strip()}"' for item in items]
    return f"{key}=[{','.join(quoted)}]"


def _left_to_the_sweep(arguments: list[str]) -> list[str]:
    """Settings of a group of which several options are swept, as sweeps over one value.

    Hydra would set them in the group's default option, which need not have such a key.
    """
    of_presets = [word for one in single_presets(arguments) for word in preset_parameters(one)]
    groups = swept_groups([*arguments, *of_presets])
    return [
        f"{key}=choice({value})" if _is_setting_of(groups, key, value) else text
        for text in arguments
        for key, _, value in [text.partition("=")]
    ]


def _is_setting_of(groups: set[str], key: str, value: str) -> bool:
    swept = re.match(r"(choice|range|interval|glob|sort|shuffle|tag)\(", value)
    several = "," in re.sub(r"\[[^\]]*\]|\{[^}]*\}|'[^']*'", "", value)
    return key.partition(".")[0] in groups and "." in key and not (swept or several)


class _Callable(types.ModuleType):
    """`bnexp.run(...)` from Python, while `python -m bnexp.run` is this module."""

    def __call__(self, *overrides: str, **arguments: Any) -> Any:
        from bnexp.api import run

        return run(*overrides, **arguments)


if __name__ == "__main__":
    main()
else:
    sys.modules[__name__].__class__ = _Callable
