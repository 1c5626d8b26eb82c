"""The record of a folder's translation, `translate.json`; consistent at any moment.

Each file's entry is one line. A change is appended as a new line, so that its cost does not depend on the number of
files: JSON parsers use the last entry of a name. At the start and end of a run, the whole file is rewritten in order.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from errno import ENOSPC
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from recycle.errors import OutputError
from recycle.events import State
from recycle.names import plain
from recycle.system.lock import LOCK, only_one
from recycle.system.places import is_here
from recycle.system.storage import write_record
from recycle.video.find import TRANSLATIONS

LEDGER = TRANSLATIONS

_FILES = ' "files": {'
_END = "\n }\n}\n"
_NAMES = 100
"""Maximum number of recorded names that were left out for one reason; beyond it only the number is recorded."""
_SPARE = 100
"""The file is rewritten when the appended lines outnumber the files by this many."""
_UPLOAD_SECONDS = 2.0
"""Minimum seconds between uploads of a remote record."""


class Entry(BaseModel):
    """The record of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    state: State = "waiting"
    reason: str = ""
    """Why it failed; for a waiting file, why the disk failed."""
    output: str = ""
    """Path relative to the output folder."""
    size: int = 0
    """Bytes of the output; before the translation, bytes of the existing output that it will replace."""
    frames: int = 0
    """Number of frames of the output."""
    concealed: int = 0
    """Number of frames that could not be decoded and show the nearest decoded frame instead."""
    seconds: float = 0
    """Duration of the translation in seconds."""
    notices: tuple[str, ...] = ()
    """Notices about the output, one line each."""
    lost: tuple[str, ...] = ()
    """Streams that the output should have but lacks; see the notices."""
    key: str = ""
    """Digest of the source, the model and the settings."""
    modified: int = 0
    """Modification time of the source, in nanoseconds, when its translation began; 0 if unknown."""
    content: str = ""
    """SHA-256 of the complete source of the existing finished output; '' if unknown."""
    replaces: str = ""
    """Key of the existing finished output that this translation will replace."""


class Ledger:
    """Entries by the plain name of the source. Thread-safe.

    `set` returns after the change is on disk. If the record is remote, changes are uploaded every few seconds and by
    `close`.
    """

    def __init__(self, folder: Path) -> None:
        """Read the record of the output `folder`, or start a new one. Raises OutputError if it is damaged or
        unreadable."""
        self.path = folder / LEDGER
        self._lock = Lock()
        self._files: dict[str, Entry] = {}
        self._left_out: dict[str, Any] = {}
        self._appended = 0
        self._stale = False
        self._uploaded = 0.0
        try:
            if self.path.exists():
                if not self.path.is_file():
                    raise ValueError("not a file")  # reading a named pipe would block
                content = _parse(self.path.read_bytes().decode("utf-8", "replace"))
                self._left_out = content.get("left_out", {})
                self._files = {name: Entry.model_validate(entry) for name, entry in content["files"].items()}
        except PermissionError as error:
            raise OutputError(f"cannot read {self.path}: {error.strerror}; make the folder readable") from error
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
            raise OutputError(
                f"{self.path} cannot be read as a record of translations; move it away to start over"
            ) from error

    def get(self, name: str) -> Entry:
        """The entry of a source, or a new one. A file that was running when its process died is returned as waiting."""
        entry = self._files.get(name, Entry())
        return entry.model_copy(update={"state": "waiting"}) if entry.state == "running" else entry

    def was_running(self, name: str) -> bool:
        """Whether a process died while it translated this file."""
        return self._files.get(name, Entry()).state == "running"

    def set(self, entries: Mapping[str, Entry], *, left_out: Mapping[str, str] | None = None) -> None:
        """Record entries, and what is left out of the folder (names with reasons), if anything changed.

        Raises OutputError if the disk fails; `get` returns the new entries nevertheless.
        """
        with self._lock:
            changed = {name: entry for name, entry in entries.items() if self._files.get(name) != entry}
            summary = self._left_out if left_out is None else _summary(left_out)
            known, same = len(self._files), summary == self._left_out
            self._files |= changed
            self._left_out = summary
            if changed or not same or not self.path.exists():
                few = len(changed) < known and self._appended + len(changed) < known + _SPARE
                self._save(changed if same and few else None)

    def close(self) -> None:
        """Rewrite the record in order if needed. If the disk is full, the record stays correct but out of order."""
        with self._lock:
            if self._appended or self._stale:
                with suppress(OutputError):
                    self._write()

    def _save(self, changed: Mapping[str, Entry] | None) -> None:
        """Write the `changed` entries, or all entries if None."""
        if not is_here(self.path):
            self._stale = True
            if changed is None or time.monotonic() - self._uploaded >= _UPLOAD_SECONDS:
                self._write()
        elif changed is None or not self._append(changed):
            self._write()

    def _write(self) -> None:
        self._files = dict(sorted(self._files.items()))
        head = f'{{\n "version": 1,\n "left_out": {json.dumps(self._left_out, ensure_ascii=False)},\n{_FILES}\n'
        write_record(self.path, head + ",\n".join(_line(*item) for item in self._files.items()) + _END)
        self._appended, self._stale, self._uploaded = 0, False, time.monotonic()

    def _append(self, entries: Mapping[str, Entry]) -> bool:
        """Append lines to the file; False if the file does not end as expected. Raises OutputError if the disk
        fails."""
        end = _END.encode()
        lines = "".join(f",\n{_line(*item)}" for item in entries.items()).encode()
        try:
            with self.path.open("r+b", buffering=0) as file:
                where = file.seek(0, os.SEEK_END) - len(end)
                if os.pread(file.fileno(), len(end), max(0, where)) != end:
                    return False
                try:
                    if os.pwrite(file.fileno(), lines + end, where) < len(lines + end):
                        raise OSError(ENOSPC, os.strerror(ENOSPC))
                    os.fsync(file.fileno())
                except OSError:
                    os.pwrite(file.fileno(), end, where)
                    file.truncate(where + len(end))
                    raise
        except FileNotFoundError:
            return False
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._appended += len(entries)
        return True


@contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """Open the record of the output `folder`, which is created, exclusively for this process.

    A remote folder is locked only against other processes of this machine. Raises Busy if another process translates
    into the folder; OutputError if the folder cannot be written, or if its record is damaged.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; give a folder for the output, because the input is a folder")
    made = not folder.exists()
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            refusal = f"another recycle process is translating into {folder}; wait for it, or stop it"
            stack.enter_context(only_one(_lock_file(folder), refusal))
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
        ledger = Ledger(folder)
        stack.callback(ledger.close)
        yield ledger
    if made and is_here(folder):  # for a URL, rmdir would remove the content too
        with suppress(OSError):  # raised if the folder is not empty
            folder.rmdir()


def _lock_file(folder: Path) -> Path:
    if is_here(folder):
        return folder / LOCK
    digest = hashlib.sha256(str(folder).encode("utf-8", "backslashreplace")).hexdigest()[:32]
    return Path(tempfile.gettempdir()) / f"recycle-{os.getuid()}-{digest}.lock"


def _line(name: str, entry: Entry) -> str:
    line = f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(entry.model_dump(), ensure_ascii=False)}"
    return line.encode("utf-8", "backslashreplace").decode()  # lone surrogates become JSON escapes


def _summary(left_out: Mapping[str, str]) -> dict[str, Any]:
    """Names grouped by reason, truncated, with their number."""
    groups: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        groups.setdefault(plain(reason), []).append(plain(name))
    return {reason: {"count": len(names), "names": names[:_NAMES]} for reason, names in groups.items()}


def _parse(text: str) -> dict[str, Any]:
    """Content of the file, without last lines that a power failure damaged. Raises ValueError if it is not a record."""
    try:
        content: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        head, found, rest = text.partition(f"{_FILES}\n")
        if not found:
            raise
        content = json.loads(f"{head}{_FILES}{_END}")
        decode = json.JSONDecoder().raw_decode
        for line in rest.split("\n"):  # as `_line` writes them
            try:
                name, end = decode(line, 2)
                entry, _ = decode(line, end + 2)
            except json.JSONDecodeError:
                break
            if not (isinstance(name, str) and isinstance(entry, dict)):
                break
            content["files"][name] = entry
    if content.keys() - {"version", "left_out", "files"} or content.get("version", 1) != 1:
        raise ValueError("written by another version")
    return content
