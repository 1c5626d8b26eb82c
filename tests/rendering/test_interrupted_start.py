"""Ctrl-C that arrives while a thread starts ends the process; no thread waits forever."""

import subprocess
import sys
from pathlib import Path

import pytest

PROLOGUE = """
import os
import signal
import sys
import threading

start = threading.Thread.start

def interrupted(self):
    start(self)
    if self.name.startswith(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGINT)

threading.Thread.start = interrupted
"""
ENCODERS = """
from recycle.rendering.encoders import encode_segments

list(encode_segments(((i // 3, i) for i in range(9)), lambda number, items: list(items), at_once=2, size=lambda i: 1))
"""
LANES = """
from recycle.translation.lanes import _threads

_threads(2)
"""
AHEAD = """
import itertools
from recycle.rendering.overlap import ahead

next(ahead(itertools.count(), 3, size=lambda item: 1))
"""


@pytest.mark.parametrize(("name", "body"), [("encoder", ENCODERS), ("lane", LANES), ("Thread-", AHEAD)])
def test_ctrl_c_while_a_thread_starts_ends_the_process(name: str, body: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROLOGUE + body)
    done = subprocess.run([sys.executable, str(script), name], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.rstrip().endswith("KeyboardInterrupt"), done.stderr
