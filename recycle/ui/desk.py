"""Runs long calls one at a time, in a thread, and keeps what they report for every browser that looks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from typing import Literal

from recycle.errors import Interrupted, RecycleError
from recycle.events import Event, FileState, Job, Notice, Progress, Review, Step
from recycle.system.crash import unexpected
from recycle.system.out_of_memory import shortage

State = Literal["waiting", "running", "stopping", "done", "stopped", "failed"]
Kind = Literal["train", "translate", "compare"]
Points = list[tuple[int, float]]

_NOTICES = 200
"""Number of notices of a call that are kept."""
_KEPT = 50
"""Number of finished calls that are kept."""
_POINTS = 2000
"""Number of points of a live curve above which every second one is dropped."""


@dataclass
class Work:
    """One call, and what it has reported."""

    kind: Kind
    title: str
    """What is done, such as 'Training day-night'."""
    call: Callable[[Job], object]
    folder: Path | None = None
    """The run's folder that a training writes."""
    state: State = "waiting"
    progress: Progress | None = None
    """The last progress of the current part of the work."""
    began: float = 0.0
    """Monotonic time at which the current part began."""
    began_at: int = 0
    """Units that were done then."""
    notices: list[str] = field(default_factory=list)
    files: dict[str, FileState] = field(default_factory=dict)
    curves: dict[str, Points] = field(default_factory=dict)
    """Losses and the validation score of this call, by the tags of the run's logs."""
    previews: list[Path] = field(default_factory=list)
    result: object = None
    error: str = ""
    """One line, if the call failed or was stopped."""
    changes: int = 0
    """Grows with every change, so that a page knows when to draw anew."""
    job: Job = field(init=False)

    def __post_init__(self) -> None:
        self.job = Job(self.observe)

    @property
    def over(self) -> bool:
        """Whether the call has ended, or was removed before it began."""
        return self.state in ("done", "stopped", "failed")

    @property
    def left(self) -> float | None:
        """Estimated seconds until the current part of the work ends; None if unknown."""
        now = self.progress
        if now is None or now.left is not None:
            return None if now is None else now.left
        done = now.done - self.began_at
        passed = time.monotonic() - self.began
        if now.total is None or done <= 0 or passed < 1:
            return None
        return max(0, now.total - now.done) * passed / done

    def observe(self, event: Event) -> None:
        """Note an event of the call."""
        match event:
            case Notice():
                self.notices = [*self.notices[-_NOTICES + 1 :], event.text]
            case FileState():
                self.files[event.name] = event
            case Review():
                self._point("score/total", event.step, event.score)
                self.previews.append(event.preview)
            case Step():
                for name, value in event.losses.items():
                    self._point(f"loss/{name}", event.step, value)
                self._count(Progress("training", event.step, event.steps, "steps", "", event.left))
            case Progress():
                self._count(event)
        self.changes += 1

    def _count(self, progress: Progress) -> None:
        if self.progress is None or self.progress.what != progress.what:
            self.began, self.began_at = time.monotonic(), progress.done
        self.progress = progress

    def _point(self, tag: str, step: int, value: float) -> None:
        curve = [point for point in self.curves.get(tag, []) if point[0] < step]
        self.curves[tag] = [*(curve if len(curve) < _POINTS else curve[::2]), (step, value)]


class Desk:
    """A queue of calls and the thread that makes them, one at a time. Thread-safe."""

    def __init__(self) -> None:
        self._works: list[Work] = []
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="recycle-desk", daemon=True)
        self._thread.start()

    @property
    def works(self) -> list[Work]:
        """The calls that run, wait and have ended, in the order in which they were added."""
        with self._changed:
            return list(self._works)

    @property
    def current(self) -> Work | None:
        """The call that runs now."""
        return next((work for work in self.works if work.state in ("running", "stopping")), None)

    def add(self, work: Work) -> Work:
        """Let a call wait for its turn.

        Raises RecycleError if the desk is closing, or if another training of the same folder runs or waits.
        """
        with self._changed:
            if self._closed:
                raise RecycleError("the server is closing; start it again")
            if work.folder is not None and any(other.folder == work.folder and not other.over for other in self._works):
                raise RecycleError(f"{work.folder} is being trained already, or waits for it")
            over = [other for other in self._works if other.over]
            for old in over[: max(0, len(over) - _KEPT)]:
                self._works.remove(old)
            self._works.append(work)
            self._changed.notify_all()
        return work

    def stop(self, work: Work) -> None:
        """Stop a call, which saves its work first, or remove it from the queue if it waits. Returns immediately."""
        with self._changed:
            if work.state == "waiting":
                work.state, work.error = "stopped", "removed from the queue"
            elif work.state == "running":
                work.state = "stopping"
                work.job.cancel()
            work.changes += 1

    def close(self) -> None:
        """Stop all calls, and wait until the current one has saved its work."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for work in self.works:
            self.stop(work)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            self._make(work)

    def _next(self) -> Work | None:
        """The next call, marked as running; None if the desk is closed."""
        with self._changed:
            while not self._closed:
                waiting = next((work for work in self._works if work.state == "waiting"), None)
                if waiting is not None:
                    waiting.state = "running"
                    waiting.changes += 1
                    return waiting
                self._changed.wait()
        return None

    def _make(self, work: Work) -> None:
        state: State = "failed"
        try:
            work.result = work.call(work.job)
            state = "done"
        except Interrupted as stop:
            state, work.error = "stopped", str(stop)
        except RecycleError as error:
            work.error = " ".join(str(error).split())
        except Exception as error:
            work.error = shortage(error) or unexpected(error)
        with self._changed:
            work.state = state
            work.changes += 1
