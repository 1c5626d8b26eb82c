"""What commands print: lines, errors, the events of a job, and what became of many files."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from recycle.safe_text import redact, shown

if TYPE_CHECKING:
    from recycle.events import Job

LOST_STREAM = 3
"""Exit code where all pictures are written and sound, subtitles or data of some video are lost."""
_LONGEST = 3000
"""Characters of an error's line."""


def show(text: str, *, lines: bool = False) -> None:
    """Print a line; control characters and secrets in it are not sent. With `lines`, its line breaks are."""
    typer.echo(shown(text, lines=lines))


def print_error(message: str) -> None:
    """One line on standard error, without secrets and control characters."""
    line = shown(" ".join(message.split()))
    with suppress(OSError, ValueError):
        sys.stderr.write(f"error: {line[:_LONGEST]}{'…' if len(line) > _LONGEST else ''}\n")


def command_line() -> str:
    """The command as it was typed, without secrets; a very long one is cut."""
    line = redact(shlex.join(["recycle", *sys.argv[1:]]))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"


@contextmanager
def watched(as_json: bool, notice: str | None = None) -> "Iterator[Job]":
    """A job that is shown to a person or, as JSON lines, to a program; it starts with a notice, if there is one."""
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
    """Tell what became of many files; the exit code is 1 if any failed, else LOST_STREAM if any has `lost` streams."""
    for reason in failed:
        print_error(reason)
    job.say(f"{len(done)} {verb}, {len(skipped)} already there, {len(failed)} failed: {result}")
    tell_lost(lost, 1 if failed else LOST_STREAM)
    if failed:
        raise typer.Exit(1)


def tell_lost(streams: Sequence[str], code: int = LOST_STREAM) -> None:
    """Exit with `code` if there are streams that were lost."""
    for stream in streams:
        sys.stderr.write(f"lost: {shown(stream)}\n")
    if streams:
        raise typer.Exit(code)
