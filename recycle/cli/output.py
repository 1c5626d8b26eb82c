"""Prints the output of commands: lines, errors, the events of a job, and the results of many files."""

import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

import typer

from recycle.safe_text import redact, shown

if TYPE_CHECKING:
    from recycle.events import Job

LOST_STREAM = 3
"""Exit code if all frames are written but sound, subtitles or data of a video are lost."""
_LONGEST = 3000
"""Maximum number of characters in the line of an error."""
_LEAST = 40
"""Columns of the narrowest terminal to which lines are fitted."""
_LABEL = re.compile(r" *\S+(?: \S+)*? {2,}(?=\S)")
"""The first column of a line, with the spaces after it."""


def fitted(text: str, stream: TextIO) -> str:
    """`text` with its lines broken between words, as the terminal that `stream` is needs it.

    A line that begins with a label and at least two spaces goes on below the text that follows them. Words are never
    broken. If `stream` is no terminal, as in a file or a pipe, `text` stays as it is: one fact, one line.
    """
    try:
        width = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        return text
    return "\n".join(wrapped(line, width) for line in text.split("\n")) if width >= _LEAST else text


def wrapped(line: str, width: int) -> str:
    """A line broken between words into lines of at most `width` columns; see `fitted`."""
    label = _LABEL.match(line)
    hang = label.end() if label and label.end() <= width // 2 else 0
    parts = textwrap.wrap(
        line,
        width,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        expand_tabs=False,
    )
    return "\n".join(parts)


def show(text: str, *, lines: bool = False, error: bool = False) -> None:
    """Print a line without secrets and control characters, on standard error with `error`.

    `lines` keeps its line breaks. In a terminal, long lines are broken between words.
    """
    stream = sys.stderr if error else sys.stdout  # not by typer.echo, which would write into the line of a bar
    stream.write(fitted(shown(text, lines=lines), stream) + "\n")
    stream.flush()


def print_error(message: str) -> None:
    """Print one line on standard error, without secrets and control characters. A very long line is cut."""
    line = shown(" ".join(message.split()))
    with suppress(OSError, ValueError):
        line = f"error: {line[:_LONGEST]}{'…' if len(line) > _LONGEST else ''}"
        sys.stderr.write(fitted(line, sys.stderr) + "\n")


def command_line() -> str:
    """The command as typed, without secrets. A very long command is cut."""
    import shlex  # only here, so that help starts faster

    line = redact(shlex.join(["recycle", *sys.argv[1:]]))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


@contextmanager
def watched(as_json: bool, notice: str | None = None) -> "Iterator[Job]":
    """A job whose events are printed: as JSON lines, or for a terminal. `notice`, if given, is printed first.

    In a terminal it shows at once that the command starts, because the imports of a command can take seconds.
    """
    from recycle.cli.terminal import JsonLines, Terminal
    from recycle.events import Job

    with JsonLines() if as_json else Terminal() as observe:
        job = Job(observe)
        if notice is not None:
            job.say(notice)
        if not as_json and sys.stderr.isatty():
            job.counting("starting")
        yield job


def conclude(
    job: "Job",
    verb: str,
    done: Sequence[object],
    skipped: Sequence[object],
    failed: list[str],
    result: str,
    lost: Sequence[str] = (),
) -> None:
    """Print the results of many files. Exits with code 1 if any failed, else with LOST_STREAM if any has `lost`
    streams."""
    for reason in failed:
        print_error(reason)
    job.say(f"{len(done)} {verb}, {len(skipped)} already there, {len(failed)} failed: {result}")
    tell_lost(lost, 1 if failed else LOST_STREAM)
    if failed:
        raise typer.Exit(1)


def tell_lost(streams: Sequence[str], code: int = LOST_STREAM) -> None:
    """Print the lost streams, and exit with `code` if there are any."""
    for stream in streams:
        show(f"lost: {stream}", error=True)
    if streams:
        raise typer.Exit(code)
