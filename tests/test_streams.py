"""Output that nobody's buffer holds back."""

import subprocess
import sys
import time

from conftest import ROOT, environment

LONG = """
import sys
from bnexp.streams import steady
steady()
print("begun", file=sys.stderr)
sys.stdin.read()
"""


def test_what_is_told_on_stderr_is_there_at_once_also_in_a_file(tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", LONG],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stderr=file,
        )
    try:
        patience = time.monotonic() + 30
        while not log.read_text() and time.monotonic() < patience:
            time.sleep(0.05)
        assert log.read_text() == "begun\n"
    finally:
        process.communicate(b"")
