"""stdout and stderr that end no command: their reader may leave, and no character is too much."""

import io
import sys
from typing import Any


class _Steady(io.FileIO):
    """Drops what is written after the reader has gone, as in `bnexp run ... | head -1`."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def steady() -> None:
    """Makes this process's own streams so; what a notebook or a test put there is left alone.

    What the terminal's encoding lacks is shown as an escape: `\\xd7` in ASCII.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            stream.flush()
            at_once = stream.line_buffering or stream.write_through  # as stderr is
            raw = _Steady(stream.fileno(), "wb", closefd=False)
            text = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=at_once,
            )
            setattr(sys, name, text)
