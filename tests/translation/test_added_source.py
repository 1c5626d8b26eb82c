"""Kinds of source from outside, each one small class and one entry, are translated like those that ship."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from recycle.cli.app import app
from recycle.config import ExtractSettings, TranslateSettings
from recycle.dataset.extract import extract
from recycle.dataset.manifest import read_manifest
from recycle.errors import FootageError, Interrupted
from recycle.events import Job
from recycle.networks.bundle import Bundle
from recycle.rendering.span import Span
from recycle.rendering.work import SEGMENT, work_folder
from recycle.translation.translator import Translator
from recycle.video import source as table
from recycle.video.frame import LazyFrame
from recycle.video.kinds import open_source
from recycle.video.probe import probe
from recycle.video.source import add_source
from tests.jobs import interrupted_at, saying
from tests.sources import Camera, Colours

FFV1 = TranslateSettings(codec="ffv1", batch_size=4)
SECONDS = Fraction(16)
FRAMES = 160 - 7
"""Of a camera that is switched on at 7, until SECONDS."""


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_ADDED", list(table._ADDED))
    for kind in (Colours, Camera):
        add_source(kind)
    monkeypatch.setattr(Camera, "opened", 0)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    path = tmp_path / "a.colours"
    path.write_text("".join(f"{index % 256} {255 - index % 256} 90\n" for index in range(SEGMENT + 30)))
    return path


def frames_of(path: Path) -> list[tuple[Fraction, bytes]]:
    with open_source(path) as reader:
        return [(frame.seconds, frame.pixels.tobytes()) for frame in reader]


def test_a_source_from_outside_is_translated_and_resumed(colours: Path, bundle: Bundle, tmp_path: Path) -> None:
    translator = Translator(bundle, device="cpu")
    whole, output = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    assert translator.translate_video(colours, whole, to="b", settings=FFV1).frames == SEGMENT + 30
    with pytest.raises(Interrupted, match=f"{SEGMENT} frames are kept"):
        translator.translate_video(colours, output, to="b", settings=FFV1, job=interrupted_at(SEGMENT + 10))
    report = translator.translate_video(colours, output, to="b", settings=FFV1)
    assert (report.frames, report.resumed) == (SEGMENT + 30, SEGMENT)
    assert frames_of(output) == frames_of(whole)


def test_a_source_from_outside_is_extracted_by_several_processes(colours: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.colours"
    other.write_text("9 9 9\n250 9 9\n")
    report = extract([colours, other], tmp_path / "frames", ExtractSettings(short_side=None, format="png"), workers=2)
    assert not report.failed
    found = {path.parent.name[0]: read_manifest(path.parent) for path in (tmp_path / "frames").glob("*/manifest.json")}
    stamps = {name: [frame.pts for frame in manifest.frames] for name, manifest in found.items() if manifest}
    assert stamps == {"a": list(range(SEGMENT + 30)), "b": [0, 1]}


def test_a_source_from_outside_is_probed(colours: Path) -> None:
    info = probe(colours)
    assert (info.container, info.frames, info.rate, info.streams) == ("list of colours", SEGMENT + 30, 10.0, ())


def record(output: Path, job: Job | None = None) -> None:
    """Translate SECONDS of a camera, without a network."""
    translator, span = Translator.from_pretrained("identity", device="cpu"), Span(None, SECONDS)
    translator.translate_video(Path("camera:7"), output, to="b", settings=FFV1, span=span, job=job)


def test_a_camera_is_opened_once_and_translated_until_it_is_to_end(tmp_path: Path) -> None:
    record(tmp_path / "out.mkv")
    assert Camera.opened == 1
    frames = frames_of(tmp_path / "out.mkv")
    assert len(frames) == FRAMES
    assert [seconds * 10 for seconds, _ in frames] == list(range(7, 160))
    first = np.frombuffer(frames[0][1], np.uint8).reshape(48, 64, 3)
    assert (first[:, 7:15] == 220).all()
    assert not work_folder(tmp_path / "out.mkv").exists()


def test_a_camera_that_is_stopped_leaves_what_it_saw(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    with pytest.raises(Interrupted, match=rf"^stopped; the {SEGMENT} frames so far are in .*out\.mkv$"):
        record(output, job=interrupted_at(SEGMENT + 10))
    assert len(frames_of(output)) == SEGMENT
    assert not work_folder(output).exists()


def test_a_camera_that_is_stopped_at_once_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    with pytest.raises(Interrupted, match="live and cannot be resumed: nothing is kept"):
        record(output, job=interrupted_at(3))
    assert list(tmp_path.iterdir()) == []


def breaking(error: Exception) -> Callable[..., Iterator[LazyFrame]]:
    """`Camera.read` that fails in the second segment."""
    read = Camera.read

    def breaks(self: Camera, **part: int | None) -> Iterator[LazyFrame]:
        for frame in read(self, **part):
            if frame.pts == 7 + SEGMENT + 10:
                raise error
            yield frame

    return breaks


def test_a_camera_that_is_unplugged_leaves_what_it_saw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.mkv"
    monkeypatch.setattr(Camera, "read", breaking(OSError("unplugged")))
    with pytest.raises(FootageError, match=rf"cannot read camera:7: unplugged; the {SEGMENT} frames so far are in"):
        record(output)
    assert len(frames_of(output)) == SEGMENT


def test_a_camera_cannot_be_resumed_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.mkv"
    said: list[str] = []

    with monkeypatch.context() as patch:
        patch.setattr(Camera, "read", breaking(RuntimeError("a bug")))
        with pytest.raises(RuntimeError, match="a bug"):
            record(output)
    assert list(work_folder(output).glob("*.segment"))
    record(output, job=saying(said))
    assert "unfinished work was deleted, because camera:7 is live and cannot be resumed; it starts anew" in said
    assert len(frames_of(output)) == FRAMES


def test_the_command_line_translates_a_camera_and_opens_it_once(tmp_path: Path) -> None:
    how = ["--model", "identity", "--to", "b", "--codec", "ffv1", "--end", str(SECONDS)]
    done = CliRunner().invoke(app, ["translate", "camera:7", str(tmp_path / "out.mkv"), *how])
    assert done.exit_code == 0, done.output
    assert Camera.opened == 1
    assert len(frames_of(tmp_path / "out.mkv")) == FRAMES
