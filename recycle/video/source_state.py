"""Detects changes of a source while it is read, which would make the translation wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import av

from recycle.errors import FootageError
from recycle.plural import counted
from recycle.video.fingerprint import fingerprint
from recycle.video.numbered import images_at, is_pattern, listed

_ROUNDINGS = (100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
"""Units in nanoseconds to which network and FAT file systems round times, immediately or after a delayed write."""


class SourceChanged(FootageError):
    """The source was changed, replaced or removed while it was read."""


@dataclass(frozen=True)
class Facts:
    """Metadata that distinguish versions of a file without reading it."""

    size: int
    """Bytes."""
    modified: int
    """Modification time in nanoseconds."""
    number: int
    """Inode number."""

    @classmethod
    def of(cls, path: Path) -> "Facts":
        """Read the metadata of `path`. Raises OSError."""
        facts = path.stat()
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ino)

    def like(self, other: "Facts") -> bool:
        """Whether size and time are equal, up to rounding of either time to a unit of _ROUNDINGS."""
        return self.size == other.size and any(
            self.modified // unit == other.modified // unit and (not self.modified % unit or not other.modified % unit)
            for unit in (1, *_ROUNDINGS)
        )


@dataclass(frozen=True)
class SourceState:
    """The state of a file or a folder of numbered images at one time."""

    path: Path
    files: dict[str, Facts]
    """Metadata of the file or of the images, by name."""

    @cached_property
    def fingerprint(self) -> str:
        """The `recycle.video.fingerprint.fingerprint` of the source at first access; raises FootageError like it."""
        return fingerprint(self.path)

    @property
    def modified(self) -> int:
        """Recorded modification time of a file in nanoseconds; 0 for a folder of images."""
        return 0 if self._is_images else next(iter(self.files.values())).modified

    @property
    def _is_images(self) -> bool:
        return self.path.is_dir() or is_pattern(self.path)

    def check(self) -> None:
        """Raise SourceChanged, in one line, if the source has changed or was removed."""
        try:
            now = _facts(self.path)
        except OSError as error:
            raise SourceChanged(f"{self.path} was removed while it was read ({error.strerror})") from error
        if self._is_images:
            self._check_images(now)
        elif now != self.files:
            ((before, after),) = zip(self.files.values(), now.values(), strict=True)
            if before.size != after.size:
                how = f"it had {before.size:,} bytes and has {after.size:,}"
            elif not before.like(after) or fingerprint(self.path) != self.fingerprint:
                how = "it was rewritten" if before.number == after.number else "it was replaced by another file"
            else:
                return  # some network drives change the inode number or round the time of an unchanged file
            raise SourceChanged(f"{self.path} changed while it was read: {how}; run again when it is complete")

    @contextmanager
    def watched(self, spoiled: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Raise SourceChanged instead of an error in the body if the source has changed, as the likely cause.

        `spoiled` is called first, to discard results made from the changed source. Errors are FootageError,
        av.FFmpegError and OSError; they are raised unchanged if the source has not changed.
        """
        try:
            yield
        except (FootageError, av.FFmpegError, OSError) as error:
            if not isinstance(error, SourceChanged):
                try:
                    self.check()
                except SourceChanged as reason:
                    spoiled()
                    raise reason from error
                raise
            spoiled()
            raise

    def _check_images(self, now: dict[str, Facts]) -> None:
        before = self.files
        for what, names in (
            ("added", now.keys() - before.keys()),
            ("removed", before.keys() - now.keys()),
            ("rewritten", {name for name in now.keys() & before.keys() if not now[name].like(before[name])}),
        ):
            if names:
                how = f"{counted(len(names), 'image')} {what} ({listed(sorted(names))})"
                raise SourceChanged(f"{self.path} changed while it was read: {how}; run again when it is complete")


def files_of(path: Path) -> dict[str, Facts]:
    """Metadata of the file `path` or of its numbered images, by name. Raises FootageError if it cannot be read."""
    try:
        return _facts(path)
    except OSError as error:
        raise FootageError(f"cannot read {path}: {error.strerror}") from error


def _facts(path: Path) -> dict[str, Facts]:
    found = images_at(path)
    found = [path] if found is None else found
    return {file.name: Facts.of(file) for file in found}
