"""Paths that a person names: local ones, and any URL that fsspec knows (s3://, gs://, sftp://, …).

A URL is a UPath (universal-pathlib), which has the interface of pathlib.Path but is none: it has no place on this
machine.
"""

from pathlib import Path
from typing import cast

from recycle.errors import ConfigError


def place(text: str) -> Path:
    """The file or folder that a word of the command line names.

    A URL gives a UPath, which serves as a Path in all that does not need the file here. Raises ConfigError if
    its protocol is unknown or needs a package that is missing.
    """
    if "://" not in text:
        return Path(text)
    try:
        from upath import UPath
    except ImportError as error:
        raise ConfigError(f"{text} is a URL; for those: pip install 'recycle[cluster]'") from error
    try:
        path = UPath(text)
        _ = path.fs  # imports the file system
    except Exception as error:  # each file system has errors of its own
        raise ConfigError(f"cannot use {text}: {' '.join(str(error).split())}") from error
    return cast(Path, path)


def is_here(path: Path) -> bool:
    """Whether `path` is on a file system of this machine."""
    return isinstance(path, Path)
