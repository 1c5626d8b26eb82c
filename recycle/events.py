"""Events and jobs: how long calls report progress, and how a caller cancels them.

Every long call takes an optional `Job`. The call sends events to it, and stops after `job.cancel()`:

    job = Job(print)
    Thread(target=translator.translate_video, args=(source, output), kwargs={"to": "b", "job": job}).start()
    ...
    job.cancel()  # the call saves its work and raises Interrupted; the same call continues it

A call without a job reports nothing and cannot be cancelled.
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
    """The progress of one named task."""

    what: str
    """Name of the task, such as "extracting" or "translating holiday.mp4"."""
    done: int
    """Completed units, including those of an interrupted call that this one continues; at least 0."""
    total: int | None = None
    """Estimated number of units; None if unknown."""
    unit: str = "frames"
    """What is counted, in the plural."""
    detail: str = ""
    """Further text for the progress line, such as the current losses."""
    left: float | None = None
    """Seconds until the end, if they are known, as for a training with a time limit; None: estimate them."""


@dataclass(frozen=True)
class Notice:
    """A one-line message for the user."""

    text: str
    """The line, without a line break."""


@dataclass(frozen=True)
class FileState:
    """The state of one file while a folder is translated."""

    name: str
    """Path of the file, relative to the folder."""
    state: State
    """Whether the file is waiting, running, done or failed."""
    detail: str = ""
    """The error of a failed file, or notices about a finished one."""
    done: int = 0
    """Frames written."""
    total: int | None = None
    """Number of frames that the file's header states; None if unknown."""


@dataclass(frozen=True)
class Step:
    """A completed training step."""

    step: int
    """Number of completed steps, at least 1."""
    steps: int
    """Total number of steps; with a time limit, an estimate that changes during the run."""
    learning_rate: float
    """Learning rate of this step."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """Loss values by name; empty at most steps, because reading them synchronises with the GPU."""
    left: float | None = None
    """Seconds that remain of the time limit, at least 0; None for a run by steps."""


@dataclass(frozen=True)
class Review:
    """A validation during training."""

    step: int
    """Number of completed steps."""
    score: float
    """Score on held-out frames; lower is better."""
    preview: Path
    """Image file of translated held-out frames."""


Event: TypeAlias = Progress | Notice | FileState | Step | Review
Observer: TypeAlias = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Discard the event."""


class Job:
    """Receives the events of a long call, and cancels it. Thread-safe.

    `observe` is called with one event at a time, in order, from the threads that do the work. It must return quickly.
    An exception that it raises ends the work.
    """

    def __init__(self, observe: Observer = ignore) -> None:
        self._observe = observe
        self._lock = RLock()
        self._stop = Flag()

    def emit(self, event: Event) -> None:
        """Pass an event to the observer."""
        with self._lock:
            self._observe(event)

    def say(self, text: str) -> None:
        """Emit a `Notice` with one line of text."""
        self.emit(Notice(text))

    def counting(self, what: str, *, total: int | None = None, done: int = 0, unit: str = "frames") -> "Count":
        """Start a task of `total` units, of which `done` are complete.

        Call the returned `Count` to report progress; it raises Interrupted after a cancel.
        """
        return Count(self, Progress(what, done, total, unit))

    def cancel(self) -> None:
        """Ask the call to save its work and raise Interrupted. Returns immediately; may be called from any thread."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether `cancel` was called. Long calls poll this between training steps and between frames."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Interrupted if `cancel` was called."""
        if self.stopping:
            raise Interrupted

    def observed_by(self, observe: Observer) -> "Job":
        """A job for a part of the work, whose events go to `observe` instead. Cancelling one job cancels both."""
        part = Job(observe)
        part._stop = self._stop
        return part

    def keeping(self, notices: list[str]) -> "Job":
        """A job that forwards all events to this one and also appends the text of each notice to `notices`."""

        def observe(event: Event) -> None:
            if isinstance(event, Notice):
                notices.append(event.text)
            self.emit(event)

        return self.observed_by(observe)

    def about(self, name: str) -> "Job":
        """A job that forwards all events to this one and prefixes each notice with "name: "."""

        def observe(event: Event) -> None:
            self.emit(Notice(f"{name}: {event.text}") if isinstance(event, Notice) else event)

        return self.observed_by(observe)


class Count:
    """Reports the progress of one task; made by `Job.counting`."""

    def __init__(self, job: Job, start: Progress) -> None:
        self._job, self._last = job, start
        job.emit(start)

    def __call__(self, done: int, total: int | None = None, detail: str = "") -> None:
        """Report that `done` units are complete, and raise Interrupted after a cancel.

        `total` None keeps the previous total. A total below `done` is raised to `done`.
        """
        total = self._last.total if total is None else total
        self._last = replace(self._last, done=done, total=total and max(total, done), detail=detail)
        self._job.emit(self._last)
        self._job.check()

    def add(self, units: int) -> None:
        """Report that `units` more units are complete. Raises Interrupted after a cancel."""
        self(self._last.done + units)

    def finish(self) -> None:
        """Report the end of the task: the total becomes the number of completed units.

        The event may equal the previous one. It arrives after all of the task's own work, such as closing files.
        """
        self._last = replace(self._last, total=self._last.done, detail="")
        self._job.emit(self._last)
