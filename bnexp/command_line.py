"""Errors of the command line in one line each: what is wrong, where, and what would be right."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from bnexp.config import ConfigError
from bnexp.folders.runs import RunError
from bnexp.training.interrupt import Interrupted

BAD_INPUT = 2
SHOW_TRACE = "HYDRA_FULL_ERROR"  # Hydra's own switch


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Tells bad input in one line, without a trace, and leaves with exit code 2.

    Ctrl-C and SIGTERM leave with 130 and 143. With HYDRA_FULL_ERROR=1 set by the user, errors
    pass.
    """
    if os.environ.get(SHOW_TRACE) == "1":
        yield
        return
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from bnexp.config.explain import explain

    os.environ[SHOW_TRACE] = "1"  # Hydra then leaves errors to us
    try:
        yield
    except Interrupted as stop:
        print("\nbnexp: stopped; the same command goes on from here", file=sys.stderr)
        raise SystemExit(stop.exit_code) from None
    except (ConfigError, RunError) as error:
        message = str(error)
    except (HydraException, OmegaConfBaseException) as error:
        message = explain(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:
        return
    finally:
        del os.environ[SHOW_TRACE]
    bad_input(message)


def bad_input(message: str) -> NoReturn:
    """Leaves the program with one line on stderr."""
    print(f"bnexp: {message}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)
