"""Work in progress: the finished segments of one output, beside it, so that a conversion goes on after anything."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from recycle.system.atomic import hidden, write_text
from recycle.system.lock import only_one

SEGMENT = 120
"""Frames of a segment: what is lost, at most, when a conversion is killed."""

_KEY = "work.json"
_LOCK = "lock"


class Record(BaseModel):
    """What is known of a finished segment."""

    model_config = ConfigDict(frozen=True)
    stamps: tuple[int, ...]
    """Timestamps of its frames in the source, in order."""
    regular: bool
    """Whether nothing of the source, up to its end, was damaged or repaired."""
    deinterlaced: bool = False
    """Whether any frame of the source, up to its end, was interlaced."""


@dataclass(frozen=True)
class Work:
    """The folder of one unfinished output. Segment n holds the frames from n · SEGMENT on, and has a record."""

    folder: Path
    dropped: bool
    """Whether there was unfinished work of another source, model or settings, which is gone."""
    tag: str
    """Stands for the key in the names of files, so that work of another is never taken for this."""

    def segment(self, index: int) -> Path:
        """File of a segment; it is there completely, or not at all."""
        return self.folder / f"{index:06d}.{self.tag}.segment"

    def record(self, index: int, record: Record) -> None:
        """Declare a segment finished."""
        write_text(self._record(index), record.model_dump_json())

    def read(self, index: int) -> Record | None:
        """The record of a segment; None if it is not finished."""
        if not (self.segment(index).exists() and self._record(index).exists()):
            return None
        return Record.model_validate_json(self._record(index).read_bytes())

    def forget(self, index: int) -> None:
        """Remove a segment and its record."""
        self._record(index).unlink(missing_ok=True)
        self.segment(index).unlink(missing_ok=True)

    def finished(self) -> int:
        """Segments that are finished, counted from the first without a gap."""
        return len(self._records())

    def stamps(self) -> list[int]:
        """Timestamps of the frames of all finished segments."""
        return [stamp for record in self._records() for stamp in record.stamps]

    def regular(self) -> bool:
        """Whether nothing of the source was damaged or repaired so far."""
        return all(record.regular for record in self._records())

    def deinterlaced(self) -> bool:
        """Whether any frame of the source was interlaced so far."""
        return any(record.deinterlaced for record in self._records())

    def trim(self) -> None:
        """Remove the segments behind a gap, whose numbers may not hold."""
        last = self.finished()
        for path in self.folder.glob("[0-9]*.segment"):
            if int(path.name.partition(".")[0]) >= last:
                self.forget(int(path.name.partition(".")[0]))

    def clear(self) -> None:
        """Remove the folder: the output is complete, or no part of the work is of use."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _record(self, index: int) -> Path:
        return self.folder / f"{index:06d}.{self.tag}.json"

    def _records(self) -> list[Record]:
        found: list[Record] = []
        while (record := self.read(len(found))) is not None:
            found.append(record)
        return found


def work_folder(output: Path) -> Path:
    """Where the unfinished work of `output` lies; the same for every container of one name."""
    return hidden(output, ".recycle")


def share_work(output: Path, key: Mapping[str, object]) -> Work:
    """The work on `output`, which others do at the same time, each its own segments."""
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
    """Take up the work on `output`, or begin it; segments of another `key` are removed.

    `key` is everything that the frames depend on. When the body ends without a finished segment, nothing
    remains. Raises Busy if another process is at work on the same output.
    """
    folder = work_folder(output)
    refusal = f"another recycle is at work on {output}; wait for it, or stop it"
    try:
        with only_one(folder / _LOCK, refusal):
            text = _text(key)
            file = folder / _KEY
            same = file.exists() and file.read_text(encoding="utf-8") == text
            old = [path for path in folder.iterdir() if path.name != _LOCK]
            if not same:
                for path in old:
                    path.unlink()
                write_text(file, text)
            work = Work(folder, dropped=not same and any(path.suffix == ".segment" for path in old), tag=_tag(key))
            for path in folder.glob(".*.partial*"):  # of a process that was killed
                path.unlink()
            try:
                yield work
            finally:
                if not work.finished():
                    work.clear()
    finally:
        with suppress(OSError):  # work is in it
            folder.rmdir()
