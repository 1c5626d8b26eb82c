"""Events and jobs: how long calls report what they do, and how they are cancelled.

Every long call takes an optional `Job`. The call sends it events, and stops where the job was cancelled:

    job = Job(print)
    Thread(target=translator.translate_video, args=(source, output), kwargs={"to": "b", "job": job}).start()
    ...
    job.cancel()  # the work is saved, and the call raises Interrupted; the same call continues it

Without a job, a call reports to nobody and cannot be cancelled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event as Flag
from threading import RLock
from typing import Literal, TypeAlias

from recycle.errors import Interrupted

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far a named piece of work has come."""

    what: str
    """The piece of work, such as "extracting" or "translating holiday.mp4"."""
    done: int
    """Units done, those of an earlier call that it continues included; at least 0."""
    total: int | None = None
    """Units in all, as far as one can tell; None: unknown."""
    unit: str = "frames"
    detail: str = ""


@dataclass(frozen=True)
class Notice:
    """One line that a user should know."""

    text: str


@dataclass(frozen=True)
class FileState:
    """One file of a folder that is translated."""

    name: str
    state: State
    detail: str = ""
    """Why it failed, or what a user should know of it."""
    done: int = 0
    """Frames done."""
    total: int | None = None
    """Frames in all, as the file claims; None: unknown."""


@dataclass(frozen=True)
class Step:
    """A training step that was taken."""

    step: int
    """Its number, from 1; this many steps are taken."""
    steps: int
    """Steps that the run will have taken at its end; reckoned, and so changing, where it trains by the clock."""
    learning_rate: float
    losses: Mapping[str, float] = field(default_factory=dict)
    """By name; empty at steps whose losses are not read, which would make a GPU wait."""
    left: str = ""
    """The time that is left, in words, where the run trains by the clock."""


@dataclass(frozen=True)
class Review:
    """A validation during a training."""

    step: int
    score: float
    """On held-out frames; lower is better."""
    preview: Path
    """A picture of what the model makes of held-out frames."""


Event: TypeAlias = Progress | Notice | FileState | Step | Review
Observer: TypeAlias = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Observe nothing."""


class Job:
    """What a long call tells of its work, and the way to stop it; safe for threads.

    `observe` is called with one event at a time, in the order of the events, in the threads that work: it must be
    quick, and what it raises ends the work.
    """

    def __init__(self, observe: Observer = ignore) -> None:
        self._observe = observe
        self._lock = RLock()
        self._stop = Flag()

    def emit(self, event: Event) -> None:
        """Tell the observer."""
        with self._lock:
            self._observe(event)

    def say(self, text: str) -> None:
        """Emit a notice of one line."""
        self.emit(Notice(text))

    def counting(self, what: str, *, total: int | None = None, done: int = 0, unit: str = "frames") -> "Count":
        """Begin a piece of work; the returned function reports its progress, and stops it where that is wanted."""
        return Count(self, Progress(what, done, total, unit))

    def cancel(self) -> None:
        """Ask the work to stop: it saves what it has done, and raises Interrupted. Returns at once."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether `cancel` was called; work looks between steps and between frames."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Interrupted if the work is to stop."""
        if self.stopping:
            raise Interrupted("stopped; run the same command again to continue")

    def observed_by(self, observe: Observer) -> "Job":
        """A job for a part of the work: its events go to `observe` instead; to cancel either is to cancel both."""
        part = Job(observe)
        part._stop = self._stop
        return part

    def keeping(self, notices: list[str]) -> "Job":
        """The same job, whose notices are put into a list, too."""

        def observe(event: Event) -> None:
            if isinstance(event, Notice):
                notices.append(event.text)
            self.emit(event)

        return self.observed_by(observe)

    def about(self, name: str) -> "Job":
        """The same job, whose notices begin with a name."""

        def observe(event: Event) -> None:
            self.emit(Notice(f"{name}: {event.text}") if isinstance(event, Notice) else event)

        return self.observed_by(observe)


class Count:
    """Reports the progress of one piece of work, made by `Job.counting`."""

    def __init__(self, job: Job, start: Progress) -> None:
        self._job, self._last = job, start
        job.emit(start)

    def __call__(self, done: int, total: int | None = None, detail: str = "") -> None:
        """So many units are done, of `total`, or of as many as it said before; a total that is too small grows.

        Raises Interrupted after a cancel.
        """
        total = self._last.total if total is None else total
        self._last = replace(self._last, done=done, total=total and max(total, done), detail=detail)
        self._job.emit(self._last)
        self._job.check()

    def add(self, units: int) -> None:
        """So many more units are done. Raises Interrupted after a cancel."""
        self(self._last.done + units)

    def finish(self) -> None:
        """All is done: what was done is the total."""
        self._last = replace(self._last, total=self._last.done, detail="")
        self._job.emit(self._last)
