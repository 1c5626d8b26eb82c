"""Determines the kind of a folder entry without opening it: opening a named pipe would block."""

import errno
import stat
from pathlib import Path
from typing import Literal

from recycle.errors import FootageError
from recycle.system.places import is_here

Kind = Literal["file", "folder", "other", "unreadable"]

GONE = "deleted since the folder was listed"
LINKED_FOLDER = "a link to a folder, which is not followed"
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def examine(path: Path) -> tuple[Kind, str]:
    """The kind of `path` and, if it is neither a file nor a folder, a short description.

    A link to a file is 'file'; a link to a folder is 'other', because such links are not followed. 'unreadable' means
    that the system denied access.
    """
    if not is_here(path):
        return ("folder" if path.is_dir() else "file"), ""
    linked = False
    try:
        mode = path.lstat().st_mode
        linked = stat.S_ISLNK(mode)
        mode = path.stat().st_mode if linked else mode
    except FileNotFoundError:
        return "other", "a link that leads nowhere" if linked else GONE
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "other", "a link that leads in a circle"
        return "unreadable", f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return ("other", LINKED_FOLDER) if linked else ("folder", "")
    if stat.S_ISREG(mode):
        return "file", ""
    return "other", _SPECIAL.get(stat.S_IFMT(mode), "not a regular file")


def refuse_special(path: Path) -> None:
    """Raise FootageError if `path` is a named pipe, a socket or a device, which must not be opened."""
    kind, what = examine(path)
    if kind == "other" and what in _SPECIAL.values():
        raise FootageError(f"{path} is {what}, not a file; copy its content into a file first")
