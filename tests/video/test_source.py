"""The contract of a source, which every kind keeps: files of several codecs, folders of images, streets, cameras."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recycle.errors import FootageError
from recycle.inputs import open_source
from recycle.street.source import StreetSource
from recycle.video import source as table
from recycle.video.animation import WebpReader
from recycle.video.animation_write import Shown, Times, write_animation
from recycle.video.decode import VideoReader
from recycle.video.find import find_sources
from recycle.video.frame import LazyFrame
from recycle.video.images import ImageFolderReader
from recycle.video.opening import HELD
from recycle.video.source import Reading, Source, add_source
from recycle.video.source_state import SourceChanged
from recycle.video.stated import estimate_frames
from recycle.video.still import ImageReader, PatternReader
from tests.sources import Camera, Colours
from tests.video.conftest import moving, write

COUNT = 24
LIVE = 40
"""Frames of a camera that are looked at."""


@dataclass(frozen=True)
class Kind:
    """How a source of one kind is made, and what is true of it."""

    kind: type[Source]
    name: str
    make: Callable[[Path, int], object]
    """Fills a path; another number gives another content."""
    rate: Fraction = Fraction(25)
    varies: bool = False


def a_file(**encoding: Any) -> Callable[[Path, int], object]:
    return lambda path, number: write(path, moving(COUNT, shift=7 * number), **encoding)


def a_folder(path: Path, number: int) -> None:
    path.mkdir(exist_ok=True)
    for index, pixels in enumerate(moving(COUNT, shift=7 * number)):
        cv2.imwrite(str(path / f"frame {index + number}.png"), pixels)


def a_pattern(path: Path, number: int) -> None:
    for index, pixels in enumerate(moving(COUNT, shift=7 * number)):
        cv2.imwrite(str(path.parent / (path.name % index)), pixels)


def an_animation(path: Path, number: int) -> None:
    frames = [Shown(pixels, None) for pixels in moving(COUNT, shift=7 * number)]
    times = Times(tuple(Fraction(index, 25) for index in range(COUNT)), Fraction(COUNT, 25))
    write_animation(path, frames, times, plays=0, alpha=False)


def a_street(path: Path, number: int) -> None:
    path.write_text(f'look = "night"\nseed = {number}\nwidth = 64\nheight = 48\nfps = 8\nseconds = 3')


def some_colours(path: Path, number: int) -> None:
    path.write_text("".join(f"{index} {number} 200\n" for index in range(COUNT)))


IRREGULAR = [i * 512 + 200 * (i % 3) for i in range(COUNT)]
KINDS = {
    "h264": Kind(VideoReader, "a.mp4", a_file(audio=True)),
    "variable rate": Kind(VideoReader, "a.mp4", a_file(pts=IRREGULAR), varies=True),
    "hevc": Kind(VideoReader, "a.mkv", a_file(codec="libx265", options={"x265-params": "log-level=none"})),
    "ffv1": Kind(VideoReader, "a.mkv", a_file(codec="ffv1", pixel_format="bgr0", options={})),
    "mpeg2": Kind(VideoReader, "a.ts", a_file(codec="mpeg2video", time_base=Fraction(1, 25), options={})),
    "raw stream": Kind(VideoReader, "a.h264", a_file()),
    "images": Kind(ImageFolderReader, "frames", a_folder),
    "pattern": Kind(PatternReader, "f_%02d.png", a_pattern),
    "gif": Kind(VideoReader, "a.gif", an_animation),
    "apng": Kind(VideoReader, "a.apng", an_animation),
    "animated webp": Kind(WebpReader, "a.webp", an_animation),
    "street": Kind(StreetSource, "a.street", a_street, Fraction(8)),
    "from outside": Kind(Colours, "a.colours", some_colours, Fraction(10)),
    "camera": Kind(Camera, "camera:12", lambda path, number: None, Fraction(10)),
}
SEEKABLE = [name for name in KINDS if name != "camera"]


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kinds of the tests are known during each test alone."""
    monkeypatch.setattr(table, "_ADDED", list(table._ADDED))
    for kind in (Colours, Camera):
        add_source(kind)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def source(kind: Kind, tmp_path: Path) -> Iterator[Source]:
    kind.make(tmp_path / kind.name, 0)
    with open_source(tmp_path / kind.name) as opened:
        yield opened


seekable = pytest.mark.parametrize("kind", [KINDS[name] for name in SEEKABLE], ids=SEEKABLE)


def pixels_of(frames: Iterator[LazyFrame]) -> list[tuple[int, bytes]]:
    return [(frame.pts, frame.pixels().tobytes()) for frame in frames]


def test_the_path_tells_the_kind(source: Source, kind: Kind) -> None:
    assert type(source) is kind.kind
    assert source.kind
    assert source.path.name == kind.name


