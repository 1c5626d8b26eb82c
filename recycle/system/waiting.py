"""How OpenMP's threads wait for each other: it must be chosen before torch is loaded."""

import os
import sys
import time
from pathlib import Path

from recycle.system.cores import cores

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables by which a user chooses how OpenMP's threads wait."""
BUSY = 0.5
"""Other programs count as a busy machine from this share of a core for each pair of cores."""
_SAMPLE = 0.4
"""Seconds for which the load of the CPU is measured."""
_STAT = Path("/proc/stat")


def choose_waiting() -> bool:
    """Make OpenMP's threads sleep while they wait, if other programs keep the machine busy. True if they will sleep.

    By default these threads spin. This is the fastest on an idle machine: sleeping takes twice the time there. But a
    thread that spins keeps its core from the thread that it waits for, as soon as a third program wants a core: then
    sleeping takes half the time (docs/measurements/speed.md, "Beside other work"). Results are the same to the last
    bit either way.

    Nothing changes where the user chose (see CHOICES), where there is one core or OMP_NUM_THREADS is 1, where torch
    is loaded already (it reads the environment once), and on systems without /proc/stat.
    """
    chosen = any(name in os.environ for name in CHOICES) or os.environ.get("OMP_NUM_THREADS") == "1"
    if chosen or cores() == 1 or "torch" in sys.modules:
        return False
    if busy_cores() < BUSY * cores() / 2:
        return False
    os.environ["OMP_WAIT_POLICY"] = "passive"
    return True


def busy_cores() -> float:
    """Cores' worth of work that is done on this machine now, watched for 0.4 s; 0 where the system does not say."""
    before = _ticks()
    time.sleep(_SAMPLE)
    after = _ticks()
    if before is None or after is None or after[1] <= before[1]:
        return 0.0
    share = (after[0] - before[0]) / (after[1] - before[1])
    return share * (os.cpu_count() or 1)


def _ticks() -> tuple[int, int] | None:
    """Clock ticks of all cores since the start of the system: those at work, and all (proc(5), /proc/stat)."""
    try:
        first = _STAT.read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    if len(first) < 6 or first[0] != "cpu":
        return None
    user, nice, system, idle, wait, *rest = map(int, first[1:9])
    working = user + nice + system + sum(rest)  # rest: interrupts, and what a hypervisor took
    return working, working + idle + wait
