"""Which stages of a run are done: each remembers from what its outputs were made."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from recycle.run_folder import STAMPS
from recycle.system.atomic import write_text


class Stage:
    """Remembers, in a small file, from what a stage's outputs were made; `needed` tells whether to make them anew."""

    def __init__(self, name: str, made_from: Any, outputs: Sequence[Path], folder: Path) -> None:
        self._stamp = folder / STAMPS / f"{name}.json"
        self._made_from = json.dumps(made_from, sort_keys=True, default=str)
        self._outputs = outputs
        old = self._stamp.read_text(encoding="utf-8") if self._stamp.is_file() else None
        self.needed = old != self._made_from or not all(output.exists() for output in outputs)
        self.done_before = old is not None

    def remove(self) -> None:
        """Remove the outputs, which are files, and what is remembered of them."""
        for file in (*self._outputs, self._stamp):
            file.unlink(missing_ok=True)
        for folder in (self._stamp.parent, self._stamp.parent.parent):
            with suppress(OSError):  # something else is in it
                folder.rmdir()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, error: type[BaseException] | None, *details: object) -> None:
        if self.needed and error is None:
            write_text(self._stamp, self._made_from)
