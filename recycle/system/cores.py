"""Number of CPU cores and of worker processes."""

import os

MOST_FOR_EACH_CORE = 4
"""Maximum number of processes per core. More than one is useful because some of them wait for a slow disk."""


def cores() -> int:
    """Number of CPU cores that this process may use; at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def capped(processes: int) -> int:
    """`processes`, limited to MOST_FOR_EACH_CORE per available core."""
    return min(processes, MOST_FOR_EACH_CORE * cores())
