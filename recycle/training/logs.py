"""Curves of a run, and the faults that were found while it trained."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recycle.events import Job
from recycle.run_folder import RunFolder
from recycle.safe_text import printable
from recycle.system.disk import explain
from recycle.training.trackers import TRACKERS, Tracked, Tracker


class Logs:
    """Passes scalars and images of a run to its trackers.

    A tracker that fails is reported once and then left out, because training is more important than its curves.
    """

    def __init__(self, run: Tracked, *, trackers: Sequence[str] = (), job: Job) -> None:
        """`trackers` are names in `TRACKERS`, in addition to TensorBoard, from which reports take their curves."""
        self._run, self._job = run, job
        self._trackers: dict[str, Tracker] = {}
        for name in ("tensorboard", *trackers):
            self._guarded(name, partial(self._open, name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._each(lambda tracker: tracker.close())

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        self._each(lambda tracker: tracker.add_scalars(values, step))

    def add_image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Add an image, RGB (H, W, 3)."""
        self._each(lambda tracker: tracker.add_image(name, picture, step))

    def _open(self, name: str) -> None:
        self._trackers[name] = TRACKERS[name](self._run)

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            self._guarded(name, partial(act, tracker))

    def _guarded(self, name: str, act: Callable[[], None]) -> None:
        try:
            with redirect_stdout(sys.stderr):  # some libraries print there, where the user expects results alone
                act()
        except Exception as error:  # a tracker's library may raise anything
            if (failed := self._trackers.pop(name, None)) is not None:
                with suppress(Exception):
                    failed.close()
            what = f"cannot send curves to {name}"
            why = printable(" ".join(str(error).split()) or type(error).__name__)[:200]
            if name == "tensorboard" and isinstance(error, OSError):
                what, why = f"cannot write {self._run.logs}", explain(error.errno or 0)[0]
            self._job.say(f"{what}: {why}; training continues without these curves until the command is run again")


def keep_fault(where: RunFolder, text: str) -> None:
    """Append a line to the faults of a run. Training continues if the line cannot be written."""
    with suppress(OSError), where.health.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(" ".join(text.split()) + "\n")


def read_faults(where: RunFolder) -> list[str]:
    """The faults that a run has noticed, in order and once each; none of a run of an earlier version."""
    try:
        lines = where.health.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(lines))
