"""Cancelling extraction or filming keeps finished results and leaves no partial ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from recycle.config import ExtractSettings
from recycle.dataset.extract import extract
from recycle.errors import Interrupted
from recycle.events import Event, Job, Progress
from recycle.street.film import Street
from recycle.system.workers import run_all
from tests.jobs import cancelled_at, counted
from tests.video.conftest import moving, write

WHOLE = ExtractSettings(short_side=None)


def videos(folder: Path, lengths: Sequence[int]) -> Path:
    folder.mkdir()
    for number, length in enumerate(lengths):
        write(folder / f"{number}.mp4", moving(length, shift=9 * number))
    return folder


def test_an_extraction_is_cancelled_and_continued(tmp_path: Path) -> None:
    source, out = videos(tmp_path / "in", (40, 30, 20)), tmp_path / "out"
    with pytest.raises(Interrupted, match="run the same command again to continue"):
        extract([source], out, WHOLE, workers=1, job=cancelled_at(40 + 16))  # within the second
    (kept,) = (path for path in out.iterdir() if path.is_dir())
    assert kept.name.startswith("0")
    assert not list(out.rglob("*.partial*"))
    done: list[int] = []
    report = extract([source], out, WHOLE, workers=1, job=counted(done))
    assert ([path.name for path in report.skipped], report.frames) == (["0.mp4"], 50)
    assert (done[0], done[-1]) == (16, 50)
    assert len(report.folders) == 3


def test_processes_that_extract_are_cancelled(tmp_path: Path) -> None:
    source, out = videos(tmp_path / "in", (600, 600, 600)), tmp_path / "out"

    def observe(event: Event) -> None:
        if isinstance(event, Progress) and event.done:
            job.cancel()

    job = Job(observe)
    with pytest.raises(Interrupted, match="run the same command again to continue"):
        extract([source], out, WHOLE, workers=2, job=job)
    assert not list(out.rglob("*.partial*"))
    kept = [path for path in out.iterdir() if path.is_dir()]
    assert len(kept) < 3
    report = extract([source], out, WHOLE, workers=1)
    assert (len(report.skipped), report.frames) == (len(kept), 600 * (3 - len(kept)))


def endless(item: int, count: Callable[[int], None]) -> None:
    while True:
        count(1)


def test_waiting_items_do_not_start_after_a_cancel() -> None:
    begun: list[int] = []
    job, again = Job(), Job()

    def work(item: int, count: Callable[[int], None]) -> None:
        begun.append(item)
        if item == 2:
            job.cancel()

    with pytest.raises(Interrupted):
        run_all(work, [1, 2, 3], workers=1, crashed=None, report=print, job=job)
    assert begun == [1, 2]
    with pytest.raises(Interrupted):
        run_all(endless, [1, 2, 3], workers=2, crashed=None, report=lambda units: again.cancel(), job=again)


def test_a_film_that_is_cancelled_leaves_no_file(tmp_path: Path) -> None:
    street = Street(seed=1, width=48, height=32, fps=10, seconds=2)
    with pytest.raises(Interrupted):
        street.write(tmp_path / "film.mp4", "day", job=cancelled_at(7))
    assert not list(tmp_path.iterdir())
