"""Whether a source is still the one that was opened: a file that changes while it is read is translated wrongly."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import av

from recycle.errors import FootageError
from recycle.video.fingerprint import fingerprint
from recycle.video.numbered import listed, numbered_images

_ROUNDINGS = (100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
"""Nanoseconds to which network and FAT file systems round times, at once or when they have written a file out."""


class SourceChanged(FootageError):
    """The source was changed, replaced or removed while it was read."""


@dataclass(frozen=True)
class Facts:
    """What tells one version of a file from another without reading it."""

    size: int
    modified: int
    """Nanoseconds."""
    number: int
    """Of the inode."""

    @classmethod
    def of(cls, path: Path) -> "Facts":
        """Raises OSError."""
        facts = path.stat()
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ino)

    def like(self, other: "Facts") -> bool:
        """Whether size and time are the same, but for the rounding of a time."""
        return self.size == other.size and any(
            self.modified // unit == other.modified // unit and (not self.modified % unit or not other.modified % unit)
            for unit in (1, *_ROUNDINGS)
        )


@dataclass(frozen=True)
class SourceState:
    """A file or a folder of numbered images, as it was when this was made."""

    path: Path
    files: dict[str, Facts]
    """The file, or the images, by name."""

    @classmethod
    def of(cls, path: Path) -> Self:
        """With its fingerprint. Raises FootageError if the source cannot be read."""
        state = cls(path, files_of(path))
        _ = state.fingerprint
        return state

    @cached_property
    def fingerprint(self) -> str:
        """As `recycle.video.fingerprint.fingerprint`, when it was first asked for. Raises as it."""
        return fingerprint(self.path)

    @property
    def modified(self) -> int:
        """As `recycle.video.fingerprint.modified`."""
        return 0 if self.path.is_dir() else next(iter(self.files.values())).modified

    def check(self) -> None:
        """Raise SourceChanged, in one line, if the source is not as it was."""
        try:
            now = _facts(self.path)
        except OSError as error:
            raise SourceChanged(f"{self.path} was removed while it was read ({error.strerror})") from error
        if self.path.is_dir():
            self._check_images(now)
        elif now != self.files:
            ((before, after),) = zip(self.files.values(), now.values(), strict=True)
            if before.size != after.size:
                how = f"it had {before.size:,} bytes and has {after.size:,}"
            elif not before.like(after) or fingerprint(self.path) != self.fingerprint:
                how = "it was written anew" if before.number == after.number else "it was replaced by another file"
            else:
                return  # some network drives give a file another number, or round its time, for no reason
            raise SourceChanged(f"{self.path} changed while it was read: {how}; run again when it is complete")

    @contextmanager
    def watched(self, spoiled: Callable[[], None] = lambda: None) -> Iterator[None]:
        """If anything goes wrong in the body and the source has changed, that is why: raise SourceChanged instead.

        `spoiled` is called before: what was made of such a source is of no use.
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
            ("were added", now.keys() - before.keys()),
            ("were removed", before.keys() - now.keys()),
            ("were written anew", {name for name in now.keys() & before.keys() if not now[name].like(before[name])}),
        ):
            if names:
                raise SourceChanged(
                    f"{self.path} changed while it was read: {len(names)} images {what} ({listed(sorted(names))}); run "
                    "again when it is complete"
                )


def files_of(path: Path) -> dict[str, Facts]:
    """The facts about the file `path`, or about its numbered images. Raises FootageError if it cannot be read."""
    try:
        return _facts(path)
    except OSError as error:
        raise FootageError(f"cannot read {path}: {error.strerror}") from error


def _facts(path: Path) -> dict[str, Facts]:
    found = numbered_images(path) if path.is_dir() else [path]
    return {file.name: Facts.of(file) for file in found}
