"""Records which stages of a run are done, with the inputs from which their outputs were made."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from recycle.run_folder import STAMPS
from recycle.system.atomic import write_text


class Stage:
    """Records, in a small file, the inputs from which the outputs of a stage were made; a context manager.

    `needed` is True if an output is missing, or if the inputs differ from the record. `done_before` is True if there is
    a record. A new record is written at the end of the body if the stage was needed and no exception was raised.
    """

    def __init__(self, name: str, made_from: Any, outputs: Sequence[Path], folder: Path) -> None:
        """`made_from` describes the inputs and is compared as JSON. The record lies in STAMPS in `folder`."""
        self._stamp = folder / STAMPS / f"{name}.json"
        self._made_from = json.dumps(made_from, sort_keys=True, default=str)
        self._outputs = outputs
        old = self._stamp.read_text(encoding="utf-8") if self._stamp.is_file() else None
        self.needed = old != self._made_from or not all(output.exists() for output in outputs)
        self.done_before = old is not None

    def remove(self) -> None:
        """Remove the outputs, which must be files, and the record."""
        for file in (*self._outputs, self._stamp):
            file.unlink(missing_ok=True)
        for folder in (self._stamp.parent, self._stamp.parent.parent):
            with suppress(OSError):  # the folder is not empty
                folder.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *details: object) -> None:
        if self.needed and error is None:
            write_text(self._stamp, self._made_from)