def test_frames_are_as_the_facts_say(source: Source, kind: Kind) -> None:
    info = source.info
    frames = list(islice(source, LIVE))
    assert len(frames) == (COUNT if source.seekable else LIVE)
    assert {frame.pixels.shape for frame in frames} == {(info.height, info.width, 3)}
    assert {frame.pixels.dtype for frame in frames} == {np.dtype(np.uint8)}
    assert {frame.time_base for frame in frames} == {info.time_base}
    assert (info.width, info.height) == (64, 48)
    assert frames[0].seconds == info.start
    assert info.average_rate is not None
    assert abs(info.average_rate - kind.rate) < (1 if kind.varies else Fraction(1, 100))
    assert info.frame_count in ((COUNT, COUNT - 1, COUNT + 1, None) if source.seekable else (None,))


def test_timestamps_grow_and_are_evenly_spaced_unless_the_rate_varies(source: Source, kind: Kind) -> None:
    stamps = [frame.pts for frame in islice(source.read(), LIVE)]
    steps = {after - before for before, after in pairwise(stamps)}
    assert min(steps) > 0
    assert (len(steps) > 1) is kind.varies
    assert kind.varies or steps.pop() * source.info.time_base == 1 / kind.rate


def test_a_frame_is_had_smaller_without_decoding_it_whole(source: Source) -> None:
    frame = next(iter(source.read()))
    small = frame.pixels((32, 24))
    assert small.shape == (24, 32, 3)
    whole = cv2.resize(frame.pixels(), (32, 24), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - whole).mean() < 3


@seekable
def test_a_part_is_the_slice_of_the_whole(source: Source) -> None:
    whole = pixels_of(source.read())
    stamps = [pts for pts, _ in whole]
    over = stamps[-1] + (source.lasting or 0)
    held = HELD / source.info.time_base
    moments = st.one_of(st.none(), st.sampled_from(stamps), st.integers(stamps[0] - 3, stamps[-1] + 3))

    @settings(max_examples=12)
    @given(moments, moments)
    def check(start: int | None, end: int | None) -> None:
        inside = [
            (pts, pixels) for pts, pixels in whole if (start is None or pts >= start) and (end is None or pts < end)
        ]
        on_screen = [pixels for pts, pixels in whole if start is not None and pts < start]
        following = [pts for pts in stamps if start is not None and pts >= start]
        if on_screen and start is not None and start < (end if end is not None else over):
            # An evenly spaced source has no times between its frames.
            waits = following[0] - start > held if following else start < over
            if waits and not source.direct:
                inside.insert(0, (start, on_screen[-1]))
        assert pixels_of(source.read(start=start, end=end)) == inside

    check()


@seekable
def test_it_is_read_again_after_a_reading_that_stopped_in_the_middle(source: Source) -> None:
    begun = source.read()
    first = next(begun).pts
    begun.close()
    assert next(source.read()).pts == first
    source.close()
    assert sum(1 for _ in source) == COUNT


@seekable
def test_an_index_is_true(source: Source) -> None:
    index = source.index()
    assert index is not None or not source.direct
    if index is not None:
        whole = pixels_of(source.read())
        assert list(index.stamps) == [pts for pts, _ in whole]
        assert set(index.keys) <= set(index.stamps)
        start = index.stamps[17]
        assert pixels_of(source.read(start=start, entry=index.entry(start))) == whole[17:]


@seekable
def test_a_fingerprint_is_stable_and_another_content_has_another(source: Source, kind: Kind) -> None:
    mark = source.fingerprint()
    assert mark is not None
    assert len(bytes.fromhex(mark)) == 32
    assert sum(1 for _ in source) == COUNT
    with open_source(source.path) as again:
        assert again.fingerprint() == mark == source.fingerprint()
    source.check()
    kind.make(source.path, 1)
    with open_source(source.path) as changed:
        assert changed.fingerprint() != mark
    with pytest.raises(SourceChanged):
        source.check()


def test_a_live_source_has_no_fingerprint_and_goes_on_where_it_is() -> None:
    with open_source(Path("camera:5")) as source:
        assert source.fingerprint() is None
        assert source.index() is None
        assert [frame.pts for frame in islice(source.read(), 3)] == [5, 6, 7]
        assert [frame.pts for frame in source.read(end=10)] == [8, 9]
        source.check()


def test_only_a_video_file_has_a_companion(source: Source) -> None:
    assert source.companion() == (source.path if isinstance(source, VideoReader) else None)


