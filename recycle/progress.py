"""How long work reports its progress: one plain callable, and the terminal that shows it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from recycle.safe_text import shown

Progress = Callable[[int, int | None], None]
"""Called as `progress(done, total)`, in units of the work (frames, files); total None: unknown."""

StepProgress = Callable[[int, int, str], None]
"""Called as `progress(step, steps, detail)`; the detail is a few words, such as the losses."""


_BAR = 20
"""Columns of the terminal that a bar takes."""


class Bar(Protocol):
    """A progress line: serves as Progress and as StepProgress."""

    def __call__(self, done: int, total: int | None, detail: str = "", /) -> None:
        """Show that `done` of `total` are done."""


def silent(done: int, total: int | None) -> None:
    """Progress that reports to nobody: the default of every function of the library."""


class FileTable(Protocol):
    """Shows the files of a folder; safe for threads."""

    def show(self, name: str, state: str, detail: str = "") -> None:
        """A file is now 'waiting', 'running', 'done' or 'failed'."""

    def expect(self, name: str, total: int | None) -> None:
        """A file that waits has so many frames, as it claims."""

    def advance(self, name: str, done: int, total: int | None) -> None:
        """So many of its frames are done."""


class Terminal:
    """Lines on standard output, progress on standard error; where it is muted, neither."""

    def __init__(self, *, muted: bool = False) -> None:
        self.muted = muted

    @contextmanager
    def files(self) -> Iterator[FileTable]:
        """Show a table of files, with state, frames, rate and ETA, while the body runs."""
        from recycle.table import LiveTable

        with LiveTable() as table:
            yield table

    def say(self, text: str) -> None:
        """Print one line; control characters and secrets in it are not sent."""
        if self.muted:
            return
        sys.stdout.write(shown(text) + "\n")
        sys.stdout.flush()

    @contextmanager
    def bar(self, description: str, unit: str = "frames") -> Iterator[Bar]:
        """Show a progress line with rate and ETA while the body runs."""
        if self.muted:
            yield lambda done, total, detail="": None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        # Only the detail gives way where the terminal is narrow.
        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        columns = (
            TextColumn("{task.description}", style="bold", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=_BAR, table_column=Column(no_wrap=True, min_width=_BAR)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True)),
            TextColumn("ETA", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[detail]}", style="dim", markup=False, table_column=rest),
        )
        with Progress(*columns, console=Console(stderr=True), expand=True) as lines:
            task = lines.add_task(shown(description), total=None, rate="", detail="")

            def report(done: int, total: int | None, detail: str = "", /) -> None:
                speed = lines.tasks[0].speed
                rate = f"{speed:.1f} {unit}/s" if speed else ""
                lines.update(task, completed=done, total=total, rate=rate, detail=shown(detail))

            yield report
