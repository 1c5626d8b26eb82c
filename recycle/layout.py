"""Where a run keeps its things, and which of its stages are done."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycle.atomic import write_text
from recycle.evaluation.evaluate import Direction
from recycle.training.review import BEST, HELD_OUT


@dataclass(frozen=True)
class Layout:
    """Where a run keeps its things."""

    folder: Path

    @property
    def footage(self) -> Path:
        """Footage of our own making."""
        return self.folder / "footage"

    @property
    def frames(self) -> Path:
        """Extracted frames, `a` and `b`."""
        return self.folder / "frames"

    @property
    def pipeline(self) -> Path:
        """The pipeline that it was last trained with, as JSON."""
        return self.folder / "pipeline.json"

    @property
    def chosen(self) -> Path:
        """The pipeline file that was chosen for it, where none was given; a person may have changed it since."""
        return self.folder / "pipeline.toml"

    @property
    def checkpoint(self) -> Path:
        """What training continues from."""
        return self.folder / "checkpoint.pt"

    @property
    def logs(self) -> Path:
        """Curves, as TensorBoard keeps them."""
        return self.folder / "logs"

    @property
    def model(self) -> Path:
        """The bundle."""
        return self.folder / "model"

    @property
    def best(self) -> Path:
        """The bundle with the best score on held-out frames."""
        return self.folder / BEST

    @property
    def held_out(self) -> Path:
        """Clips that it does not train on, named by domain and by what they hold."""
        return self.folder / HELD_OUT

    @property
    def translated(self) -> Path:
        """Translated test videos."""
        return self.folder / "translated"

    @property
    def metrics(self) -> Path:
        """Scores, a flat JSON object."""
        return self.folder / "metrics.json"

    def neighbours(self, direction: Direction) -> Path:
        """Translated frames above the nearest training frames."""
        return self.folder / f"nearest_{direction}.png"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"


class Stage:
    """Remembers, in a small file, from what a stage's outputs were made; `needed` tells whether to make them anew."""

    def __init__(self, name: str, made_from: Any, outputs: Sequence[Path], folder: Path) -> None:
        self._stamp = folder / ".done" / f"{name}.json"
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
