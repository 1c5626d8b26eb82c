"""Paths that a person names: local ones, and any URL that fsspec knows (s3://, gs://, sftp://, …).

A URL is a UPath (universal-pathlib), which has the interface of pathlib.Path but is none: it has no place on this
machine.
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
"""Packages of file systems that fsspec knows, and what they speak with."""


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
        path = UPath(text.rstrip("/") if text.rstrip("/")[-1:] not in (":", "") else text)
        _ = path.fs  # imports the file system
    except Exception as error:  # each file system has errors of its own
        raise ConfigError(f"cannot use {text}: {' '.join(str(error).split())}") from error
    return cast(Path, path)


def is_here(path: Path) -> bool:
    """Whether `path` is on a file system of this machine."""
    return isinstance(path, Path)


def is_remote_error(error: BaseException) -> bool:
    """Whether a library of some remote file system raised `error`, or had to do with it: each has errors of its own."""
    modules = {kind.__module__ for kind in type(error).__mro__}
    modules |= {str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)}
    return any(module.partition(".")[0] in _LIBRARIES for module in modules)


def file_name(path: Path) -> str:
    """The name under which a file may lie here: without the query of a URL, and never empty."""
    name = path.name
    if not is_here(path):
        name = redact(re.sub(r"[?#].*", "", name) if getattr(path, "protocol", "") in ("http", "https") else name)
    return re.sub(r"[/\0]", "_", name)[:200] or "file"
