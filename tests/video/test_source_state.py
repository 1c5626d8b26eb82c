"""A source that changes while it is read is a failure with its reason, and nothing that was made of it is used."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import ExtractSettings, TranslateSettings
from recycle.dataset.one_source import extract_source
from recycle.errors import FootageError
from recycle.rendering.render import render
from recycle.rendering.stretch import Transform
from recycle.rendering.work import SEGMENT, work_folder
from recycle.video.fingerprint import fingerprint
from recycle.video.frame import Frame, StreamInfo
from recycle.video.source_state import SourceChanged, SourceState, files_of

Pixels = NDArray[np.uint8]
Frames = Callable[..., list[Pixels]]
Make = Callable[..., Path]
Change = Callable[[Path], None]


def _later(path: Path) -> None:
    """As if it was written some seconds later: tests are faster than the clocks of some file systems."""
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 7_123_456_789))


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(100))


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(64))
    _later(path)


def replace(path: Path) -> None:
    """By another file of the same size and time."""
    facts, other = path.stat(), path.with_name("other")
    other.write_bytes(os.urandom(facts.st_size))
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)


def remove(path: Path) -> None:
    path.unlink()


def state_of(path: Path) -> SourceState:
    """The state and the fingerprint of a source."""
    state = SourceState(path, files_of(path))
    assert len(state.fingerprint) == 64
    return state


CHANGES = {"shrink": shrink, "grow": grow, "rewrite": rewrite, "replace": replace, "remove": remove}
REASONS = {"shrink": "it had .* bytes and has", "grow": "it had", "rewrite": "rewritten", "replace": "replaced"}
REASONS |= {"remove": "was removed while it was read"}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_a_file_is_seen(tmp_path: Path, name: str) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(os.urandom(5000))
    state = state_of(file)
    state.check()
    CHANGES[name](file)
    with pytest.raises(SourceChanged, match=REASONS[name]):
        state.check()


def test_a_rewritten_large_file_is_seen_by_its_time(tmp_path: Path) -> None:
    """Where its fingerprint, of samples, does not tell."""
    file = tmp_path / "a.mp4"
    file.write_bytes(bytes(8 << 20))
    state = state_of(file)
    with file.open("r+b") as opened:
        opened.seek(2 << 20)
        opened.write(b"other")
    _later(file)
    assert fingerprint(file) == state.fingerprint
    with pytest.raises(SourceChanged, match="rewritten"):
        state.check()


@pytest.mark.parametrize("unit", [100, 1_000_000, 1_000_000_000, 2_000_000_000])
def test_a_network_drive_may_round_times_and_renumber_files(tmp_path: Path, unit: int) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(os.urandom(5000))
    os.utime(file, ns=(0, 1_700_000_001_123_456_789))
    state = state_of(file)
    copy = Path(shutil.copy2(file, tmp_path / "copy"))
    copy.replace(file)  # another inode
    os.utime(file, ns=(0, 1_700_000_001_123_456_789 // unit * unit))
    state.check()


@pytest.mark.parametrize("name", ["shrink", "rewrite", "remove", "add", "remove all"])
def test_every_change_of_a_folder_of_images_is_seen(tmp_path: Path, moving_frames: Frames, name: str) -> None:
    folder = images(tmp_path / "images", moving_frames(4))
    state = state_of(folder)
    state.check()
    if name == "add":
        shutil.copy(folder / "1.png", folder / "9.png")
    elif name == "remove all":
        shutil.rmtree(folder)
    else:
        CHANGES[name](folder / "2.png")
    reasons = {
        "add": r"1 image added \(9\.png\)",
        "remove": r"1 image removed \(2\.png\)",
        "remove all": "was removed",
    }
    with pytest.raises(SourceChanged, match=reasons.get(name, r"1 image rewritten \(2\.png\)")):
        state.check()


def images(folder: Path, frames: list[Pixels]) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    return folder


def changing(change: Change, source: Path, at: int) -> Transform:
    """Gives frames as they are, and changes the source when it has seen `at` of them."""

    def pictures(frames: Iterator[Frame], _: StreamInfo) -> Iterator[Pixels]:
        for number, frame in enumerate(frames):
            if number == at:
                change(source)
            yield frame.pixels

    return Transform(pictures, {"model": "test"})


@pytest.mark.parametrize("at", [5, SEGMENT + 30], ids=["first segment", "second segment"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_translation_of_a_changing_file_fails_and_leaves_nothing(
    tmp_path: Path, make_video: Make, moving_frames: Frames, name: str, at: int
) -> None:
    source = make_video(tmp_path / "a.mp4", moving_frames(SEGMENT + 60), options={"preset": "ultrafast"})
    output = tmp_path / "out" / "a.mp4"
    settings = TranslateSettings(preset="ultrafast")
    with pytest.raises(FootageError, match=REASONS[name]) as error:
        render(source, output, changing(CHANGES[name], source, at), settings=settings)
    assert "\n" not in str(error.value)
    assert not output.exists()
    assert not work_folder(output).exists()


def test_a_translation_of_changing_images_fails(tmp_path: Path, moving_frames: Frames) -> None:
    for name, change in {"shrink": shrink, "remove": remove, "rewrite": rewrite}.items():
        folder = images(tmp_path / name, moving_frames(20))
        output = tmp_path / f"{name}.mp4"

        def changed(_: Path, change: Change = change, folder: Path = folder) -> None:
            change(folder / "19.png")

        with pytest.raises(FootageError, match=r"images? \w+ \(.*19\.png"):
            render(folder, output, changing(changed, folder, 2), settings=TranslateSettings(preset="ultrafast"))
        assert not output.exists()
        assert not work_folder(output).exists()


@pytest.mark.parametrize("name", CHANGES)
def test_extraction_of_a_changing_file_fails(
    tmp_path: Path, make_video: Make, moving_frames: Frames, name: str
) -> None:
    source = make_video(tmp_path / "a.mp4", moving_frames(40))
    target = tmp_path / "frames" / "a"
    target.parent.mkdir()
    changes = iter([CHANGES[name]])

    def count(_: int) -> None:
        for change in changes:
            change(source)

    with pytest.raises(FootageError, match=REASONS[name]):
        extract_source(source, target, fingerprint(source), ExtractSettings(short_side=None), count)
    assert list(target.parent.iterdir()) == []


def test_extraction_of_a_file_that_changed_before_it_began_fails(
    tmp_path: Path, make_video: Make, moving_frames: Frames
) -> None:
    source = make_video(tmp_path / "a.mp4", moving_frames(4))
    mark = fingerprint(source)
    grow(source)
    with pytest.raises(FootageError, match="changed after the extraction started"):
        extract_source(source, tmp_path / "a", mark, ExtractSettings(), lambda count: None)
