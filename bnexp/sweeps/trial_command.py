"""The command `bnexp trial`: `bnexp run hydra/sweeper=trial`."""

import sys
from collections.abc import Sequence

from bnexp.run import main as run


def main(arguments: Sequence[str] | None = None) -> None:
    """Hands over to `bnexp run`.

    Args:
        arguments: None: those of the command line.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    chosen = any(word.startswith("hydra/sweeper=") for word in given)
    run(given if chosen else [*given, "hydra/sweeper=trial"])
