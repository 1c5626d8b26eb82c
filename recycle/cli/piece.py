"""Shows a task on one line: description, bar, count, rate, ETA and details, as far as they fit."""

import time
from collections import deque

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from recycle.events import Progress
from recycle.safe_text import shown

_BAR = 20
"""Width of a bar in columns."""
_LEAST = 8
"""Minimum number of columns of a description."""
_PATIENCE = 3.0
"""Seconds after which a task without a count shows how long it has been going on."""
_RECENT = 30.0
"""Seconds over which the rate is measured."""


class Piece:
    """A task and its speed."""

    def __init__(self, event: Progress) -> None:
        self._event = event
        self._began, self._first = time.monotonic(), event.done
        self._seen = deque([(self._began, event.done)])

    @property
    def what(self) -> str:
        """The name of the task."""
        return self._event.what

    @property
    def finished(self) -> bool:
        """Whether all units are done; False if the total is unknown."""
        return 0 < self._event.done == self._event.total

    def update(self, event: Progress) -> None:
        """Take the latest event of the task."""
        now = time.monotonic()
        self._event = event
        if event.done < self._seen[-1][1]:  # the task restarted
            self._seen = deque([(now, event.done)])  # a new object, because another thread may be drawing
        elif event.done > self._seen[-1][1]:
            self._seen.append((now, event.done))
        while len(self._seen) > 2 and self._seen[1][0] < now - _RECENT:
            self._seen.popleft()

    def rate(self) -> float:
        """Units per second over the last _RECENT seconds; of a finished task, over its whole time. 0 if unknown."""
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        if self.finished:
            start, first, end, last = self._began, self._first, end, self._event.done
        return (last - first) / (end - start) if end > start and last > first else 0.0

    def facts(self) -> list[str]:
        """Count, rate and ETA; unknown ones are left out. The ETA is the time that the event states, if any."""
        it, rate = self._event, self.rate()
        count = f"{it.done}/{it.total}" if it.total else str(it.done) if it.done else ""
        left = (it.total - it.done) / rate if it.left is None and it.total and rate else it.left
        eta = "" if left is None or self.finished else f"ETA {clock(left)}"
        return [fact for fact in (count, f"{rate:.1f} {it.unit}/s" if rate else "", eta) if fact]

    def line(self) -> str:
        """The line for a log."""
        count, *others = self.facts() or [""]
        count = f"{count} {self._event.unit}" if count else ""
        if self.finished:
            others.insert(0, f"in {clock(self._seen[-1][0] - self._began)}")
        facts = ", ".join(filter(None, (count, *others, shown(self._event.detail))))
        return f"{self.what}: {facts}" if facts else self.what

    def bar(self, width: int) -> Text:
        """The line for a terminal of `width` columns. The detail is cut first, then the description."""
        it, facts = self._event, "  ".join(self.facts())
        what, detail = shown(it.what), shown(it.detail)
        bar = _BAR + 1 if it.total else 0
        room = width - bar - (cell_len(facts) + 1 if facts else 0)
        what = _cut(what, max(_LEAST, room))
        room -= cell_len(what)
        text = Text(what, style="bold", no_wrap=True, overflow="crop", end="")
        if not facts and (passed := time.monotonic() - self._began) >= _PATIENCE:
            text.append(f"  {clock(passed)}", "not bold")  # shows that it still works
        if it.total:
            full = min(_BAR, _BAR * it.done // it.total)
            text.append(" ").append("━" * full, "green").append("─" * (_BAR - full), "dim")
        if facts:
            text.append(f" {facts}", "not bold")
        if detail and room > _LEAST:
            text.append(" " + _cut(detail, room - 1), "not bold dim")
        return text


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss, such as 1:02:03."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"
