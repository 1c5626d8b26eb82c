"""Folders that nobody else on this machine can read or fill."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from recycle.errors import OutputError

_CHOICES = 10


def make_private(folder: Path) -> None:
    """Make `folder`, or take the one that is there if it is ours alone: a folder and no link, which others cannot
    write to. Its mode becomes 0700. Raises OSError if it cannot be made, or is not ours alone."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = folder.lstat()
    ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
    if not ours:
        raise PermissionError(f"{folder} is not a private folder of this user")
    if facts.st_mode & 0o077:
        folder.chmod(0o700)


def scratch_folder() -> Path:
    """The private folder for temporary files that outlive this process: the same in every call, so that work goes on.

    Where somebody else took its name in the temporary directory, it is the next of its names that is free or ours.
    Raises OutputError if there is none.
    """
    import tempfile  # every command imports this module; most make no such folder

    base = Path(tempfile.gettempdir()) / f"recycle-{os.geteuid()}"
    reason: object = ""
    for number in range(_CHOICES):
        folder = base.with_name(f"{base.name}-{number}") if number else base
        try:
            make_private(folder)
        except OSError as error:
            reason = error
            continue
        return folder
    raise OutputError(f"cannot make a private folder for temporary files: {reason}; set TMPDIR to a folder of yours")
