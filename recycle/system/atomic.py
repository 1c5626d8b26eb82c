"""Files and folders that appear complete or not at all."""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_FOLDER_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EIO, errno.EACCES}
"""What network shares and shared folders of virtual machines answer, which do not flush folders."""
_LONGEST_NAME = 255
"""Bytes of a name, on nearly all file systems."""
_TEMPORARY = re.compile(r"\..*\.(\d+)\.partial(?:\..*)?", re.DOTALL)
"""Names that atomic_path gives; the group is the process id."""


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Give a temporary path beside `final`; on success flush it to disk and rename it to `final`.

    The temporary name keeps the suffix of `final` (writers choose formats by it), starts with a dot and
    holds the process id. If the body raises, the temporary file or folder is removed and `final` is left
    as it was. An existing file at `final` is replaced; an existing folder is replaced by a folder.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = hidden(final, f".{os.getpid()}.partial{final.suffix}")
    _remove(temporary)
    try:
        yield temporary
        flush(temporary)
        if temporary.is_dir():
            _remove(final)
        temporary.replace(final)
        flush(final.parent)
    except BaseException:
        _remove(temporary)
        raise


def hidden(final: Path, tail: str) -> Path:
    """A hidden name beside `final`: a dot, its stem and `tail`.

    A stem that is too long for this is cut, and a digest of it keeps the name its own.
    """
    stem, room = final.stem, _LONGEST_NAME - len(os.fsencode(f".{tail}"))
    name = os.fsencode(stem)
    if len(name) > room:
        digest = hashlib.sha256(name).hexdigest()[:8]
        stem = f"{name[: room - len(digest) - 1].decode(errors='ignore')}-{digest}"
    return final.with_name(f".{stem}{tail}")


def write_text(final: Path, text: str) -> None:
    """Write `text` to `final` atomically: as UTF-8, with a lone surrogate (of a file name) as `\\udce9`."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Folders of file systems that cannot be flushed are passed over. Raises OSError if a file cannot be flushed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not (error.errno in _NO_FOLDER_FLUSH and path.is_dir()):
            raise


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in `folder` itself that are of a process that is gone.

    One with the id of this process is of an earlier process with that id; in a container they are often the same.
    """
    for path in folder.glob(".*.partial*") if folder.is_dir() else ():
        named = _TEMPORARY.fullmatch(path.name)
        if named and (int(named[1]) == os.getpid() or not _lives(int(named[1]))):
            _remove(path)


def _lives(process: int) -> bool:
    """Whether a process of this number runs; one that ended and was not yet reaped does not."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, a system without /proc, no number of a process
        return True
