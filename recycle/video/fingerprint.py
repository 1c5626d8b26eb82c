"""Detects whether a source has changed: by fingerprint, modification time, or full content."""

import hashlib
from pathlib import Path

from recycle.errors import FootageError
from recycle.system.entries import refuse_special
from recycle.system.places import is_here
from recycle.video.numbered import images_at, is_pattern

_CHUNK = 1 << 20


def fingerprint(source: Path) -> str:
    """SHA-256 (64 hex digits) that identifies a source without reading all of it.

    It covers the size and the first, middle and last MiB of a file, or the names, sizes and modification times of a
    folder's (or a pattern's) numbered images. Raises FootageError if the source cannot be read.
    """
    refuse_special(source)
    digest = hashlib.sha256()
    try:
        images = images_at(source)
        if images is not None:
            for image in images:
                facts = image.stat()
                digest.update(f"{image.name}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="replace"))
            return digest.hexdigest()
        size = source.stat().st_size
        digest.update(str(size).encode())
        with source.open("rb") as file:
            for start in sorted({0, max(0, size // 2 - _CHUNK // 2), max(0, size - _CHUNK)}):
                file.seek(start)
                digest.update(file.read(_CHUNK))
    except OSError as error:
        raise FootageError(f"cannot read {source}: {error.strerror or type(error).__name__}") from error
    return digest.hexdigest()


def modified(source: Path) -> int:
    """Modification time of a local file in nanoseconds; 0 for folders, patterns and remote files.

    A folder of images needs none, because its fingerprint contains the times of the images. Raises FootageError if the
    file does not exist.
    """
    if not is_here(source) or source.is_dir() or is_pattern(source):
        return 0
    try:
        return source.stat().st_mtime_ns
    except OSError as error:
        raise FootageError(f"cannot read {source}: {error.strerror or type(error).__name__}") from error


def content(source: Path) -> str:
    """SHA-256 (64 hex digits) of all bytes of a file, or of the names and bytes of a folder's numbered images.

    Raises FootageError if the source cannot be read.
    """
    refuse_special(source)
    digest = hashlib.sha256()
    try:
        images = images_at(source)
        if images is None:
            with source.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        for image in images:
            with image.open("rb") as file:
                own = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{image.name}\0{own}\n".encode(errors="backslashreplace"))
    except OSError as error:
        raise FootageError(f"cannot read {source}: {error.strerror or type(error).__name__}") from error
    return digest.hexdigest()


def is_unchanged(source: Path, recorded_time: int, recorded_content: str) -> bool:
    """Whether a source with an unchanged fingerprint is unchanged as a whole.

    The source is read in full only if its modification time differs from `recorded_time` (nanoseconds); its `content`
    must then equal `recorded_content`. A source without a recorded time (0) counts as unchanged. Raises FootageError if
    the source cannot be read.
    """
    if not recorded_time or modified(source) == recorded_time:
        return True
    return bool(recorded_content) and content(source) == recorded_content
