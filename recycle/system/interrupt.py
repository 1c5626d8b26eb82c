"""Lets Ctrl-C end the process at once, without a traceback, while the command line is imported.

Import this module before any module that takes long to import. It changes only the command line's own process, and
`allow` restores the default behaviour.
"""

import signal
import sys
import threading

_interrupted = False
_ours = (
    sys.argv[:1] != []
    and sys.argv[0].rpartition("/")[2] in ("recycle", "__main__.py", "-m")
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
if _ours:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def allow() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, as by default."""
    if _ours:
        signal.signal(signal.SIGINT, interrupt)


def interrupt(number: int, frame: object) -> None:
    """Raise KeyboardInterrupt; a signal handler."""
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def interrupted() -> bool:
    """Whether a signal has raised KeyboardInterrupt. Extension modules may turn it into another exception."""
    return _interrupted
