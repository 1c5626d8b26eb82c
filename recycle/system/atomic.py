"""Atomic writes: a file or folder appears complete or not at all."""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_FOLDER_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EIO, errno.EACCES}
"""Errors of file systems that cannot flush folders, such as network shares and shared folders of virtual machines."""
_LONGEST_NAME = 255
"""Maximum length of a file name in bytes, on nearly all file systems."""
_TEMPORARY = re.compile(r"\..*\.(\d+)\.partial(?:\..*)?", re.DOTALL)
"""Temporary names made by `atomic_path`; the group is the process id."""


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside `final`; on success, flush it to disk and rename it to `final`.

    The temporary name starts with a dot, contains the process id and keeps the suffix of `final`, from which writers
    choose the format. If the body raises, the temporary file or folder is removed and `final` is unchanged. An existing
    file at `final` is replaced; an existing folder is replaced by a folder. Missing parent folders are created. Raises
    OSError if the path cannot be written.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = hidden(final, f".{os.getpid()}.partial{final.suffix}")
    remove(temporary)
    try:
        yield temporary
        flush(temporary)
        if temporary.is_dir():
            remove(final)
        temporary.replace(final)
        flush(final.parent)
    except BaseException:
        remove(temporary)
        raise


def hidden(final: Path, tail: str) -> Path:
    """A hidden path beside `final`, named by a dot, the stem of `final` and `tail`.

    A stem that would make the name too long is truncated, and a digest of it keeps the name unique.
    """
    stem, room = final.stem, _LONGEST_NAME - len(os.fsencode(f".{tail}"))
    name = os.fsencode(stem)
    if len(name) > room:
        digest = hashlib.sha256(name).hexdigest()[:8]
        stem = f"{name[: room - len(digest) - 1].decode(errors='ignore')}-{digest}"
    return final.with_name(f".{stem}{tail}")


def write_text(final: Path, text: str) -> None:
    """Write `text` to `final` atomically as UTF-8; lone surrogates (of file names) are written as `\\udce9`."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def remove(path: Path) -> None:
    """Delete a file, a link, or a folder with its content; nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until the content of a file, or the list of names of a folder, is on disk.

    Does nothing for folders on file systems that cannot flush them. Raises OSError if a file cannot be flushed.
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
    """Remove temporary files and folders that ended processes left in `folder` (not in its subfolders).

    A leftover with the id of this process belongs to an earlier process: in containers, ids are often reused.
    """
    for path in folder.glob(".*.partial*") if folder.is_dir() else ():
        named = _TEMPORARY.fullmatch(path.name)
        if named and (int(named[1]) == os.getpid() or not _lives(int(named[1]))):
            remove(path)


def _lives(process: int) -> bool:
    """Whether a process with this id runs; a process that ended and was not reaped does not."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process, a system without /proc, or an impossible id
        return True
