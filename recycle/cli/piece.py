"""One piece of work on a line: description, bar, count, rate, ETA and details, as far as there is room."""

import time
from collections import deque

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from recycle.events import Progress
from recycle.safe_text import shown

_BAR = 20
"""Columns of a bar."""
_LEAST = 8
"""Columns that a description keeps."""
_RECENT = 30.0
"""Seconds over which a rate is reckoned."""


class Piece:
    """A piece of work and how fast it goes."""

    def __init__(self, event: Progress) -> None:
        self._event = event
        self._began, self._first = time.monotonic(), event.done
        self._seen = deque([(self._began, event.done)])

    @property
    def what(self) -> str:
        """Its name."""
        return self._event.what

    @property
    def finished(self) -> bool:
        """Whether all is done, as far as one can tell."""
        return 0 < self._event.done == self._event.total

    def update(self, event: Progress) -> None:
        """Take the latest event of it."""
        now = time.monotonic()
        self._event = event
        if event.done < self._seen[-1][1]:  # it went back
            self._seen = deque([(now, event.done)])  # another thread may be drawing
        elif event.done > self._seen[-1][1]:
            self._seen.append((now, event.done))
        while len(self._seen) > 2 and self._seen[1][0] < now - _RECENT:
            self._seen.popleft()

    def rate(self) -> float:
        """Units per second: lately, and of a finished piece on the whole."""
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        if self.finished:
            start, first, end, last = self._began, self._first, end, self._event.done
        return (last - first) / (end - start) if end > start and last > first else 0.0

    def facts(self) -> list[str]:
        """Count, rate and ETA, as far as they are known."""
        it, rate = self._event, self.rate()
        count = f"{it.done}/{it.total}" if it.total else str(it.done) if it.done else ""
        eta = f"ETA {clock((it.total - it.done) / rate)}" if it.total and rate and not self.finished else ""
        return [fact for fact in (count, f"{rate:.1f} {it.unit}/s" if rate else "", eta) if fact]

    def line(self) -> str:
        """For a log."""
        count, *others = self.facts() or [""]
        count = f"{count} {self._event.unit}" if count else ""
        if self.finished:
            others.insert(0, f"in {clock(self._seen[-1][0] - self._began)}")
        facts = ", ".join(filter(None, (count, *others, shown(self._event.detail))))
        return f"{self.what}: {facts}" if facts else self.what

    def bar(self, width: int) -> Text:
        """For a terminal of so many columns: the detail gives way first, then the description, but nothing else."""
        it, facts = self._event, "  ".join(self.facts())
        what, detail = shown(it.what), shown(it.detail)
        bar = _BAR + 1 if it.total else 0
        room = width - bar - (cell_len(facts) + 1 if facts else 0)
        what = _cut(what, max(_LEAST, room))
        room -= cell_len(what)
        text = Text(what, style="bold", no_wrap=True, overflow="crop", end="")
        if it.total:
            full = min(_BAR, _BAR * it.done // it.total)
            text.append(" ").append("━" * full, "green").append("─" * (_BAR - full), "dim")
        if facts:
            text.append(f" {facts}", "not bold")
        if detail and room > _LEAST:
            text.append(" " + _cut(detail, room - 1), "not bold dim")
        return text


def clock(seconds: float) -> str:
    """Such as 1:02:03."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"
