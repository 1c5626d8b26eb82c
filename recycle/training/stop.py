"""Stops a training between two steps, after a signal or when its job is cancelled."""

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
        """Whether to stop after this step."""
        return self.signalled or self.job.stopping


@contextmanager
def stop_between_steps(job: Job) -> Iterator[Stop]:
    """While the body runs, SIGINT, SIGTERM and SIGHUP set a flag.

    A second signal, more than a second later, raises KeyboardInterrupt. SIGHUP is sent when a terminal closes; if it is
    ignored, as under nohup, it stays ignored.
    """
    stop = Stop(job)

    def ask(number: int, frame: Any) -> None:
        now = time.monotonic()
        if stop.signalled and now > stop.since + 1:  # torchrun repeats the signal of the keyboard
            raise KeyboardInterrupt
        stop.signalled, stop.since = True, now

    stopping = [signal.SIGINT, signal.SIGTERM]
    stopping += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    try:
        before = {number: signal.signal(number, ask) for number in stopping}
    except ValueError:  # outside the main thread, the caller handles signals
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
