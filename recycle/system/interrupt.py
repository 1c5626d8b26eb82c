"""Ctrl-C while the command line is being imported: it ends the process at once, without a traceback.

To be imported before all that takes long. Only the command line's own process is changed, and `allow` changes it back.
"""

import signal
import sys
import threading

_ours = (
    sys.argv[:1] != []
    and sys.argv[0].rpartition("/")[2] in ("recycle", "__main__.py", "-m")
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
if _ours:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def allow() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, as is usual."""
    if _ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
