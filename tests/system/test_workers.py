"""Worker processes end with their parent, even if it is killed."""

import signal
import subprocess
import sys
import time
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


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_second_ctrl_c_does_not_wait_for_items(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen([sys.executable, str(tmp_path / "script.py")], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or len(descendants(process.pid)) >= 3)
        time.sleep(2)  # the processes begin their items, which never look whether they should stop
        others = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGINT)
        process.wait(60)
    wait_until(lambda: not any(lives(other) for other in others))


def test_ctrl_c_leaves_a_waiting_process_alive_because_it_may_hold_a_lock(tmp_path: Path) -> None:
    """One process waits for an item, and gets SIGINT; the other works. All results are as without it."""
    script = tmp_path / "waiting.py"
    script.write_text(
        """
import os
import signal
import sys
import time
from pathlib import Path
from recycle.system.workers import run_all

FOLDER = Path(sys.argv[1])

def work(item, count):
    (FOLDER / str(item)).write_text(str(os.getpid()))
    while not all((FOLDER / name).exists() and (FOLDER / name).read_text() for name in "01"):
        time.sleep(0.01)
    if item == 1:  # the other process has begun its item, finishes it, and is then interrupted
        time.sleep(0.5)
        os.kill(int((FOLDER / "0").read_text()), signal.SIGINT)
        time.sleep(0.5)
    return os.getpid()

if __name__ == "__main__":
    pids = run_all(work, [0, 1], workers=2, crashed=0, report=lambda units: None)
    assert pids == [int((FOLDER / name).read_text()) for name in "01"], pids
    assert len(set(pids)) == 2, pids
    print("both")
"""
    )
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("both\n", "")


def test_interrupts_while_items_are_counted_block_no_other_process(tmp_path: Path) -> None:
    """An interrupt may come at any instruction of the callback. Then the others and the parent still count."""
    script = tmp_path / "counting.py"
    script.write_text(
        """
import random
import signal
from recycle.system.workers import run_all

def work(item, count):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    chance = random.Random(item)
    for _ in range(300):
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-4, 1e-3))
            while True:
                count(1)
        except KeyboardInterrupt:
            pass
    count(1)
    return item

if __name__ == "__main__":
    seen = []
    assert run_all(work, [0, 1, 2, 3], workers=2, crashed=None, report=seen.append) == [0, 1, 2, 3]
    assert sum(seen) >= 4, seen
    print("all")
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("all\n", "")
