"""Shows the files of a folder in a live table."""

import sys
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

from recycle.cli.piece import clock
from recycle.events import FileState
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
    first: int = 0  # frames that were done when it started; -1: not known yet

    def rate(self) -> float:
        seconds = (self.ended or time.monotonic()) - self.started
        return (self.done - self.first) / seconds if self.started and seconds > 0 else 0.0


class LiveTable:
    """A table of files: running files first, then failed, done and waiting ones; within a state, the latest first.

    Waiting files keep their order. Without a terminal, it prints a line for each file that ends, and a summary every
    `seconds`.

    Sums and order are updated with each event, so that drawing time does not grow with the number of files.
    """

    def __init__(self, *, seconds: float = 30.0) -> None:
        self._console = Console(stderr=True)
        self._seconds, self._told = seconds, 0.0
        self._rows: dict[str, _Row] = {}
        self._by_state: dict[str, dict[str, None]] = {state: {} for state in _ORDER}  # names; the latest is the last
        self._done = self._total = self._new = 0  # frames of the files of this call
        self._began = 0.0
        self._lock = RLock()
        self._live = Live(
            get_renderable=self._table,
            console=self._console,
            refresh_per_second=4,
            redirect_stdout=sys.stdout.isatty(),
        )

    @property
    def live(self) -> bool:
        """Whether a table is drawn; otherwise, lines are printed."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    @property
    def over(self) -> bool:
        """Whether no file is waiting or running."""
        return not (self._by_state["waiting"] or self._by_state["running"])

    def __enter__(self) -> Self:
        if self.live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self._live.stop()
        else:
            self._tell(0)

    def observe(self, event: FileState) -> None:
        """Take an event about a file."""
        if event.total is not None:
            self.expect(event.name, event.total)
        row = self._rows.get(event.name)
        if row is None or event.state != "running" or row.state != "running":
            self.show(event.name, event.state, event.detail)
        if event.done:
            self.advance(event.name, event.done, event.total)
        if not self.live:
            self._tell(self._seconds)

    def _tell(self, seconds: float) -> None:
        """Print the summary, unless it was printed in the last `seconds`."""
        if not self._began or time.monotonic() - self._told < seconds:
            return
        self._told = time.monotonic()
        self._line(self._summary())

    def _line(self, text: str) -> None:
        self._console.print(shown(text), markup=False, highlight=False, soft_wrap=True)

    def show(self, name: str, state: str, detail: str = "") -> None:
        """Set the state of a file: 'waiting', 'running', 'done' or 'failed'. `detail` explains it."""
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
        if not self.live and state in ("done", "failed") and ended:
            self._line(f"{state:<7} {name}  {detail}")

    def expect(self, name: str, total: int | None) -> None:
        """Set the total number of frames that a file states."""
        with self._changing(name) as row:
            row.total = total

    def advance(self, name: str, done: int, total: int | None) -> None:
        """Set the number of completed frames of a file."""
        with self._changing(name) as row:
            if row.first < 0:
                row.first = done - 1
            row.done, row.total = done, total

    @contextmanager
    def _changing(self, name: str) -> Iterator[_Row]:
        """The row of a file, for changes; the sums over all rows are updated afterwards."""
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
            self._total += sign * ((row.state != "failed" and row.total) or row.done)
        if row.started and row.done:
            self._new += sign * (row.done - max(row.first, 0))

    def _table(self) -> Group:
        with self._lock:
            names = chain(*(reversed(self._by_state[state]) for state in ("running", "failed", "done")))
            latest = [
                (name, replace(self._rows[name])) for name in islice(chain(names, self._by_state["waiting"]), _ROWS)
            ]
            summary = self._summary()
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
                "" if left is None else clock(left),
            )
        broken = len(summary) > self._console.width
        return Group(table, Text(summary.replace("   ", "\n") if broken else summary, style="dim"))

    def _summary(self) -> str:
        counts = ((state, len(self._by_state[state])) for state in _ORDER)
        return "  ".join(f"{count} {state}" for state, count in counts if count) + self._whole()

    def _whole(self) -> str:
        """Frames, rate and, if work is left, ETA of all files together; '' if the rate is unknown."""
        rate = self._new / (time.monotonic() - self._began) if self._began and self._new else 0.0
        if not rate:
            return ""
        eta = "" if self.over else f", ETA {clock((self._total - self._done) / rate)}"
        return f"   {self._done}/{self._total} frames, {rate:.1f} frames/s{eta}"
