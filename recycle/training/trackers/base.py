"""The interface of a tracker, and the facts about a run that a tracker needs to begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from recycle.system.atomic import write_text

PROJECT = "recycle"
"""Name under which trackers collect all runs."""


class Tracker(Protocol):
    """Receives the curves and previews of one run.

    Any method may raise: the run then reports it once and continues without this tracker.
    """

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve, at `step`, which counts from 1."""

    def add_image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Add an image, RGB (H, W, 3)."""

    def close(self) -> None:
        """Send what is left, and end."""


@dataclass(frozen=True)
class Tracked:
    """A run as its trackers see it."""

    name: str
    """Name of the run, for people."""
    logs: Path
    """Folder for curves in the run's folder."""
    settings: Mapping[str, Any]
    """The pipeline, as plain values."""
    repeated: int | None = None
    """First step that will be repeated, in a continued run: earlier points from this step on are outdated."""

    def identifier(self, tracker: str) -> str | None:
        """The identifier that `tracker` gave this run; None if it has not seen the run."""
        path = self._path(tracker)
        return path.read_text(encoding="utf-8").strip() or None if path.is_file() else None

    def remember(self, tracker: str, identifier: str | None = None) -> str:
        """Record the identifier that `tracker` gave this run, by default a new one, and return it."""
        identifier = identifier or uuid4().hex[:12]
        self.logs.mkdir(parents=True, exist_ok=True)
        write_text(self._path(tracker), identifier + "\n")
        return identifier

    def _path(self, tracker: str) -> Path:
        return self.logs / f"{tracker}.id"
