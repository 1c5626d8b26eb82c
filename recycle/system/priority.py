"""Threads keep the priority that they have."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def usual_priority() -> Iterator[None]:
    """Undo it where the body makes threads of this process real-time ones, before which nothing else of a machine runs.

    SVT-AV1 does so with its own and with the one that opens it, where it may: as root.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            for task in Path("/proc/self/task").iterdir():
                with suppress(OSError):  # it may have ended
                    if os.sched_getscheduler(int(task.name)) == os.SCHED_FIFO:
                        os.sched_setscheduler(int(task.name), policy, parameters)
