"""Imported first by a command: Ctrl-C while the program is still being loaded leaves no traceback.

Nothing is under way by then, so it may end at once; `command_line` soon takes over.
"""

import os
import signal


def _leave(signum: int, _: object) -> None:
    os.write(2, b"\nbnexp: stopped\n")
    os._exit(128 + signum)


signal.signal(signal.SIGINT, _leave)
