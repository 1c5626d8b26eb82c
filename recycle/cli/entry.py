"""The way into the command line and out of it: every error becomes one line and an exit code."""

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
from recycle.system.places import is_remote_error

_INTERRUPTED = 128 + signal.SIGINT
_COMPLETE = "_RECYCLE_COMPLETE"
"""Variable by which a shell asks for completions of a command line."""
_AGAIN = "interrupted; run the same command again to continue"


def main() -> None:
    """Entry point: every error becomes one line and a non-zero exit code, with a log where nobody foresaw it."""
    from recycle.system.crash import watching_threads

    interrupt.allow()
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # which nohup sets
        signal.signal(signal.SIGHUP, _stop)
    _open_streams()
    try:
        with watching_threads():
            _main()
    except KeyboardInterrupt:  # again, while an error was being handled
        os._exit(_INTERRUPTED)


def _main() -> None:
    if _COMPLETE in os.environ:  # typer ignores values that it cannot check while it completes a word
        sys.modules["pydantic"] = None  # type: ignore[assignment]  # an import of it fails, and takes no time
    try:
        code = app(_with_addresses(sys.argv[1:]) or ["--help"], prog_name="recycle", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        _fail(f"{error.format_message()} (see 'recycle --help')", 2)
    except RecycleError as error:
        _fail(str(error), _INTERRUPTED if isinstance(error, Interrupted) else 1)
    except SystemExit as stop:  # typer takes every broken pipe for that of standard output
        if isinstance(stop.__context__, BrokenPipeError):
            _fail_of_system(stop.__context__)
        raise
    except OSError as error:  # a disk, or a place elsewhere, that cannot be reached
        _fail_of_system(error)
    except (typer.Abort, KeyboardInterrupt):
        _fail(_AGAIN, _INTERRUPTED)
    except MemoryError:
        _fail("there is not enough memory; free some, or make the work smaller", 1)
    except Exception as error:
        if is_remote_error(error):
            _fail(f"{type(error).__name__}: {error}", 1)
        _fail_unforeseen(error)
    if code == _INTERRUPTED:  # typer's answer to Ctrl-C
        _fail(_AGAIN, code)
    _end(code if isinstance(code, int) else 0)


def _fail_unforeseen(error: Exception) -> None:
    """Print one line with the path of a log, and complete the log, which takes seconds."""
    from recycle.system.crash import add_findings, describe, record

    path = record(error)
    print_error(describe(error, path))
    if path is not None:
        add_findings(path)
    _end(os.EX_SOFTWARE)


def _fail_of_system(error: OSError) -> None:
    """One line on what the system refused; none where nobody reads the output any more."""
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        _end(128 + signal.SIGPIPE)
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        _fail(f"cannot write the output: {error.strerror}", 1)
    if isinstance(error.filename, str) and error.strerror:
        _fail(f"cannot use {error.filename}: {error.strerror}", 1)
    _fail(f"{type(error).__name__}: {error}", 1)


def _open_streams() -> None:
    """Let every text be printed: as an escape what the terminal's encoding lacks, into nothing where it is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _reader_is_gone() -> bool:
    """Whether standard output or error is a pipe that nobody reads any more."""
    watch = select.poll()
    for descriptor in (1, 2):
        watch.register(descriptor, select.POLLOUT)
    return any(event & select.POLLERR for _, event in watch.poll(0))


def _end(code: int) -> None:
    """Exit; what cannot be printed any more is left out, and Python does not complain of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _with_addresses(words: list[str]) -> list[str]:
    """The command line with an address behind each --cluster that has none."""
    complete = []
    for word, following in zip(words, [*words[1:], ""], strict=False):
        complete.append(word)
        if word == "--cluster" and not re.fullmatch(r"auto|local|\S+:\d+", following):
            complete.append("auto")
    return complete


def _fail(message: str, code: int) -> None:
    print_error(message)
    _end(code)
