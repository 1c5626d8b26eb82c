"""Describes disk errors in one line that includes a remedy."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recycle.errors import OutputError, RecycleError

_REASONS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("no space left on the disk", "make room"),
    errno.EDQUOT: ("the disk quota is used up", "make room"),
    errno.EFBIG: ("the file is larger than the file system or a limit of this process allows", "raise the limit"),
    errno.EROFS: ("the file system is read-only", "make it writable"),
    errno.EACCES: ("permission denied", "make it writable"),
    errno.EPERM: ("permission denied", "make it writable"),
    errno.EIO: ("the disk reports an input/output error", "check the disk"),
}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""Format in which libraries written in Rust, such as safetensors, give the number of a system error."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_WRITING = {errno.EIO}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert a system error, raised in the body that writes `path`, into an OutputError with a one-line message.

    Libraries wrap system errors, so the error number is searched along the chain of causes. Other errors pass through.
    """
    try:
        yield
    except RecycleError:
        raise
    except Exception as error:
        number = _number(error)
        if number is None:
            raise
        reason, remedy = explain(number)
        raise OutputError(f"cannot write {path}: {reason}; {remedy} and run the same command again") from error


def explain(number: int) -> tuple[str, str]:
    """Meaning of a system error number, and its remedy."""
    return _REASONS.get(number, (os.strerror(number).lower(), "check the disk"))


def disk_failed(error: BaseException) -> bool:
    """Whether a full, read-only or broken disk caused `error`, rather than the data that was written.

    An exhausted quota counts as a full disk. An input/output error counts only if `error` is an OutputError, because
    reading footage can cause one too.
    """
    failures = _FULL | (_WRITING if isinstance(error, OutputError) else set())
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in failures:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _number(error: BaseException | None) -> int | None:
    """The number of the system error that `error` is, names or was caused by; None if there is none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        if named := _OS_ERROR.search(str(error)):
            return int(named[1])
        error = error.__cause__
    return None
