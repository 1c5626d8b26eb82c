"""Starts and ends the command line: every error becomes one line and an exit code."""

import errno
import os
import re
import select
import signal
import sys
from contextlib import suppress

import typer
from typer.exceptions import TyperException

from recycle.cli.app import app
from recycle.cli.output import print_error
from recycle.errors import Interrupted, RecycleError
from recycle.system import interrupt
from recycle.system.cores import limit_threads
from recycle.system.out_of_memory import shortage
from recycle.system.places import is_remote_error

_INTERRUPTED = 128 + signal.SIGINT
_COMPLETE = "_RECYCLE_COMPLETE"
"""Environment variable by which a shell requests completions of a command line."""
_VERBS = tuple(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)
_CONTINUING = ("extract", "train", "distill", "tune", "translate", "run", "demo", "compare")
"""Commands that continue their work when they are run again. The others start over."""


def main() -> None:
    """Run the command line. An error becomes one line and a non-zero exit code; an unexpected error also gets a log."""
    from recycle.system.crash import watching_threads

    limit_threads()
    interrupt.allow()
    signal.signal(signal.SIGTERM, interrupt.interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores SIGHUP
        signal.signal(signal.SIGHUP, interrupt.interrupt)
    _open_streams()
    try:
        with watching_threads():
            _main()
    except KeyboardInterrupt:  # a second Ctrl-C, while an error is being handled
        os._exit(_INTERRUPTED)


def _main() -> None:
    if _COMPLETE in os.environ:  # completion ignores values that cannot be checked
        sys.modules["pydantic"] = None  # type: ignore[assignment]  # its import fails at once
    try:
        code = app(_with_addresses(sys.argv[1:]) or ["--help"], prog_name="recycle", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        _fail(f"{error.format_message().rstrip('.')} ({_hint()})", 2)
    except RecycleError as error:
        _fail(str(error), _INTERRUPTED if isinstance(error, Interrupted) else 1)
    except SystemExit as stop:  # typer assumes that every broken pipe is standard output
        if isinstance(stop.__context__, BrokenPipeError):
            _fail_of_system(stop.__context__)
        raise
    except OSError as error:  # for example, a disk or a remote location that cannot be reached
        _fail_of_system(error)
    except (typer.Abort, KeyboardInterrupt):
        _fail(_again(), _INTERRUPTED)
    except Exception as error:
        if interrupt.interrupted():  # while an extension module was imported
            _fail(_again(), _INTERRUPTED)
        if (told := shortage(error)) is not None:
            _fail(told, 1)
        if is_remote_error(error):
            _fail(f"{type(error).__name__}: {error}", 1)
        _fail_unforeseen(error)
    if code == _INTERRUPTED:  # typer returns this after Ctrl-C
        _fail(_again(), code)
    _end(code if isinstance(code, int) else 0)


def _fail_unforeseen(error: Exception) -> None:
    """Print one line with the path of a log, then complete the log, which takes seconds."""
    from recycle.system.crash import add_findings, describe, record

    path = record(error)
    print_error(describe(error, path))
    if path is not None:
        add_findings(path)
    _end(os.EX_SOFTWARE)


def _fail_of_system(error: OSError) -> None:
    """Print one line about an operating system error, or nothing if the reader of the output has closed the pipe."""
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        _end(128 + signal.SIGPIPE)
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        _fail(f"cannot write the output: {error.strerror}", 1)
    if isinstance(error.filename, str) and error.strerror:
        _fail(f"cannot use {error.filename}: {error.strerror}", 1)
    _fail(f"{type(error).__name__}: {error}", 1)


def _open_streams() -> None:
    """Make every text printable: escape characters that the encoding lacks, and discard output to closed streams."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _hint() -> str:
    """What to do about a wrong command line."""
    files = [word for word in sys.argv[1:] if word.startswith("-") and os.path.lexists(word)]
    if files:
        return f"for the file '{files[0]}', whose name begins with a dash, write './{files[0]}'"
    verb = next((word for word in sys.argv[1:] if word in _VERBS), None)
    return f"see 'recycle {verb} --help'" if verb else "see 'recycle --help'"


def _again() -> str:
    """The message after Ctrl-C if the work has none of its own."""
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    return f"interrupted; run the same command again to {'continue' if verb in _CONTINUING else 'start over'}"


def _reader_is_gone() -> bool:
    """Whether standard output or standard error is a pipe whose reader has closed it."""
    watch = select.poll()
    for descriptor in (1, 2):
        watch.register(descriptor, select.POLLOUT)
    return any(event & select.POLLERR for _, event in watch.poll(0))


def _end(code: int) -> None:
    """Exit with `code`. Discard output that cannot be written, so that Python reports no error about it.

    From now on Ctrl-C ends the process at once, without a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _with_addresses(words: list[str]) -> list[str]:
    """The command line with the address 'auto' added to each --cluster that has none."""
    complete = []
    for word, following in zip(words, [*words[1:], ""], strict=False):
        complete.append(word)
        if word == "--cluster" and not re.fullmatch(r"auto|local|\S+:\d+", following):
            complete.append("auto")
    return complete


def _fail(message: str, code: int) -> None:
    print_error(message)
    _end(code)
