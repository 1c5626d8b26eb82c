"""Locks that keep two processes from the same work, and that end with the process that holds them."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recycle.errors import OutputError

_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}
_UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EBADF, errno.EIO}
"""What file systems answer that have no locks, such as some network shares."""


class Busy(OutputError):
    """Another process is at the same work."""


@contextmanager
def only_one(file: Path, refusal: str) -> Iterator[bool]:
    """Hold the lock `file`, which is made for it, with its folder, and removed at the end.

    The lock ends with this process, even after SIGKILL; the empty file that is then left does not matter. Gives False
    on a file system without locks, where the body runs without one. Raises Busy, with the text `refusal`, if somebody
    else holds the lock; OSError if the file cannot be made.
    """
    descriptor = _acquire(file, refusal)
    try:
        yield descriptor is not None
    finally:
        with suppress(OSError):
            file.unlink()
        if descriptor is not None:
            os.close(descriptor)


def _acquire(file: Path, refusal: str) -> int | None:
    """The open and locked file; None where the file system has no locks."""
    while True:
        descriptor = _open(file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            named = os.stat(file, follow_symlinks=False)  # noqa: PTH116 (Path.stat is of the link's target)
            held = os.fstat(descriptor)
            if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino):
                return descriptor
        except FileNotFoundError:
            pass  # the holder before us removed the file between our opening and locking it: try again
        except OSError as error:
            os.close(descriptor)
            if error.errno in _HELD:
                raise Busy(refusal) from error
            if error.errno in _UNSUPPORTED:
                return None
            raise
        os.close(descriptor)


def _open(file: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(file, flags | os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError as refused:
        try:
            return os.open(file, flags | os.O_RDONLY)  # another user's; enough to lock it
        except FileNotFoundError:
            raise refused from None
