"""Progress of a training run, by steps or by time."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from recycle.config import TrainSettings

Item = TypeVar("Item")

RECENT = 100
"""Number of items over which the waiting time is averaged."""
SAVE_AFTER = 600.0
"""Maximum seconds of training, plus one step, that a killed run loses."""
REVIEWING = 0.1
"""Maximum part of the time that reviews take, besides the first and the last one: a very short run has fewer."""
MARGIN = 1.5
"""Factor by which a step and the closing work may take longer than before without exceeding the time limit."""


class Tick(NamedTuple):
    """The state of a run before or after a step."""

    part: float
    """Completed proportion of the run, in [0, 1]."""
    over: bool
    """Whether no time or no step is left."""
    unsaved: bool = False
    """Whether the last SAVE_AFTER seconds of training are not saved yet."""

    def numbers(self) -> dict[str, float]:
        """The state as numbers that processes can average."""
        return {name: float(value) for name, value in self._asdict().items()}

    @classmethod
    def agreed(cls, means: Mapping[str, float]) -> "Tick":
        """The state on which all processes agree, from the means of their `numbers`: over if it is over for one."""
        return cls(means["part"], means["over"] > 0, means["unsaved"] > 0)


def awaited(items: Iterable[Item]) -> Iterator[tuple[Item, float]]:
    """Yield each item with the proportion of time, in [0, 1], spent waiting for the last RECENT items.

    It is 0 for the first item, which may have to wait until loading processes have started. Loading processes deliver
    in bursts, one long wait and then none, so that an average over single items would be too low.
    """
    recent: deque[tuple[float, float]] = deque(maxlen=RECENT)
    iterator, before = iter(items), None
    while True:
        asked = time.monotonic()
        try:
            item = next(iterator)
        except StopIteration:
            return
        now = time.monotonic()
        if before is not None:
            recent.append((now - asked, now - before))
        waited, passed = map(sum, zip(*recent, strict=True)) if recent else (0.0, 1.0)
        yield item, waited / max(passed, 1e-9)
        before = now


class Clock:
    """Counts the seconds of a run, including those of earlier calls, and reserves time for the closing work."""

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings
        self._budget = None if settings.hours is None else settings.hours * 3600
        self._before = 0.0
        self._start = self._saved = time.monotonic()
        self._took: dict[str, float] = {}
        self._ended: dict[str, float] = {}  # when work was done last in this call

    @property
    def seconds(self) -> float:
        """Total training time of this run in seconds."""
        return self._before + time.monotonic() - self._start

    def tick(self, step: int) -> Tick:
        """The state of the run after `step` steps."""
        unsaved = time.monotonic() - self._saved > SAVE_AFTER
        if self._budget is None:
            return Tick(min(1.0, step / self._settings.steps), step >= self._settings.steps, unsaved)
        left, closing = self._budget - self.seconds, self._closing()
        # The learning rate reaches its end when the closing work begins, not when it ends.
        part = self.seconds / max(self._budget - closing, 1e-9)
        return Tick(min(1.0, part), left <= closing, unsaved)

    def total(self, step: int) -> int:
        """Total number of steps; with a time limit, an estimate."""
        return (
            self._settings.steps if self._budget is None else max(step, round(step / max(self.tick(step).part, 1e-9)))
        )

    def affords_preview(self, share: float = 1.0) -> bool:
        """Whether there is time for a preview, and to close the run afterwards; always True without a time limit.

        With `share` below 1, the preview must also take at most this part of the time since the last one.
        """
        if self._budget is None:
            return True
        took = self._took.get("preview", 0.0)
        since = time.monotonic() - self._ended.get("preview", self._start)
        fits = self._budget - self.seconds > self._closing() + MARGIN * took
        return fits and (share >= 1 or took <= share * since)

    def _closing(self) -> float:
        """Seconds that are reserved for a last step, the last preview and the last checkpoint."""
        return MARGIN * sum(self._took.values())

    def left(self) -> float | None:
        """Seconds that remain of the time limit; None without one."""
        return None if self._budget is None else max(0.0, self._budget - self.seconds)

    def remaining(self) -> str:
        """What remains of the time limit, as text; '' without one."""
        left = self.left()
        if left is None:
            return ""
        minutes, seconds = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02d} min left" if hours else f"{minutes} min {seconds:02d} s left"

    @contextmanager
    def measured(self, work: str) -> Iterator[None]:
        """Measure a step, or work that also closes a run: preview and saving ("save")."""
        start = time.monotonic()
        yield
        end = time.monotonic()
        took = end - start
        # Slow ones recur (a busy disk), so that older values decay by halves.
        self._took[work] = max(took, (took + self._took.get(work, 0.0)) / 2)
        self._ended[work] = end
        if work == "save":
            self._saved = end

    def state_dict(self) -> dict[str, float | dict[str, float]]:
        """State for a checkpoint."""
        return {"seconds": self.seconds, "took": dict(self._took)}

    def load_state_dict(self, state: dict[str, float | dict[str, float]]) -> None:
        """Restore the state of `state_dict`."""
        seconds, took = state["seconds"], state["took"]
        assert isinstance(seconds, float)
        assert isinstance(took, dict)
        self._before, self._took = seconds, dict(took)
        self._start = time.monotonic()
