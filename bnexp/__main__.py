"""The command `bnexp`, also `python -m bnexp`: one name for all that there is to do."""

import importlib
import sys

from bnexp import __version__

# name -> (module whose main(arguments) does it, what it does)
COMMANDS = {
    "run": ("bnexp.run", "train: one run, or with --multirun a sweep"),
    "trial": ("bnexp.sweeps.trial_command", "which arm is better, every arm tuned alike"),
    "list": ("bnexp.folders.list_command", "runs: settings, how they stand, what they reached"),
    "info": ("bnexp.folders.info_command", "all about a run, and how to repeat it"),
    "diff": ("bnexp.folders.diff_command", "two runs held against each other"),
    "plot": ("bnexp.analysis.command", "figures, tables, verdicts and a report page"),
    "evaluate": ("bnexp.evaluate", "test a kept network again"),
    "options": ("bnexp.options", "what there is to choose, and what every setting means"),
    "check": ("bnexp.check", "try an option of your own, and say what it lacks"),
    "pack": ("bnexp.folders.pack_command", "many runs as one small file, and back"),
    "clean": ("bnexp.folders.clean_command", "remove what was left behind, and runs if asked"),
    "export": ("bnexp.analysis.export", "runs to MLflow"),
    "completion": ("bnexp.completion", "completion in the shell"),
    "reproduce": ("bnexp.sweeps.reproduce", "the paper's claims: every preset, judged"),
}
EXAMPLES = """
  bnexp run norm=none seed=1
  bnexp run --multirun norm=none,batch optimizer.lr=0.01,0.1 seed=0,1,2
  bnexp run experiment=quickstart
  bnexp trial model=mlp trainer.steps=2000
  bnexp plot outputs/quickstart
"""


def main() -> None:
    """Hands over to the command that is named first."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--version", "-V", "version"):
        _show(f"bnexp {__version__}")
    elif name in ("--help", "-h", "help"):
        _show(_help())
    elif name in COMMANDS:
        from bnexp.command_line import enough_memory

        sys.argv = [f"bnexp {name}", *arguments]
        with enough_memory():
            command = importlib.import_module(COMMANDS[name][0])
        command.main(arguments)
    else:
        from bnexp.command_line import bad_input
        from bnexp.config.errors import nearest

        known = ", ".join(COMMANDS)
        bad_input(f"no command '{name}'{nearest(name, COMMANDS)} (there are: {known})")


def _show(text: str) -> None:
    from bnexp.streams import steady

    steady()
    print(text)


def _help() -> str:
    lines = [f"  {name:10} {what}" for name, (_, what) in COMMANDS.items()]
    told = "\n".join(lines)
    return (
        "bnexp: what does Batch Normalization do to training?\n\n"
        f"usage: bnexp COMMAND ...    (bnexp COMMAND --help tells more)\n\n{told}\n{EXAMPLES}"
    )


if __name__ == "__main__":
    main()
