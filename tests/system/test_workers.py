"""Worker processes end with their parent, even if it is killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import descendants, lives, wait_until

SCRIPT = """
import time
from recycle.system.workers import run_all

def work(item, count):
    time.sleep(3600)

if __name__ == "__main__":
    run_all(work, [1, 2, 3], workers=2, crashed=None, report=print)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen([sys.executable, str(tmp_path / "script.py")], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or len(descendants(process.pid)) >= 3)
        others = descendants(process.pid)
        assert len(others) >= 3, "two workers and multiprocessing's resource tracker"
        process.kill()
    wait_until(lambda: not any(lives(other) for other in others))
