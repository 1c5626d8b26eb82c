"""Folders that other users of this machine can neither read nor write."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from recycle.errors import OutputError

_CHOICES = 10


def make_private(folder: Path) -> None:
    """Create `folder` with mode 0700, or restrict an existing folder of this user to that mode.

    Raises OSError if the folder cannot be created, is a link, belongs to another user, or was writable by others.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = folder.lstat()
    ours = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
    if not ours:
        raise PermissionError(f"{folder} exists, but is not a private folder of this user")
    if facts.st_mode & 0o077:
        folder.chmod(0o700)


def scratch_folder() -> Path:
    """The private folder for temporary files that outlive this process; always the same, so that work can be continued.

    If another user occupies its name in the temporary directory, the next free numbered name is used. Raises
    OutputError if no name is free.
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
    raise OutputError(
        f"cannot create a private folder for temporary files: {reason}; set TMPDIR to a folder that you own"
    )
