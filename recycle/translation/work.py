"""Work in progress: the finished segments of one output, beside it, so that a conversion goes on after anything."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from recycle.atomic import write_text
from recycle.errors import OutputError

SEGMENT = 120
"""Frames of a segment: what is lost, at most, when a conversion is killed."""

_KEY = "work.json"


@dataclass(frozen=True)
class Work:
    """The folder of one unfinished output. Segment n holds the frames from n · SEGMENT on."""

    folder: Path
    dropped: bool
    """Whether there was unfinished work of another source, model or settings, which is gone."""

    def segment(self, index: int) -> Path:
        """File of a segment; it exists if, and only if, the segment is complete."""
        return self.folder / f"{index:06d}.segment"

    def finished(self) -> int:
        """Segments that are complete, counted from the first without a gap."""
        count = 0
        while self.segment(count).exists():
            count += 1
        return count

    def clear(self) -> None:
        """Remove the folder: the output is complete, or no part of the work is of use."""
        shutil.rmtree(self.folder, ignore_errors=True)


def work_folder(output: Path) -> Path:
    """Where the unfinished work of `output` lies; the same for every container of one name."""
    return output.with_name(f".{output.stem}.recycle")


@contextmanager
def open_work(output: Path, key: Mapping[str, object]) -> Iterator[Work]:
    """Take up the work on `output`, or begin it; segments of another `key` are removed.

    `key` is everything that the frames depend on. When the body ends without a finished segment, nothing
    remains. Raises OutputError if another process is at work on the same output.
    """
    folder = work_folder(output)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"another recycle is at work on {output}; wait for it, or stop it") from error
    try:
        text = json.dumps(dict(key), sort_keys=True, indent=1, default=str)
        file = folder / _KEY
        same = file.exists() and file.read_text(encoding="utf-8") == text
        old = [path for path in folder.iterdir() if path.name != "lock"]
        if not same:
            for path in old:
                path.unlink()
            write_text(file, text)
        work = Work(folder, dropped=not same and any(path.suffix == ".segment" for path in old))
        for path in folder.glob(".*.partial*"):  # of a process that was killed
            path.unlink()
        try:
            yield work
        finally:
            if not work.finished():
                work.clear()
    finally:
        lock.release()
        with suppress(OSError):
            if not (folder / _KEY).exists():
                shutil.rmtree(folder)
