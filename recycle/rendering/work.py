"""Unfinished work: the finished segments of an output, stored beside it so that an interrupted call can continue."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from recycle.system.atomic import hidden, remove, write_text
from recycle.system.lock import only_one
from recycle.video.picture_formats import holds_pictures

SEGMENT = 120
"""Frames in a segment; at most this many are lost when a process is killed."""

_KEY = "work.json"
_LOCK = "lock"


class Record(BaseModel):
    """Properties of a finished segment."""

    model_config = ConfigDict(frozen=True)
    stamps: tuple[int, ...]
    """Timestamps of its frames in the source, in order."""
    regular: bool
    """Whether no frame of the source, up to the end of the segment, was damaged or repaired."""
    deinterlaced: bool = False
    """Whether any frame of the source, up to the end of the segment, was interlaced."""


@dataclass(frozen=True)
class Work:
    """The folder of one unfinished output. Segment n starts at frame n · SEGMENT and has a record."""

    folder: Path
    dropped: bool
    """Whether unfinished work of another source, model or settings was deleted."""
    tag: str
    """Digest of the key, used in file names so that work with another key is not mistaken for this."""

    def segment(self, index: int) -> Path:
        """Path of a segment's file, which is complete if it exists."""
        return self.folder / f"{index:06d}.{self.tag}.segment"

    def record(self, index: int, record: Record) -> None:
        """Record a segment as finished."""
        write_text(self._record(index), record.model_dump_json())

    def read(self, index: int) -> Record | None:
        """The record of a segment; None if it is not finished."""
        if not (self.segment(index).exists() and self._record(index).exists()):
            return None
        return Record.model_validate_json(self._record(index).read_bytes())

    def forget(self, index: int) -> None:
        """Delete a segment and its record."""
        self._record(index).unlink(missing_ok=True)
        self.segment(index).unlink(missing_ok=True)

    def finished(self) -> int:
        """Number of finished segments before the first unfinished one."""
        return len(self._records())

    def stamps(self) -> list[int]:
        """Timestamps of the frames of all finished segments."""
        return [stamp for record in self._records() for stamp in record.stamps]

    def regular(self) -> bool:
        """Whether no frame of the source was damaged or repaired so far."""
        return all(record.regular for record in self._records())

    def deinterlaced(self) -> bool:
        """Whether any frame of the source was interlaced so far."""
        return any(record.deinterlaced for record in self._records())

    def trim(self) -> None:
        """Delete the segments after the first unfinished one, because their numbers may be wrong."""
        last = self.finished()
        for path in self.folder.glob("[0-9]*.segment"):
            if int(path.name.partition(".")[0]) >= last:
                self.forget(int(path.name.partition(".")[0]))

    def clear(self) -> None:
        """Delete the folder, after the output is complete or if the work cannot be used."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _record(self, index: int) -> Path:
        return self.folder / f"{index:06d}.{self.tag}.json"

    def _records(self) -> list[Record]:
        found: list[Record] = []
        while (record := self.read(len(found))) is not None:
            found.append(record)
        return found


def work_folder(output: Path) -> Path:
    """The folder of the unfinished work of `output`.

    That of a video does not depend on the container. Pictures have their own, so that `a.gif` and `a.webp` can be made
    beside `a.mp4`.
    """
    return hidden(output, f"{output.suffix if holds_pictures(output) else ''}.recycle")


def share_work(output: Path, key: Mapping[str, object]) -> Work:
    """Open the work on `output` while other processes write other segments of it."""
    folder = work_folder(output)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _KEY, _text(key))
    return Work(folder, dropped=False, tag=_tag(key))


def _tag(key: Mapping[str, object]) -> str:
    return hashlib.sha256(_text(key).encode()).hexdigest()[:12]


def _text(key: Mapping[str, object]) -> str:
    return json.dumps(dict(key), sort_keys=True, indent=1, default=str)


@contextmanager
def open_work(output: Path, key: Mapping[str, object]) -> Iterator[Work]:
    """Open or create the work on `output`; segments with another `key` are deleted.

    `key` is everything on which the frames depend. If no segment is finished when the body ends, the folder is deleted.
    Raises Busy if another process works on the same output.
    """
    folder = work_folder(output)
    refusal = f"another recycle process is writing {output}; wait for it, or stop it"
    try:
        with only_one(folder / _LOCK, refusal):
            text = _text(key)
            file = folder / _KEY
            same = file.exists() and file.read_text(encoding="utf-8") == text
            old = [path for path in folder.iterdir() if path.name != _LOCK]
            if not same:
                for path in old:
                    remove(path)
                write_text(file, text)
            work = Work(folder, dropped=not same and any(path.suffix == ".segment" for path in old), tag=_tag(key))
            for path in folder.glob(".*.partial*"):  # left by a killed process
                path.unlink()
            try:
                yield work
            finally:
                if not work.finished():
                    work.clear()
    finally:
        with suppress(OSError):  # not empty if work remains
            folder.rmdir()
