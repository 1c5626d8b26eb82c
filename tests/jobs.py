"""Jobs for tests: they record events, or act at a given moment."""

import os
import signal
import threading
from collections.abc import Callable

from recycle.errors import Interrupted
from recycle.events import Event, Job, Progress, Step
from tests.processes import PATIENCE


def saying(said: list[str]) -> Job:
    """A job that records its notices."""
    return Job().keeping(said)


def counted(done: list[int], what: str = "") -> Job:
    """A job that records the counts of its progress, except 0, for tasks whose name contains `what`."""

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


def cancelled_from_outside(work: Callable[[Job], object], at: Callable[[Event], bool]) -> tuple[list[Event], list[str]]:
    """Do the work in a thread and cancel it from this one at an event, while the observer waits.

    What was observed, and the messages of the Interrupted that the work raised.
    """
    seen: list[Event] = []
    outcome: list[str] = []
    reached, cancelled = threading.Event(), threading.Event()

    def observe(event: Event) -> None:
        seen.append(event)
        if at(event):
            reached.set()
            cancelled.wait(PATIENCE)

    job = Job(observe)

    def run() -> None:
        try:
            work(job)
        except Interrupted as error:
            outcome.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    assert reached.wait(PATIENCE)
    job.cancel()
    cancelled.set()
    thread.join(PATIENCE)
    return seen, outcome
