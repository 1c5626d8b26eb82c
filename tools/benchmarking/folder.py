"""Cost of a folder apart from the translation of its files: search, plan, record, table."""

import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

from recycle.batch.engine import Changed
from recycle.batch.plan import Plan
from recycle.batch.task import Folder, translate_all
from recycle.cli.terminal import Terminal
from recycle.config import TranslateSettings
from recycle.events import FileState, Job
from recycle.street.film import Street
from recycle.translation.translator import Translator
from recycle.video.encode import write_video
from tools.benchmarking.results import Goal, Results
from tools.benchmarking.rounds import take_turns

COUNTS = (300, 3000)
"""Numbers of files of the two folders."""
MOST = 1.2
"""Maximum ratio of the cost per file in the large folder to that in the small one."""


class Instant:
    """An engine (see `recycle.batch.engine.Engine`) that writes an empty output for each file."""

    def run(self, plans: Sequence[Plan], changed: Changed, job: Job) -> None:
        """Report every file as running, with one frame, and as done."""
        for one in plans:
            changed(one, one.entry.model_copy(update={"state": "running"}))
            one.job.output.touch()
            job.emit(FileState(one.job.name, "running", done=1, total=1))
            changed(one, one.entry.model_copy(update={"state": "done", "output": one.job.target, "frames": 1}))


def folder(*, rounds: int, say: Callable[[str], None], counts: tuple[int, int] = COUNTS) -> Results:
    """Measure both folders in turn, each time with a new output folder, by processor time, because disk times vary too
    much."""
    with TemporaryDirectory() as place:
        video = Path(place) / "video.mp4"
        write_video(video, Street(1, 64, 48, 24, 0.2).frames("day"), fps=24)
        contenders = {f"{count} files": _contender(Path(place) / str(count), video, count) for count in counts}
        times = take_turns(contenders, rounds=rounds, say=say)
    few, many = times.seconds
    goal = Goal(f"time per file, {many} ÷ {few}", times.faster(few, many), most=MOST)
    return Results("folder", "file", times, [goal])


def _contender(place: Path, video: Path, count: int) -> Callable[[], float]:
    place.mkdir()
    for number in range(count):
        copy(video, place / f"{number}.mp4")
    return partial(_turn, place, count)


def _turn(place: Path, count: int) -> float:
    with TemporaryDirectory(dir=place.parent) as out:
        task = Folder(place, Path(out), Translator(None, device="cpu"), "b", TranslateSettings())
        start = time.process_time()
        with redirect_stderr(StringIO()), Terminal() as terminal:
            job = Job(terminal)
            report = translate_all(task, engine=Instant(), overwrite=False, retry_failed=False, job=job)
        seconds = time.process_time() - start
    assert len(report.done) == count, report.failed
    return seconds / count
