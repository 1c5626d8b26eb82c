"""TensorBoard event files in the run's folder. Reports read their curves from them, so every run has this tracker."""

import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from recycle.training.trackers.base import Tracked


class TensorBoard:
    """Writes event files. Errors of its thread are raised by the next call, as OSError."""

    def __init__(self, run: Tracked) -> None:
        self._before = threading.excepthook
        threading.excepthook = self._leave_out_writers
        try:
            self._writer = SummaryWriter(str(run.logs), purge_step=run.repeated)
        except BaseException:
            threading.excepthook = self._before
            raise

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add one point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def add_image(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Add an image, RGB (H, W, 3)."""
        self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        try:
            self._writer.close()
        finally:
            threading.excepthook = self._before

    def _leave_out_writers(self, failure: threading.ExceptHookArgs) -> None:
        """Print errors of threads, except those of TensorBoard, which the next call raises again."""
        if not type(failure.thread).__module__.startswith("tensorboard"):
            self._before(failure)
