"""Prints the output of commands: lines, errors, the events of a job, and the results of many files."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from recycle.safe_text import redact, shown

if TYPE_CHECKING:
    from recycle.events import Job

LOST_STREAM = 3
"""Exit code if all pictures are written but sound, subtitles or data of a video are lost."""
_LONGEST = 3000
"""Maximum number of characters in the line of an error."""


def show(text: str, *, lines: bool = False) -> None:
    """Print a line without secrets and control characters. `lines` keeps its line breaks."""
    typer.echo(shown(text, lines=lines))


def print_error(message: str) -> None:
    """Print one line on standard error, without secrets and control characters. A very long line is cut."""
    line = shown(" ".join(message.split()))
    with suppress(OSError, ValueError):
        sys.stderr.write(f"error: {line[:_LONGEST]}{'…' if len(line) > _LONGEST else ''}\n")


def command_line() -> str:
    """The command as typed, without secrets. A very long command is cut."""
    import shlex  # only here, so that help starts faster

    line = redact(shlex.join(["recycle", *sys.argv[1:]]))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


@contextmanager
def watched(as_json: bool, notice: str | None = None) -> "Iterator[Job]":
    """A job whose events are printed: as JSON lines, or for a terminal. `notice`, if given, is printed first."""
    from recycle.cli.terminal import JsonLines, Terminal
    from recycle.events import Job

    with JsonLines() if as_json else Terminal() as observe:
        job = Job(observe)
        if notice is not None:
            job.say(notice)
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
        sys.stderr.write(f"lost: {shown(stream)}\n")
    if streams:
        raise typer.Exit(code)
