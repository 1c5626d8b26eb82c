"""Handles unexpected errors: one line for the user, and a log with the traceback and the output of `recycle doctor`."""

import os
import platform
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from recycle.safe_text import redact, shown
from recycle.system.private import make_private, scratch_folder

_KEPT = 20
"""Number of logs that are kept; older ones are deleted."""
_PATIENCE = 60.0
"""Timeout of `recycle doctor` in seconds."""
_lock = threading.Lock()


def unexpected(error: BaseException) -> str:
    """Write a log of an unexpected error, and return one line that describes the error and names the log."""
    path = record(error)
    if path is not None:
        add_findings(path)
    return describe(error, path)


def describe(error: BaseException, path: Path | None) -> str:
    """One line that describes an unexpected error and names its log; `path` None means that no log could be written."""
    reason = " ".join(redact(str(error)).split())[:300]
    where = f"please report it together with the log {path}" if path else "its log could not be written"
    return f"unexpected {type(error).__name__}{': ' if reason else ''}{reason}; {where}"


def record(error: BaseException) -> Path | None:
    """Write a log with the traceback of `error`, without secrets and readable only by this user.

    Returns the path of the log, or None if it could not be written. If the environment variable RECYCLE_DEBUG is set,
    the traceback is also printed to stderr.
    """
    import shlex  # only here, so that help starts faster

    with suppress(Exception), _lock:
        folder = logs_folder()
        for old in sorted(folder.glob("crash-*.log"))[: -_KEPT + 1]:
            old.unlink(missing_ok=True)
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(seconds))
        name = f"crash-{stamp}-{nanoseconds:09d}-{os.getpid()}.log"  # sorting by name sorts by time
        lines = "".join(traceback.format_exception(error))
        words = shlex.join(sys.argv)
        text = f"command: {words}\npython: {platform.python_version()} on {platform.platform()}\n\n{lines}\n"
        with open_private(folder / name) as file:
            file.write(redact(text))
        if os.environ.get("RECYCLE_DEBUG"):
            sys.stderr.write(shown(lines, lines=True))
        return folder / name
    return None


def add_findings(path: Path) -> None:
    """Append the output of `recycle doctor` to the log at `path`; takes seconds."""
    with suppress(Exception), _lock:
        findings = _findings()
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"doctor:\n{redact(findings)}\n")


def logs_folder() -> Path:
    """The private folder of the logs: $XDG_STATE_HOME/recycle, else ~/.local/state/recycle, else a temporary folder.

    Raises OSError or OutputError if no such folder can be created.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "recycle"
        make_private(folder)
        if not os.access(folder, os.W_OK):
            raise PermissionError(folder)
    except (OSError, RuntimeError):  # no home folder, or it is not writable
        folder = scratch_folder() / "logs"
        make_private(folder)
    return folder


def open_private(path: Path) -> Any:
    """Create a text file that only this user can read and return it open for writing. Raises OSError if it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")


@cache
def _findings() -> str:
    """The output of `recycle doctor`, run in a separate process because the state of this one may be corrupt."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "recycle.doctor"],
            capture_output=True,
            text=True,
            errors="backslashreplace",
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, MemoryError) as error:
        return f"did not run: {error}"
    return done.stdout + done.stderr


@contextmanager
def watching_threads() -> Iterator[None]:
    """While the body runs, report unexpected errors that end a thread in one line, without a traceback, and log those
    that Python ignores."""
    before = threading.excepthook, sys.unraisablehook

    def ended(facts: Any) -> None:
        if facts.exc_value is not None and not isinstance(facts.exc_value, SystemExit):
            with suppress(OSError, ValueError):
                sys.stderr.write(f"error: {shown(unexpected(facts.exc_value))}\n")

    def ignored(facts: Any) -> None:
        if facts.exc_value is not None:
            record(facts.exc_value)

    threading.excepthook, sys.unraisablehook = ended, ignored
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before
