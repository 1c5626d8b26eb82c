"""The record of a folder's translation: `translate.json`, right at any moment."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from recycle.errors import OutputError
from recycle.storage import write_record

LEDGER = "translate.json"
State = Literal["waiting", "running", "done", "failed"]


class Entry(BaseModel):
    """What became of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    state: State = "waiting"
    reason: str = ""
    """Why it failed."""
    output: str = ""
    """Path relative to the output folder."""
    size: int = 0
    """Bytes of the output; of a file that is to be translated: those of what is there before."""
    frames: int = 0
    concealed: int = 0
    """Frames that could not be decoded and show their neighbour."""
    seconds: float = 0
    """Time that the translation took."""
    notices: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """Streams that the output should have and does not, as the notices say."""
    key: str = ""
    """Digest of the source, the model and the settings."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: Literal[1] = 1
    files: dict[str, Entry] = {}


class Ledger:
    """Entries by the name of the source; every change is on the disk when `set` returns. Safe for threads."""

    def __init__(self, folder: Path) -> None:
        """Read the ledger of the output `folder`, or begin one. Raises OutputError if it is damaged."""
        self.path = folder / LEDGER
        self._lock = Lock()
        self._file = _File()
        if self.path.exists():
            try:
                self._file = _File.model_validate_json(self.path.read_bytes())
            except (ValidationError, OSError) as error:
                raise OutputError(
                    f"{self.path} cannot be read as a record of translations; move it away to begin anew"
                ) from error

    def get(self, name: str) -> Entry:
        """The entry of a source; a new one if it has none. What was running when a process died is waiting."""
        entry = self._file.files.get(name, Entry())
        return entry.model_copy(update={"state": "waiting"}) if entry.state == "running" else entry

    def set(self, entries: Mapping[str, Entry]) -> None:
        """Record entries and write the file, atomically, if anything changed."""
        with self._lock:
            files = dict(sorted({**self._file.files, **entries}.items()))
            if files != self._file.files or not self.path.exists():
                self._file.files = files
                write_record(self.path, self._file.model_dump_json(indent=1) + "\n")
