"""Jobs for tests: they keep what they are told, or do something at a moment."""

import os
import signal
from collections.abc import Callable

from recycle.events import Event, Job, Progress, Step


def saying(said: list[str]) -> Job:
    """A job whose notices are kept."""
    return Job().keeping(said)


def counted(done: list[int], what: str = "") -> Job:
    """A job that keeps the counts, but for 0, of its progress; of work whose name has `what` in it."""

    def observe(event: Event) -> None:
        if isinstance(event, Progress) and event.done and what in event.what:
            done.append(event.done)

    return Job(observe)


def stepping(taken: Callable[[Step], None]) -> Job:
    """A job that calls a function after each training step."""

    def observe(event: Event) -> None:
        if isinstance(event, Step):
            taken(event)

    return Job(observe)


def interrupted_at(number: int) -> Job:
    """A job that interrupts, as Ctrl-C does, when so many frames are done."""

    def observe(event: Event) -> None:
        if isinstance(event, Progress) and event.done == number:
            raise KeyboardInterrupt

    return Job(observe)


def cancelled_at(number: int) -> Job:
    """A job that cancels itself when so many frames, of a file or of a folder's file, or so many steps are done."""

    def observe(event: Event) -> None:
        done = event.step if isinstance(event, Step) else getattr(event, "done", -1)
        if done == number:
            job.cancel()

    job = Job(observe)
    return job


def signalled_at(step: int, number: signal.Signals) -> Job:
    """A job that sends this process a signal after a training step."""
    return stepping(lambda event: os.kill(os.getpid(), number) if event.step == step else None)
