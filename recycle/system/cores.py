"""Number of CPU cores, of threads and of worker processes."""

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

MOST_FOR_EACH_CORE = 4
"""Maximum number of processes per core. More than one is useful because some of them wait for a slow disk."""
_UNLIMITED = 1 << 20


def cores() -> int:
    """Number of CPU cores that this process may use; at least 1. A container may grant fewer than the machine has."""
    return min(_usable(), granted())


def capped(processes: int) -> int:
    """`processes`, limited to MOST_FOR_EACH_CORE per available core."""
    return min(processes, MOST_FOR_EACH_CORE * cores())


def limit_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Make OpenMP start no more threads than `cores`, in a container that grants fewer than the machine has.

    OpenMP does not look at the container's limit, and threads beyond it stop all others for most of the time. It reads
    its environment when torch is loaded. OMP_NUM_THREADS in the environment overrides this.
    """
    if cores() < _usable():
        environment.setdefault("OMP_NUM_THREADS", str(cores()))


def granted(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores' worth of time that the control group of a container grants, rounded up; a large number without a limit.

    Source: Linux kernel documentation, "Control Group v2", `cpu.max`; "CFS Bandwidth Control" for version 1.
    """
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        share = math.ceil(int(quota) / int(period))  # "max" or -1: no limit
    except (OSError, ValueError, ZeroDivisionError):
        return _UNLIMITED
    return share if share > 0 else _UNLIMITED


def _usable() -> int:
    """Number of cores on which the system may run this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
