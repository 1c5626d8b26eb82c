"""One training at a time in a run's folder."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from lightning_fabric import Fabric

from recycle.disk import writing
from recycle.errors import OutputError
from recycle.processes import once

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def alone_in(folder: Path, fabric: Fabric, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder of a run, which is made if it is not there; may be nested within one thread.

    All processes of a training call this; rank 0 alone takes the lock, for all. The lock ends with its process,
    however that ends. Raises OutputError, on all, if another process holds the folder or it cannot be written.
    """
    # One object for each folder: what calls `train` may hold the folder already.
    lock = FileLock(folder / ".lock", is_singleton=True)
    first = fabric.is_global_zero
    if not once(fabric, lambda: _take(lock, folder)) and first:
        say(f"{folder} is on a file system without locks: take care that no second training runs in it")
    try:
        yield
    finally:
        if first:
            lock.release()


def _take(lock: FileLock, folder: Path) -> bool:
    """Take the lock; False where the file system has none."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputError(
                f"another recycle is at work in {folder}; wait for it, stop it, or give another --out folder"
            ) from error
        except NotImplementedError:
            return False
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise
    return True
