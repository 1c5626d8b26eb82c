"""Decoding from the midst of a file gives the frames that decoding from its beginning gives."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.street.film import Street
from recycle.video.decode import VideoReader
from recycle.video.images import ImageFolderReader
from recycle.video.index import Index
from tests.video.conftest import write

MS = Fraction(1, 1000)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "h264": (".mp4", {"options": {"g": "10"}}),
    "open groups": (".mp4", {"options": {"g": "8", "x264-params": "open-gop=1:bframes=3:b-adapt=0"}}),
    "gradual refresh": (".mp4", {"options": {"g": "12", "x264-params": "intra-refresh=1:bframes=0"}}),
    "matroska": (".mkv", {"options": {"g": "10"}, "time_base": MS, "pts": range(0, 60 * 40, 40)}),
    "negative start": (".mkv", {"options": {"g": "10", "bf": "0"}, "time_base": MS, "pts": range(40, 61 * 40, 40)}),
    "hevc": (".mp4", {"codec": "libx265", "options": {"x265-params": "keyint=10:min-keyint=2:log-level=none"}}),
    "vp9": (".webm", {"codec": "libvpx-vp9", "options": {"g": "10", "deadline": "realtime"}, "time_base": MS}),
    "mpeg4": (".mp4", {"codec": "mpeg4", "options": {"g": "10", "bf": "2"}, "time_base": Fraction(1, 25)}),
    "variable rate": (".mp4", {"options": {"g": "10"}, "pts": [n * n * 7 + n * 300 for n in range(60)]}),
    "elementary": (".avi", {"codec": "mpeg4", "options": {"g": "10"}, "time_base": Fraction(1, 25)}),
}


@pytest.fixture(scope="module")
def street() -> list[NDArray[np.uint8]]:
    return list(Street(seed=3, width=96, height=64, fps=25, seconds=60 / 25).frames("day"))


@pytest.mark.parametrize("kind", KINDS)
def test_any_start_gives_the_same_frames(tmp_path: Path, street: list[NDArray[np.uint8]], kind: str) -> None:
    suffix, how = KINDS[kind]
    how = {"audio": False, **how}
    source = write(tmp_path / f"source{suffix}", street, **how)
    with VideoReader(source) as reader:
        whole = list(reader)
        assert len(whole) == 60
        stamps = [frame.pts for frame in whole]
        index = reader.index()
        if kind == "elementary":
            assert index is None
        else:
            assert index is not None
            assert list(index.stamps) == stamps
            assert index.entry(stamps[50]) is not None
        for first in (0, 1, 9, 10, 11, 23, 34, 45, 59):
            end = stamps[min(first + 7, 59)]
            entry = index.entry(stamps[first]) if index is not None else None
            part = [f.develop() for f in reader.read(start=stamps[first], end=end, entry=entry)]
            assert [f.pts for f in part] == [pts for pts in stamps[first:] if pts < end]
            assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(part, whole[first:], strict=False))
            assert (reader.damaged, reader.concealed, reader.repaired) == (0, 0, 0)
        between = list(reader.read(start=stamps[30] + 1, entry=stamps[0]))
        assert [f.pts for f in between] == stamps[31:]


def test_what_is_damaged_before_the_start_is_not_even_read(tmp_path: Path, street: list[NDArray[np.uint8]]) -> None:
    source = write(tmp_path / "source.mp4", street, options={"g": "10", "bf": "0"})
    with VideoReader(source) as reader:
        whole = list(reader)
    with av.open(str(source)) as file:
        packets = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
    data = bytearray(source.read_bytes())
    position, size = packets[12]
    assert position is not None
    data[position + 4 : position + size] = bytes(size - 4)
    source.write_bytes(data)
    with VideoReader(source) as reader:
        assert sum(1 for _ in reader.read(start=whole[50].pts)) == 10
        before = reader.damaged + reader.concealed
        part = [f.develop() for f in reader.read(start=whole[50].pts, entry=whole[30].pts)]
        assert reader.damaged + reader.concealed == 0 < before
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(part, whole[50:], strict=True))


def test_a_repeated_or_missing_timestamp_makes_a_file_irregular(
    tmp_path: Path, street: list[NDArray[np.uint8]]
) -> None:
    source = write(tmp_path / "source.mkv", street[:20], options={"g": "5", "bf": "0"}, time_base=MS)
    copy = tmp_path / "copy.mkv"
    with av.open(str(source)) as before, av.open(str(copy), "w") as after:
        target = after.add_stream_from_template(before.streams.video[0])
        for number, packet in enumerate(p for p in before.demux(video=0) if p.size):
            packet.stream = target
            if number == 7:
                packet.pts = packet.dts = (packet.pts or 0) - 40
            after.mux(packet)
    with VideoReader(copy) as reader:
        assert reader.index() is None
        stamps = [frame.pts for frame in reader]
        assert len(stamps) == 20
        assert [f.pts for f in reader.read(start=stamps[15])] == stamps[15:]


def test_the_entry_is_the_last_but_one_key_frame() -> None:
    index = Index(tuple(range(100)), (0, 10, 20, 30))
    assert [index.entry(start) for start in (0, 9, 10, 20, 29, 30, 99)] == [None, None, None, 10, 10, 20, 20]


def test_images_begin_anywhere(tmp_path: Path, street: list[NDArray[np.uint8]]) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), street[number])
    reader = ImageFolderReader(tmp_path)
    assert [frame.pts for frame in reader.read(start=1, end=3)] == [1, 2]
