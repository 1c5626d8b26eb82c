"""Paths given by the user: local paths, and any URL that fsspec supports (s3://, gs://, sftp://, …).

A URL becomes a UPath (universal-pathlib). It has the interface of pathlib.Path but is not an instance of it, because it
has no path on this machine.
"""

import re
import traceback
from pathlib import Path
from typing import cast

from recycle.errors import ConfigError
from recycle.safe_text import redact

_LIBRARIES = {
    *("aiohttp", "aiobotocore", "adlfs", "azure", "botocore", "boto3", "fsspec", "ftplib", "gcsfs", "google", "httpx"),
    *("httpcore", "huggingface_hub", "yarl"),
    *("ocifs", "paramiko", "requests", "s3fs", "smbprotocol", "sshfs", "upath", "urllib3", "webdav4"),
}
"""Packages of fsspec's file systems, and the network libraries that they use."""


def place(text: str) -> Path:
    """The file or folder that a command-line argument names.

    A URL becomes a UPath, which can be used like a Path unless the file must be local. Raises ConfigError if the
    protocol is unknown, or needs a package that is not installed.
    """
    if "://" not in text:
        return Path(text)
    try:
        from upath import UPath
    except ImportError as error:
        raise ConfigError(f"{text} is a URL; to use URLs, run: pip install 'recycle[cluster]'") from error
    try:
        path = UPath(text.rstrip("/") if text.rstrip("/")[-1:] not in (":", "") else text)
        _ = path.fs  # imports the file system
    except Exception as error:  # each file system raises its own exception types
        raise ConfigError(f"cannot use {text}: {' '.join(str(error).split())}") from error
    return cast(Path, path)


def is_here(path: Path) -> bool:
    """Whether `path` is on a file system of this machine, and not a URL."""
    return isinstance(path, Path)


def is_remote_error(error: BaseException) -> bool:
    """Whether `error` was raised by, or passed through, a library of a remote file system; each has its own error
    types."""
    modules = {kind.__module__ for kind in type(error).__mro__}
    modules |= {str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)}
    return any(module.partition(".")[0] in _LIBRARIES for module in modules)


def file_name(path: Path) -> str:
    """A local name for the file: without the query of a URL, without secrets, at most 200 characters and never
    empty."""
    name = path.name
    if not is_here(path):
        name = redact(re.sub(r"[?#].*", "", name) if getattr(path, "protocol", "") in ("http", "https") else name)
    return re.sub(r"[/\0]", "_", name)[:200] or "file"
