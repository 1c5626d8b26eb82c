"""The live table of a folder's files."""

import time
from dataclasses import dataclass
from threading import RLock
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recycle.safe_text import shown

_ROWS = 12
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
    """Rows of files: running and failed ones first, then the latest. Without a terminal, a line for each end."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._rows: dict[str, _Row] = {}
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
        with self._lock:
            row = self._rows.setdefault(name, _Row())
            row.state, row.detail = state, detail
            if state == "running":
                row.started, row.ended, row.first = time.monotonic(), 0.0, -1
            elif row.started:
                row.ended = time.monotonic()
        if not self._console.is_terminal and state in ("done", "failed") and row.started:
            self._console.print(shown(f"{state:<7} {name}  {detail}"), markup=False, highlight=False, soft_wrap=True)

    def expect(self, name: str, total: int | None) -> None:
        """A file that waits has `total` frames, as it claims."""
        with self._lock:
            self._rows.setdefault(name, _Row()).total = total

    def advance(self, name: str, done: int, total: int | None) -> None:
        """`done` of `total` frames are done."""
        with self._lock:
            row = self._rows.setdefault(name, _Row())
            if row.first < 0:
                row.first = done - 1
            row.done, row.total = done, total

    def _table(self) -> Group:
        with self._lock:
            rows = {name: _Row(**vars(row)) for name, row in self._rows.items()}
        table = Table(box=None, pad_edge=False, expand=True)
        table.add_column("file", ratio=1, no_wrap=True, overflow="ellipsis")
        for name in ("state", "frames", "frames/s", "ETA"):
            table.add_column(name, justify="right", no_wrap=True)
        order = {"running": 0, "failed": 1, "done": 2, "waiting": 3}
        latest = sorted(rows.items(), key=lambda item: (order[item[1].state], -item[1].ended))[:_ROWS]
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
        counts = {state: sum(row.state == state for row in rows.values()) for state in order}
        summary = "  ".join(f"{count} {state}" for state, count in counts.items())
        return Group(table, Text(summary + self._whole(rows), style="dim"))

    def _whole(self, rows: dict[str, _Row]) -> str:
        """Frames, rate and ETA of all files together."""
        work = [row for row in rows.values() if row.state in ("running", "waiting") or row.started]
        done, total = sum(row.done for row in work), sum(row.total or row.done for row in work)
        began = min((row.started for row in work if row.started), default=0.0)
        new = sum(row.done - max(row.first, 0) for row in work if row.started and row.done)
        rate = new / (time.monotonic() - began) if began and new else 0.0
        if not rate:
            return ""
        return f"   {done}/{total} frames, {rate:.1f} frames/s, ETA {_clock((total - done) / rate)}"
