"""The processor's cores."""

import os

MOST_FOR_EACH_CORE = 4
"""Processes that share a core, at most: those that wait for a slow disk leave it to others."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def capped(processes: int) -> int:
    """`processes`, or as many as are of use on this machine where that is fewer."""
    return min(processes, MOST_FOR_EACH_CORE * cores())
