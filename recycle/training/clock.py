"""How far a training run has come: by its steps, or by the time that it took."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from recycle.config import TrainSettings

Item = TypeVar("Item")

RECENT = 100
"""Items over which waiting is reckoned."""
SAVE_AFTER = 600.0
"""Seconds that a killed run may lose at most, and a step."""
MARGIN = 1.5
"""A step and what closes a run may take so much longer than before, and the run still ends in time."""


class Tick(NamedTuple):
    """Where a run stands before or after a step."""

    part: float
    """How much of the run is over, 0 to 1."""
    over: bool
    """Whether there is no time, or no step, left."""
    unsaved: bool = False
    """Whether what was learned in the last SAVE_AFTER seconds is not saved yet."""


def awaited(items: Iterable[Item]) -> Iterator[tuple[Item, float]]:
    """Each item with the part of the time, 0 to 1, that the last RECENT items were waited for.

    The first has 0: it may have to wait until loading processes have started. Those deliver in bursts, one long wait
    and then none, so that a mean over single items would be too low.
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
    """Counts the seconds of a run, those of its earlier calls included, and keeps time for what closes it."""

    def __init__(self, settings: TrainSettings) -> None:
        self._settings = settings
        self._budget = None if settings.hours is None else settings.hours * 3600
        self._before = 0.0
        self._start = self._saved = time.monotonic()
        self._took: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds that this run has trained."""
        return self._before + time.monotonic() - self._start

    def tick(self, step: int) -> Tick:
        """Where the run stands after so many steps."""
        unsaved = time.monotonic() - self._saved > SAVE_AFTER
        if self._budget is None:
            return Tick(min(1.0, step / self._settings.steps), step >= self._settings.steps, unsaved)
        left = self._budget - self.seconds
        closing = MARGIN * sum(self._took.values())
        # The learning rate has come down when the closing work begins, not when it ends.
        part = self.seconds / max(self._budget - closing, 1e-9)
        return Tick(min(1.0, part), left <= closing, unsaved)

    def total(self, step: int) -> int:
        """Steps that the run will have taken at its end, as far as one can tell."""
        return (
            self._settings.steps if self._budget is None else max(step, round(step / max(self.tick(step).part, 1e-9)))
        )

    def left(self) -> str:
        """The time that is left, in words; empty where steps are counted."""
        if self._budget is None:
            return ""
        minutes, seconds = divmod(max(0, round(self._budget - self.seconds)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02d} min left" if hours else f"{minutes} min {seconds:02d} s left"

    @contextmanager
    def measured(self, work: str) -> Iterator[None]:
        """Time a step, or work that a run also ends with: preview and saving ("save")."""
        start = time.monotonic()
        yield
        end = time.monotonic()
        took = end - start
        # Slow ones come back (a disk that others write to), so they are forgotten by halves.
        self._took[work] = max(took, (took + self._took.get(work, 0.0)) / 2)
        if work == "save":
            self._saved = end

    def state_dict(self) -> dict[str, float | dict[str, float]]:
        """All that it remembers."""
        return {"seconds": self.seconds, "took": dict(self._took)}

    def load_state_dict(self, state: dict[str, float | dict[str, float]]) -> None:
        """Go on from what `state_dict` gave."""
        seconds, took = state["seconds"], state["took"]
        assert isinstance(seconds, float)
        assert isinstance(took, dict)
        self._before, self._took = seconds, dict(took)
        self._start = time.monotonic()
