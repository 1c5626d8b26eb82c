"""File locks between processes, which the system releases when the holder ends."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from recycle.errors import OutputError

LOCK = ".recycle.lock"
"""Name of the lock file in a folder of outputs."""
_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}
_UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EBADF, errno.EIO}
"""Errors of file systems without locks, such as some network shares."""


class Busy(OutputError):
    """Another process holds the lock."""


@contextmanager
def only_one(file: Path, refusal: str) -> Iterator[bool]:
    """Hold the lock `file` while the body runs.

    The file and its folder are created, and the file is removed at the end. The lock ends with this process, even after
    SIGKILL; the empty file that remains then is harmless. Yields True; yields False on a file system without locks,
    where the body runs without one. Raises Busy with the message `refusal` if another process holds the lock, and
    OSError if the file cannot be created.
    """
    descriptor = _acquire(file, refusal)
    try:
        yield descriptor is not None
    finally:
        with suppress(OSError):
            file.unlink()
        if descriptor is not None:
            os.close(descriptor)


def is_held(file: Path) -> bool:
    """Whether a process, such as this one, holds the lock `file` now. False on a file system without locks."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _HELD
    finally:
        os.close(descriptor)
    return False


def _acquire(file: Path, refusal: str) -> int | None:
    """Descriptor of the open and locked file; None if the file system has no locks."""
    while True:
        descriptor = _open(file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            named = os.stat(file, follow_symlinks=False)  # noqa: PTH116 (same call as os.fstat)
            held = os.fstat(descriptor)
            if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino):
                return descriptor
        except FileNotFoundError:
            pass  # the previous holder removed the file after we opened it and before we locked it: try again
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
            return os.open(file, flags | os.O_RDONLY)  # another user's file; a read-only descriptor can be locked
        except FileNotFoundError:
            raise refused from None
