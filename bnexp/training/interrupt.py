"""Ctrl-C and SIGTERM, heard between two calls of the training program, never within one."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

_received: int | None = None
_parent: int | None = None


class Interrupted(BaseException):
    """Someone wants this process to stop; the state on disk lets the run go on later."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """As a shell reports a process that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


def _remember(signum: int, _: FrameType | None) -> None:
    global _received
    if _received == signum == signal.SIGINT:  # asked twice: no waiting for a safe moment
        raise Interrupted(signum)
    _received = signum


@contextmanager
def listening(*signals: int) -> Iterator[None]:
    """Within it, signals are remembered until `check`; only the main thread can listen."""
    with _handling(_remember, signals):
        yield


@contextmanager
def _handling(
    handler: Callable[[int, FrameType | None], None], signals: tuple[int, ...]
) -> Iterator[None]:
    global _received
    if threading.current_thread() is not threading.main_thread():  # no other can
        yield
        return
    _received = None
    before = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)


@contextmanager
def stop_on(*signals: int) -> Iterator[None]:
    """Within it, these signals raise `Interrupted` wherever the main thread is.

    Foreign code may turn it into an exception of its own; `check` then still raises it.
    """

    def stop(signum: int, _: FrameType | None) -> None:
        global _received
        _received = signum
        raise Interrupted(signum)

    with _handling(stop, signals):
        yield


def received() -> Interrupted | None:
    """The signal that came last, as what it raises."""
    return None if _received is None else Interrupted(_received)


@contextmanager
def for_this_process_alone() -> Iterator[None]:
    """Processes that are started within it, from whatever thread, never hear Ctrl-C.

    It reaches a terminal's whole group, also those that have not come to ignore it yet.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def watch_parent() -> None:
    """From now on, `check` also notices that the process that started this one is gone."""
    global _parent
    _parent = os.getppid()


def check() -> None:
    """A safe moment to stop.

    Raises:
        Interrupted: a signal came since `listening` began, or the watched parent has died.
    """
    if _received is not None:
        raise Interrupted(_received)
    if _parent is not None and os.getppid() != _parent:
        raise Interrupted(signal.SIGTERM)
