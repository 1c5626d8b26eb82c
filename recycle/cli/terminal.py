"""Shows the events of a job: notices on standard output, progress on standard error.

In a terminal, progress is a bar or a table of files. Elsewhere, such as in a log, each task prints a line when it
starts, every LINE_SECONDS, and when it ends. Only the command line imports this module.
"""

import json
import math
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from recycle.cli.output import show
from recycle.cli.piece import Piece
from recycle.events import Event, FileState, Notice, Progress, Review, Step
from recycle.safe_text import printable_json, redact, shown

if TYPE_CHECKING:
    from rich.live import Live

    from recycle.cli.table import LiveTable

LINE_SECONDS = 30.0
"""Seconds between two lines about a task if there is no terminal."""


class Terminal:
    """Observer of a `recycle.events.Job` that prints for a person; a context manager that closes the bar or table."""

    def __init__(self, *, seconds: float = LINE_SECONDS) -> None:
        self._seconds = seconds
        self._told = 0.0
        self._piece: Piece | None = None
        self._untold = False  # whether the line about the end of the task is still due
        self._score = ""
        self._losses = ""
        self._live: Live | None = None
        self._table: LiveTable | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Notice():
                self._say(event.text)
            case FileState():
                self._file(event)
            case Review():
                self._score = f"score {event.score:.3f}"
            case Step():
                if event.losses:
                    self._losses = " ".join(f"{name} {value:.2f}" for name, value in event.losses.items())
                detail = " ".join(filter(None, (self._score, self._losses)))
                self._progress(Progress("training", event.step, event.steps, "steps", detail, event.left))
            case Progress():
                self._progress(event)

    def _say(self, text: str) -> None:
        if self._table is not None and self._table.over:
            self._close()
        show(text)  # in a terminal, rich places it above the bar

    def _progress(self, event: Progress) -> None:
        piece, over = self._piece, event.total is not None and event.done >= event.total
        if piece is None or piece.what != event.what or (piece.finished and not over):
            self._close()
            piece = self._piece = Piece(event)
            self._begin(piece)
        elif piece.finished:
            return
        piece.update(event)
        if piece.finished:
            self._close(keep=True)
        elif self._live is None and time.monotonic() - self._told >= self._seconds:
            self._tell(piece.line())

    def _begin(self, piece: Piece) -> None:
        self._untold = True
        from rich.console import Console

        console = Console(stderr=True)
        if not console.is_terminal or console.is_dumb_terminal:
            self._tell(f"{piece.what} …")
            return
        from rich.live import Live

        self._live = Live(
            get_renderable=lambda: piece.bar(console.width),
            console=console,
            refresh_per_second=4,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._open.enter_context(self._live)

    def _file(self, event: FileState) -> None:
        if self._table is None:
            from recycle.cli.table import LiveTable

            self._close()
            self._table = self._open.enter_context(LiveTable(seconds=self._seconds))
        self._table.observe(event)

    def _close(self, *, keep: bool = False) -> None:
        """Close the bar or table. `keep` remembers the finished task, so that further events about it are ignored."""
        piece, live = self._piece, self._live
        if piece is not None and live is not None and not piece.facts():
            live.transient = True  # a task without a count leaves no line behind
        self._live = self._table = None
        self._open.close()
        if piece is not None and live is None and self._untold and piece.facts():
            self._tell(piece.line())
        self._untold = False
        if not keep:
            self._piece = None

    def _tell(self, line: str) -> None:
        self._told = time.monotonic()
        sys.stderr.write(shown(line) + "\n")
        sys.stderr.flush()


class JsonLines:
    """Observer of a `recycle.events.Job` that prints each event as one line of JSON on standard output.

    The key "event" names the kind: progress, notice, file, step or review. The other keys are the event's fields.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, event: Event) -> None:
        """Print an event."""
        data = {"event": KINDS[type(event)], **{key: _plain(value) for key, value in asdict(event).items()}}
        sys.stdout.write(printable_json(json.dumps(data, ensure_ascii=False)) + "\n")
        sys.stdout.flush()


KINDS: dict[type[Event], str] = {
    Progress: "progress",
    Notice: "notice",
    FileState: "file",
    Step: "step",
    Review: "review",
}
"""Names of the events in JSON lines."""


def _plain(value: object) -> object:
    """A field in a form that JSON supports, without secrets; infinite and NaN become None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, int | float):
        return value
    return redact(str(value))
