"""Parts of a long video, rendered separately in any order, give the whole."""

from pathlib import Path

import pytest

from recycle.config import TranslateSettings
from recycle.errors import Interrupted, OutputError
from recycle.networks.bundle import Bundle
from recycle.rendering.parts import split
from recycle.rendering.prepare import render_key
from recycle.rendering.span import WHOLE
from recycle.rendering.work import SEGMENT, Record, open_work, share_work
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from tests.jobs import counted, interrupted_at
from tests.translation.conftest import MakeVideo

FAST = TranslateSettings(preset="ultrafast", smoothing=True)
PART = 3 * SEGMENT
COUNT = 2 * PART + 50


@pytest.fixture(autouse=True)
def _shorter_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recycle.rendering.parts.PART", PART)


@pytest.fixture
def long(make_video: MakeVideo) -> Path:
    return make_video("long.mp4", stamps=range(0, COUNT * 512, 512), size=(32, 32), audio=False)


def pictures_of(path: Path) -> list[tuple[int, bytes]]:
    with VideoReader(path) as reader:
        return [(frame.pts, frame.pixels.tobytes()) for frame in reader]


def test_parts_in_any_order_give_the_whole(long: Path, bundle: Bundle, tmp_path: Path) -> None:
    translator = Translator(bundle, device="cpu")
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    translator.translate_video(long, whole, to="b", settings=FAST)
    parts = split(long, output, settings=FAST, key=translator.key("b", FAST))
    assert [len(part.stamps) for part in parts] == [PART, PART, 50]
    for part in reversed(parts[1:]):
        translator.translate_part(long, output, part, to="b", settings=FAST)
    with pytest.raises(KeyboardInterrupt):  # a worker dies in the midst of one, and its successor goes on
        translator.translate_part(long, output, parts[0], to="b", settings=FAST, job=interrupted_at(2 * SEGMENT + 5))
    rest: list[int] = []
    translator.translate_part(long, output, parts[0], to="b", settings=FAST, job=counted(rest))
    assert rest == list(range(2 * SEGMENT, PART + 1))
    report = translator.translate_video(long, output, to="b", settings=FAST)
    assert (report.frames, report.resumed) == (COUNT, COUNT)
    assert pictures_of(output) == pictures_of(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4", "out.mp4", "whole.mp4"]


def test_work_that_differs_from_the_index_is_not_split(long: Path, tmp_path: Path) -> None:
    translator, settings, output = Translator(None, device="cpu"), TranslateSettings(), tmp_path / "out.mp4"
    key = translator.key("b", settings)
    with pytest.raises(Interrupted):
        translator.translate_video(long, output, to="b", settings=settings, job=interrupted_at(SEGMENT + 1))
    assert split(long, output, settings=settings, key=key)
    work = share_work(output, render_key(VideoReader(long), key, settings, WHOLE, False))
    record = work.read(0)
    assert record is not None
    without_one = record.stamps[:5] + record.stamps[6:]
    for stamps, regular in ((without_one, True), (record.stamps, False)):
        work.record(0, Record(stamps=stamps, regular=regular))
        assert split(long, output, settings=settings, key=key) == []


def test_short_videos_and_wrong_containers_are_not_split(make_video: MakeVideo, long: Path, tmp_path: Path) -> None:
    assert split(make_video(), tmp_path / "out.mp4", settings=FAST) == []
    with pytest.raises(OutputError, match="does not hold h264"):
        split(long, tmp_path / "out.webm", settings=FAST)


def test_work_with_another_key_is_ignored(tmp_path: Path) -> None:
    """Two commands with the same output may waste work, but never mix it."""
    first = share_work(tmp_path / "out.mp4", {"model": 1})
    first.segment(0).write_bytes(b"of model 1")
    first.record(0, Record(stamps=(1, 2), regular=True))
    second = share_work(tmp_path / "out.mp4", {"model": 2})
    assert (first.finished(), second.finished()) == (1, 0)
    with open_work(tmp_path / "out.mp4", {"model": 2}) as work:
        assert work.finished() == 0


def test_segments_after_a_gap_are_deleted_with_their_records(tmp_path: Path) -> None:
    work = share_work(tmp_path / "out.mp4", {})
    for index in (0, 1, 3):
        work.segment(index).write_bytes(b"x")
        work.record(index, Record(stamps=(index,), regular=True))
    work.trim()
    assert work.stamps() == [0, 1]
    assert sorted(path.name[:6] for path in work.folder.iterdir() if path.name != "work.json") == [
        "000000",
        "000000",
        "000001",
        "000001",
    ]
