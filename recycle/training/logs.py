"""TensorBoard logs of a run, and the faults that were found while it trained."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from recycle.events import Job
from recycle.run_folder import RunFolder
from recycle.system.disk import explain


class Logs:
    """Writes scalars and images by step. After the first failed write it reports the error once and writes no more,
    because training is more important than its curves."""

    def __init__(self, folder: Path, *, purge_step: int | None, job: Job) -> None:
        """`purge_step` is the first step that is repeated, from which on earlier entries are discarded."""
        self._folder, self._job = folder, job
        self._writer: SummaryWriter | None = None
        self._before = threading.excepthook
        try:
            threading.excepthook = self._leave_out_writers
            self._writer = SummaryWriter(str(folder), purge_step=purge_step)
        except OSError as error:
            self._fail(error)

    def __enter__(self) -> "Logs":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._attempt(lambda writer: writer.close())
        threading.excepthook = self._before

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Write one point of a curve."""
        self._attempt(lambda writer: writer.add_scalar(name, value, step))

    def add_image(self, name: str, picture: NDArray[Any], step: int) -> None:
        """Write an image, uint8 RGB (H, W, 3)."""
        self._attempt(lambda writer: writer.add_image(name, picture, step, dataformats="HWC"))

    def _attempt(self, write: Callable[[SummaryWriter], None]) -> None:
        if self._writer is None:
            return
        try:
            write(self._writer)
        except OSError as error:  # TensorBoard's thread raised it during an earlier call
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self._writer = None
        self._job.say(
            f"cannot write {self._folder}: {explain(error.errno or 0)[0]}; training continues without curves until the "
            "command is run again"
        )

    def _leave_out_writers(self, failure: threading.ExceptHookArgs) -> None:
        """Print errors of threads, except those of TensorBoard, which the next call raises again."""
        if not type(failure.thread).__module__.startswith("tensorboard"):
            self._before(failure)


def keep_fault(where: RunFolder, text: str) -> None:
    """Append a line to the faults of a run. A disk that does not take it stops no training."""
    with suppress(OSError), where.health.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(" ".join(text.split()) + "\n")


def read_faults(where: RunFolder) -> list[str]:
    """The faults that a run has noticed, in order and once each; none of a run of an earlier version."""
    try:
        lines = where.health.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(lines))