@seekable
@pytest.mark.parametrize("what", ["missing", "empty", "noise"])
def test_what_cannot_be_read_is_one_line_with_its_name(kind: Kind, what: str, tmp_path: Path) -> None:
    path = tmp_path / kind.name
    if what != "missing" and kind.kind is ImageFolderReader:
        path.mkdir()
        if what == "noise":
            (path / "1.png").write_bytes(bytes(range(256)))
    elif what != "missing":
        path.write_bytes(b"" if what == "empty" else bytes(range(256)))
    if what == "empty" and kind.kind in (StreetSource, Colours):
        return  # a street of which all is usual, and no colours
    with pytest.raises(FootageError, match=kind.name.partition(".")[0]) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)


@seekable
def test_it_is_found_in_a_folder_and_counted_without_decoding(source: Source, tmp_path: Path) -> None:
    folder = isinstance(source, PatternReader)  # the search finds the folder in which the images are
    assert find_sources([source.path if folder else tmp_path]) == [source.path]
    assert not folder or find_sources([tmp_path]) == [tmp_path]
    assert abs((estimate_frames(source.path) or COUNT) - COUNT) <= 1


@seekable
def test_ten_bits_are_given_or_eight(source: Source) -> None:
    with open_source(source.path, Reading(depth=16)) as deep:
        pixels: NDArray[Any] = next(iter(deep)).pixels
    scale = 257 if pixels.dtype == np.uint16 else 1
    assert np.abs(pixels.astype(float) / scale - next(iter(source)).pixels).mean() < 2


def test_a_single_image_is_a_source_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "beach.png"
    cv2.imwrite(str(path), moving(1)[0][..., ::-1])
    with open_source(path) as source:
        assert (type(source), source.still, source.rate_assumed) == (ImageReader, True, False)
        assert (source.info.width, source.info.height, source.info.frame_count) == (64, 48, 1)
        (frame,) = source
        np.testing.assert_array_equal(frame.pixels, moving(1)[0])
        mark = source.fingerprint()
        assert find_sources([path]) == [path]
        assert estimate_frames(path) in (1, None)
        cv2.imwrite(str(path), moving(1, shift=9)[0])
        with pytest.raises(SourceChanged):
            source.check()
    with open_source(path) as changed:
        assert changed.fingerprint() != mark
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FootageError, match=r"beach\.png is cut off"):
        open_source(path)


def test_a_pattern_takes_numbers_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("f_9.png", "f_10.png", "f_010.jpg", "f_x.png", "g_1.png"):
        cv2.imwrite(str(tmp_path / name), moving(1)[0])
    with open_source(tmp_path / "f_%d.png") as source:
        assert isinstance(source, PatternReader)
        assert [path.name for path in source.files] == ["f_9.png", "f_10.png"]
    with open_source(tmp_path / "f_%02d.png") as source:
        assert isinstance(source, PatternReader)
        assert [path.name for path in source.files] == ["f_10.png"]
    with pytest.raises(FootageError, match="no image has such a name"):
        open_source(tmp_path / "h_%02d.png")


@pytest.mark.parametrize("pattern", ["50%_%04d.png", "50%%_%04d.png", "50%_%d.png"])
def test_a_percent_sign_may_stand_beside_the_number_of_a_pattern(tmp_path: Path, pattern: str) -> None:
    cv2.imwrite(str(tmp_path / "50%_0001.png"), moving(1)[0])
    cv2.imwrite(str(tmp_path / "50%_0002.png"), moving(1)[0])
    with open_source(tmp_path / pattern) as source:
        assert isinstance(source, PatternReader)
        assert [path.name for path in source.files] == ["50%_0001.png", "50%_0002.png"]
    for other in ("50%_%04x.png", "50%%04d.png", "%d_%d.png"):
        with pytest.raises(FootageError, match="No such file"):
            open_source(tmp_path / other)


def test_a_camera_is_no_footage_to_train_on() -> None:
    with pytest.raises(FootageError, match=r"camera:0 \(camera\) is not a file; it can be translated"):
        find_sources([Path("camera:0")])


def test_a_kind_is_added_once_and_asked_first(tmp_path: Path) -> None:
    class Films(VideoReader):
        """Another reader of mp4."""

        @classmethod
        def takes(cls, path: Path) -> bool:
            return path.suffix == ".mp4"

    path = write(tmp_path / "a.mp4", moving(2))
    add_source(Films)
    add_source(Films)
    assert table._ADDED.count(Films) == 1
    with open_source(path) as source:
        assert type(source) is Films


def test_a_street_that_does_not_exist_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.street"
    for text, reason in {
        'look = "fog"': "look",
        "width = 3": "width",
        "colour = 3": "colour",
        "look = ": "describes no street",
    }.items():
        path.write_text(text)
        with pytest.raises(FootageError, match=reason) as caught:
            open_source(path)
        assert os.fspath(path) in str(caught.value)
        assert "\n" not in str(caught.value)
