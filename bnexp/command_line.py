"""What all commands share: their arguments, Ctrl-C, and errors in one line each.

An error says what is wrong, where, and what would be right.
"""

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

from bnexp import streams
from bnexp.config import ConfigError, places
from bnexp.config.checking import checked
from bnexp.config.types import In
from bnexp.folders.errors import RunError
from bnexp.training import interrupt

BAD_INPUT = 2
NO_MEMORY = re.compile("failed to map segment|[Cc]annot allocate memory")  # of the linker
SHOW_TRACE = "HYDRA_FULL_ERROR"  # Hydra's own switch


class Parser(argparse.ArgumentParser):
    """The arguments of a command; what is wrong with them is told in one line."""

    def __init__(
        self, prog: str | None, description: str | None, usage: str | None = None, **others: Any
    ) -> None:
        others["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=prog, description=description, usage=usage, **others)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}  ({self.prog} --help tells more)")

    def add_config_dir(self) -> None:
        """`--config-dir FOLDER`, as often as one likes."""
        self.add_argument(
            "--config-dir",
            action="append",
            default=[],
            type=path,
            metavar="FOLDER",
            help="a folder of your own options and modules",
        )

    def add_where(self, told: str = "only runs") -> None:
        """`--where KEY=VALUE[,VALUE]`, for `bnexp.where.settings`."""
        self.add_argument(
            "--where",
            nargs="+",
            action="extend",  # given twice, both count
            default=[],
            metavar="KEY=VALUE[,VALUE]",
            help=f"{told} that have one of the values, of every key",
        )


def path(text: str) -> Path:
    """A path that was given: not empty, with `~` as the user's folder."""
    try:
        return places.given(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def whole(interval: str) -> Callable[[str], int]:
    """A whole number in an interval such as "[1, 100]"."""

    def parse(text: str) -> int:
        number: Any = int(text) if text.strip().lstrip("+-").isdecimal() else text
        try:
            return int(checked("", number, Annotated[int, In(interval)]))
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error).removeprefix("=")) from None

    return parse


def use_folders(folders: Sequence[Path]) -> None:
    """Makes modules importable from where one stands and from `--config-dir`."""
    places.importable(Path.cwd())
    for folder in folders:
        places.use_folder(folder)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Tells bad input in one line, without a trace, and leaves with exit code 2.

    Ctrl-C and SIGTERM leave with 130 and 143. With HYDRA_FULL_ERROR=1 set by the user, errors
    pass.
    """
    streams.steady()
    if os.environ.get(SHOW_TRACE) == "1":
        with interrupt.stop_on(signal.SIGINT, signal.SIGTERM):
            yield
        return
    os.environ[SHOW_TRACE] = "1"  # Hydra then leaves errors to us
    try:
        "".join(sys.argv).encode()
        with interrupt.stop_on(signal.SIGINT, signal.SIGTERM), enough_memory():
            yield
    except interrupt.Interrupted as stop:
        _leave(stop)
    except (ConfigError, RunError, OSError, UnicodeEncodeError) as error:
        message = _in_one_line(error)
    except Exception:
        heard = interrupt.received()  # which foreign code turned into an exception of its own
        if heard:
            _leave(heard)
        raise
    else:
        return
    finally:
        del os.environ[SHOW_TRACE]
    bad_input(message)


@contextmanager
def enough_memory() -> Iterator[None]:
    """Tells in one line that memory does not suffice, also to load a library."""
    try:
        yield
    except MemoryError:
        bad_input("out of memory")
    except ImportError as error:
        if not NO_MEMORY.search(str(error)):
            raise
        bad_input(f"out of memory: {error}; is there a limit, as by ulimit -v?")


def _leave(stop: interrupt.Interrupted) -> NoReturn:
    print("\nbnexp: stopped; the same command goes on from here", file=sys.stderr)
    raise SystemExit(stop.exit_code) from None


def _in_one_line(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        name = ascii(error.object[error.start : error.end])
        return f"{name} in a name is no text to this terminal; set PYTHONUTF8=1, or rename it"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def bad_input(message: str) -> NoReturn:
    """Leaves the program with one line on stderr."""
    print(f"bnexp: {message}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)
