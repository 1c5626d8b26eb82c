"""A training stops between two steps: after a signal, or where its job is cancelled."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from recycle.events import Job


@dataclass
class Stop:
    """Whether a signal or the job stops the run."""

    job: Job
    signalled: bool = False
    since: float = 0.0

    @property
    def asked(self) -> bool:
        """Whether it is to stop after this step."""
        return self.signalled or self.job.stopping


@contextmanager
def stop_between_steps(job: Job) -> Iterator[Stop]:
    """SIGINT, SIGTERM and SIGHUP set a flag; another, more than a second later, interrupts at once.

    SIGHUP comes when a terminal closes; where it is ignored, as under nohup, it stays so.
    """
    stop = Stop(job)

    def ask(number: int, frame: Any) -> None:
        now = time.monotonic()
        if stop.signalled and now > stop.since + 1:  # torchrun passes on what the keyboard has sent already
            raise KeyboardInterrupt
        stop.signalled, stop.since = True, now

    stopping = [signal.SIGINT, signal.SIGTERM]
    stopping += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    try:
        before = {number: signal.signal(number, ask) for number in stopping}
    except ValueError:  # not in the main thread: the caller looks after signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
