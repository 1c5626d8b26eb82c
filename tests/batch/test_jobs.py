"""Translations are observed and cancelled from another thread, and continue to the uninterrupted result."""

import shutil
from pathlib import Path

import pytest

from recycle.batch.engine import BatchReport
from recycle.batch.ledger import LEDGER, Ledger
from recycle.batch.task import Folder, translate_all, watch_folder
from recycle.batch.threads import Threads
from recycle.config import TranslateSettings
from recycle.errors import Interrupted
from recycle.events import Event, FileState, Job, Notice, Progress
from recycle.networks.bundle import Bundle
from recycle.rendering.work import SEGMENT
from recycle.translation.translator import Translator
from tests.jobs import cancelled_at, cancelled_from_outside
from tests.translation.conftest import MakeVideo

FAST = TranslateSettings(preset="ultrafast", batch_size=4)
COUNT = 2 * SEGMENT + 20


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_translation_in_a_thread_is_watched_cancelled_and_continued(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    source = make_video(stamps=range(0, COUNT * 512, 512), size=(32, 32))
    translator, whole, output = Translator(bundle, device="cpu"), tmp_path / "whole.mp4", tmp_path / "out.mp4"
    translator.translate_video(source, whole, to="b", settings=FAST)

    seen, outcome = cancelled_from_outside(
        lambda job: translator.translate_video(source, output, to="b", settings=FAST, job=job),
        lambda event: isinstance(event, Progress) and event.done == SEGMENT + 5,
    )
    assert outcome == [f"stopped; {SEGMENT} frames are kept: run the same command again to continue"]
    assert not output.exists()
    assert [event.done for event in seen if isinstance(event, Progress)] == list(range(SEGMENT + 6))
    assert seen[0] == Progress("translating source.mp4", 0, COUNT)

    report = translator.translate_video(source, output, to="b", settings=FAST, job=Job(seen.append))
    assert (report.frames, report.resumed) == (COUNT, SEGMENT)
    assert output.read_bytes() == whole.read_bytes()
    assert seen[-1] == Progress("translating source.mp4", COUNT, COUNT)
    assert names(tmp_path) == ["out.mp4", "source.mp4", "whole.mp4"]


def test_a_cancel_while_the_file_is_joined_leaves_no_output(make_video: MakeVideo, tmp_path: Path) -> None:
    source, output = make_video(), tmp_path / "out.mp4"
    seen: list[Event] = []

    def observe(event: Event) -> None:
        if isinstance(event, Progress) and seen and event == seen[-1]:  # all frames are there, and said again
            job.cancel()
        seen.append(event)

    job = Job(observe)
    translator = Translator(None, device="cpu")
    with pytest.raises(Interrupted, match="20 frames are kept"):
        translator.translate_video(source, output, to="b", settings=FAST, job=job)
    assert not output.exists()
    assert translator.translate_video(source, output, to="b", settings=FAST).resumed == 20
    assert names(tmp_path) == ["out.mp4", "source.mp4"]


@pytest.fixture
def task(make_video: MakeVideo, tmp_path: Path) -> Folder:
    """A folder of three videos."""
    (tmp_path / "in").mkdir()
    video = make_video(stamps=range(0, 60 * 512, 512), size=(32, 32))
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        shutil.copy(video, tmp_path / "in" / name)
    return Folder(tmp_path / "in", tmp_path / "out", Translator(None, device="cpu"), "b", FAST)


def run(task: Folder, job: Job, at_once: int = 2) -> BatchReport:
    engine = Threads(task.translator, task.to, task.settings, at_once=at_once)
    return translate_all(task, engine=engine, overwrite=False, retry_failed=False, job=job)


def test_a_folder_is_cancelled_and_continued(task: Folder) -> None:
    with pytest.raises(Interrupted, match="stopped; 3 files are left: run the same command again to continue"):
        run(task, cancelled_at(30))
    assert {Ledger(task.out).get(f"{n}.mp4").state for n in (1, 2, 3)} == {"waiting"}
    assert not list(task.out.glob("*.mp4"))
    assert not list(task.out.rglob("*.partial*"))
    seen: list[Event] = []
    assert run(task, Job(seen.append)).done == ["1.mp4", "2.mp4", "3.mp4"]
    assert names(task.out) == ["1.mp4", "2.mp4", "3.mp4", LEDGER]
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        own = [event for event in seen if isinstance(event, FileState) and event.name == name]
        assert own[0] == FileState(name, "waiting", total=60)
        assert own[1] == FileState(name, "running")
        assert [event.done for event in own[2:-1]] == [*range(61), 60]
        assert {event.state for event in own[1:-1]} == {"running"}
        assert (own[-1].state, own[-1].done, own[-1].total) == ("done", 60, 60)
        assert own[-1].detail.startswith("60 frames")


def test_a_finished_file_of_a_cancelled_folder_stays(task: Folder) -> None:
    states: list[FileState] = []

    def observe(event: Event) -> None:
        if isinstance(event, FileState):
            states.append(event)
            if event.name == "2.mp4" and event.done == 10:
                job.cancel()

    job = Job(observe)
    with pytest.raises(Interrupted, match="2 files are left"):
        run(task, job, at_once=1)
    assert [Ledger(task.out).get(f"{n}.mp4").state for n in (1, 2, 3)] == ["done", "waiting", "waiting"]
    report = run(task, Job())
    assert (report.skipped, report.done) == (["1.mp4"], ["2.mp4", "3.mp4"])


def test_a_watched_folder_is_left_when_the_job_is_cancelled() -> None:
    job = Job(lambda event: job.cancel() if isinstance(event, Notice) else None)
    report = watch_folder(lambda **how: pytest.fail("there is nothing to do any more"), job=job)
    assert report == BatchReport()
