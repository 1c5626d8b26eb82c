"""Translates several files of a folder at a time on this machine."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass

from recycle.batch.engine import Changed, advanced, awaits_disk, translate_one
from recycle.batch.plan import Plan
from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.events import Job
from recycle.system.nvidia import tell_unused_gpu
from recycle.translation.translator import Translator

_POLL_SECONDS = 0.2


def files_at_once(cores: int) -> int:
    """Number of files that use a machine fully: while one is opened, decoded or joined, another is translated.

    On two cores, two files are 1.1 to 1.3 times as fast as one, and three are no faster (docs/measurements/video.md).
    """
    return 1 if cores < 2 else max(2, min(4, cores // 4))


@dataclass(frozen=True)
class Threads:
    """Engine (see `recycle.batch.engine.Engine`) with one model and `at_once` threads."""

    translator: Translator
    to: Domain
    settings: TranslateSettings
    overwrite: bool = False
    at_once: int = 1

    def run(self, plans: Sequence[Plan], changed: Changed, job: Job) -> None:
        """Translate the file of each plan; after a disk failure no further file is started.

        Raises KeyboardInterrupt after Ctrl-C, which cancels the job, and Interrupted if the job is cancelled, once all
        files have stopped.
        """
        tell_unused_gpu(self.settings.device, job)
        waiting = deque(plans)

        def work() -> None:
            try:
                while not job.stopping and (one := _next(waiting)) is not None:
                    self._translate(one, changed, job, waiting)
            except BaseException:
                waiting.clear()
                raise

        with ThreadPoolExecutor(self.at_once) as pool:
            try:
                futures = [pool.submit(work) for _ in range(min(self.at_once, len(plans)))]
                pending = set(futures)
                while pending:
                    pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).not_done
            except KeyboardInterrupt:
                job.cancel()
                raise
        for future in futures:
            future.result()  # raises programming errors; errors of files are recorded in their entries
        job.check()

    def _translate(self, one: Plan, changed: Changed, job: Job, waiting: deque[Plan]) -> None:
        changed(one, one.entry.model_copy(update={"state": "running"}))
        entry = translate_one(
            one,
            self.translator,
            to=self.to,
            settings=self.settings,
            overwrite=self.overwrite,
            job=advanced(one, job),
        )
        if awaits_disk(entry):
            waiting.clear()
        changed(one, entry)


def _next(waiting: deque[Plan]) -> Plan | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None
