"""Keeps the scheduling priority of threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def usual_priority() -> Iterator[None]:
    """Restore the scheduling policy of threads of this process that the body made real-time threads.

    A real-time thread takes precedence over everything else on the machine. SVT-AV1 makes its own threads and the
    thread that opens it real-time if it may, that is, as root.
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
                with suppress(OSError):  # the thread may have ended
                    if os.sched_getscheduler(int(task.name)) == os.SCHED_FIFO:
                        os.sched_setscheduler(int(task.name), policy, parameters)
