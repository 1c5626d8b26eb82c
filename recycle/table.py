"""The live table of a folder's files."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from threading import RLock
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recycle.safe_text import shown

_ROWS = 12
_ORDER = ("running", "failed", "done", "waiting")
_STYLES = {"waiting": "dim", "running": "bold", "done": "green", "failed": "red"}


@dataclass
class _Row:
    state: str = "waiting"
    detail: str = ""
    done: int = 0
    total: int | None = None
    started: float = 0.0
    ended: float = 0.0
    first: int = 0  # frames that were there when it started

    def rate(self) -> float:
        seconds = (self.ended or time.monotonic()) - self.started
        return (self.done - self.first) / seconds if self.started and seconds > 0 else 0.0


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


class LiveTable:
    """Rows of files: running and failed ones first, then the latest. Without a terminal, a line for each end.

    Sums and order are kept up to date, so that drawing takes no longer for many files than for few.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._rows: dict[str, _Row] = {}
        self._by_state: dict[str, dict[str, None]] = {state: {} for state in _ORDER}  # names, the latest last
        self._done = self._total = self._new = 0  # frames of the files that are worked on in this call
        self._began = 0.0
        self._lock = RLock()
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, name: str, state: str, detail: str = "") -> None:
        """A file is now 'waiting', 'running', 'done' or 'failed'; `detail` tells why or what."""
        with self._changing(name) as row:
            self._by_state[row.state].pop(name, None)
            self._by_state[state][name] = None
            row.state, row.detail = state, detail
            if state == "running":
                row.started, row.ended, row.first = time.monotonic(), 0.0, -1
                self._began = self._began or row.started
            elif row.started:
                row.ended = time.monotonic()
            ended = bool(row.started)
        if not self._console.is_terminal and state in ("done", "failed") and ended:
            self._console.print(shown(f"{state:<7} {name}  {detail}"), markup=False, highlight=False, soft_wrap=True)

    def expect(self, name: str, total: int | None) -> None:
        """A file that waits has `total` frames, as it claims."""
        with self._changing(name) as row:
            row.total = total

    def advance(self, name: str, done: int, total: int | None) -> None:
        """`done` of `total` frames are done."""
        with self._changing(name) as row:
            if row.first < 0:
                row.first = done - 1
            row.done, row.total = done, total

    @contextmanager
    def _changing(self, name: str) -> Iterator[_Row]:
        """The row of a file, to change it; the sums over all rows follow."""
        with self._lock:
            row = self._rows.get(name)
            if row is None:
                row = self._rows[name] = _Row()
                self._by_state[row.state][name] = None
            self._count(row, -1)
            yield row
            self._count(row, 1)

    def _count(self, row: _Row, sign: int) -> None:
        if row.state in ("running", "waiting") or row.started:
            self._done += sign * row.done
            self._total += sign * (row.total or row.done)
        if row.started and row.done:
            self._new += sign * (row.done - max(row.first, 0))

    def _table(self) -> Group:
        with self._lock:
            names = chain(*(reversed(self._by_state[state]) for state in ("running", "failed", "done")))
            latest = [
                (name, replace(self._rows[name])) for name in islice(chain(names, self._by_state["waiting"]), _ROWS)
            ]
            summary = "  ".join(f"{len(self._by_state[state])} {state}" for state in _ORDER) + self._whole()
        table = Table(box=None, pad_edge=False, expand=True)
        table.add_column("file", ratio=1, no_wrap=True, overflow="ellipsis")
        for name in ("state", "frames", "frames/s", "ETA"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, row in latest:
            rate = row.rate()
            left = (row.total - row.done) / rate if row.state == "running" and row.total and rate else None
            table.add_row(
                Text(shown(name)),
                Text(row.state, style=_STYLES[row.state]),
                f"{row.done}/{row.total or '?'}" if row.done else "",
                f"{rate:.1f}" if row.done and rate else "",
                "" if left is None else _clock(left),
            )
        return Group(table, Text(summary, style="dim"))

    def _whole(self) -> str:
        """Frames, rate and ETA of all files together."""
        rate = self._new / (time.monotonic() - self._began) if self._began and self._new else 0.0
        if not rate:
            return ""
        eta = _clock((self._total - self._done) / rate)
        return f"   {self._done}/{self._total} frames, {rate:.1f} frames/s, ETA {eta}"
