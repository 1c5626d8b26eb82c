"""A damaged image fails itself and not its folder; one that is cut off is never shown and never learned from."""

import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recycle.config import ExtractSettings, TranslateSettings
from recycle.dataset.extract import extract
from recycle.dataset.shots import find_shots
from recycle.errors import FootageError
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.image_file import DamagedImage, image_size, read_image
from recycle.video.images import ImageFolderReader
from recycle.video.source import Reading
from tests.jobs import saying

Pixels = NDArray[np.uint8]
Frames = Callable[..., list[Pixels]]
SUFFIXES = ["jpg", "png", "bmp", "webp", "tif"]
PROGRESSIVE = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]


def encoded(pixels: Pixels, suffix: str, options: list[int] | None = None) -> bytes:
    return bytes(cv2.imencode(f".{suffix}", pixels[..., ::-1], options or [])[1])


def folder_of(folder: Path, frames: list[Pixels], suffix: str = "jpg") -> Path:
    folder.mkdir()
    for number, pixels in enumerate(frames):
        (folder / f"{number:02d}.{suffix}").write_bytes(encoded(pixels, suffix))
    return folder


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def hole(path: Path) -> None:
    """What a crash leaves: the right size, and zeros."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("404 not found")


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(2000))


DAMAGE = {"half": half, "hole": hole, "empty": empty, "text": text, "noise": noise}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_image_is_concealed_by_its_neighbour(
    tmp_path: Path, moving_frames: Frames, suffix: str, damage: str
) -> None:
    if damage == "hole" and suffix in ("bmp", "webp"):
        pytest.skip("zeros are pixels there")
    folder = folder_of(tmp_path / "images", moving_frames(6), suffix)
    whole = [read_image(file) for file in sorted(folder.iterdir())]
    for number in (0, 3, 4):
        DAMAGE[damage](folder / f"{number:02d}.{suffix}")
    with ImageFolderReader(folder) as reader:
        frames = list(reader)
        assert (reader.damaged, reader.concealed) == (3, 3)
        assert reader.bad == [f"{number:02d}.{suffix}" for number in (0, 3, 4)]
    assert [frame.pts for frame in frames] == list(range(6))
    assert [frame.concealed for frame in frames] == [True, False, False, True, True, False]
    for frame, nearest in zip(frames, [1, 1, 2, 2, 5, 5], strict=True):
        np.testing.assert_array_equal(frame.pixels, whole[nearest])


@pytest.fixture(scope="module")
def kinds() -> dict[str, bytes]:
    """An encoded image of each kind: one with a thumbnail whose end is not the image's, too."""
    y, x = np.mgrid[0:48, 0:64]
    pixels = np.stack([x * 4, y * 5, (x * y) % 256], -1).astype(np.uint8)
    whole = {suffix: encoded(pixels, suffix) for suffix in SUFFIXES}
    whole["progressive"] = encoded(pixels, "jpg", PROGRESSIVE)
    thumbnail = encoded(pixels[::4, ::4], "jpg")
    whole["thumbnail"] = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + whole["jpg"][2:]
    return whole


@pytest.mark.parametrize("kind", [*SUFFIXES, "progressive", "thumbnail"])
@given(part=st.floats(0, 0.98), zeros=st.booleans())
def test_no_part_of_an_image_is_taken_for_it(
    tmp_path_factory: pytest.TempPathFactory, kinds: dict[str, bytes], kind: str, part: float, zeros: bool
) -> None:
    data = kinds[kind]
    file = tmp_path_factory.getbasetemp() / f"cut-{kind}"
    file.write_bytes(data)
    assert read_image(file).shape == (48, 64, 3)
    assert image_size(file) == (64, 48)
    kept = int(part * len(data))
    fill = bytes(len(data) - kept) if zeros and kind not in ("bmp", "webp") else b""
    file.write_bytes(data[:kept] + fill)
    with pytest.raises(DamagedImage):
        read_image(file)


def test_what_follows_the_end_of_a_jpeg_does_not_matter(tmp_path: Path, kinds: dict[str, bytes]) -> None:
    for end in (b"\0", b"\0" * 500, kinds["jpg"], b"MotionPhoto_Data"):
        (tmp_path / "a.jpg").write_bytes(kinds["jpg"] + end)
        assert read_image(tmp_path / "a.jpg").shape == (48, 64, 3)


def test_a_translation_conceals_and_names_them(tmp_path: Path, moving_frames: Frames) -> None:
    folder = folder_of(tmp_path / "images", moving_frames(20), "png")
    for number in range(3, 10):
        half(folder / f"{number:02d}.png")
    empty(folder / "12.png")
    said: list[str] = []
    settings = TranslateSettings(preset="ultrafast")
    identity = Translator.from_pretrained("identity")
    report = identity.translate_video(folder, tmp_path / "o.mp4", to="b", settings=settings, job=saying(said))
    assert (report.frames, report.concealed) == (20, 8)
    assert any("1 image (12.png) cannot be read" in notice for notice in said)  # before the work, by its header
    names = "03.png, 04.png, 05.png, 06.png, 07.png and 3 more"
    assert f"8 images ({names}) could not be read: the nearest intact image is shown instead" in report.notices
    with VideoReader(tmp_path / "o.mp4") as reader:
        assert len(list(reader)) == 20


def test_too_many_are_an_error(tmp_path: Path, moving_frames: Frames) -> None:
    folder = folder_of(tmp_path / "images", moving_frames(10))
    for number in range(6):
        half(folder / f"{number:02d}.jpg")
    identity, settings = Translator.from_pretrained("identity"), TranslateSettings(preset="ultrafast")
    with pytest.raises(FootageError, match="6 of its 10 frames are damaged, too many to conceal"):
        identity.translate_video(folder, tmp_path / "o.mp4", to="b", settings=settings)
    for file in folder.iterdir():
        half(file)
    with pytest.raises(FootageError, match=r"no readable image; damaged: 00\.jpg, .* and 5 more"):
        ImageFolderReader(folder)


def test_all_images_of_another_size_are_named_before_any_work(tmp_path: Path, moving_frames: Frames) -> None:
    folder = folder_of(tmp_path / "images", moving_frames(5), "png")
    for number, (width, height) in {7: (32, 48), 8: (16, 16)}.items():
        (folder / f"{number:02d}.png").write_bytes(encoded(moving_frames(1, width, height)[0], "png"))
    with pytest.raises(
        FootageError,
        match=r"64×48 pixels, but these differ: 07\.png \(32×48\), 08\.png \(16×16\); put the images of each size",
    ):
        ImageFolderReader(folder)


def test_extraction_leaves_them_out_and_names_them(tmp_path: Path, moving_frames: Frames) -> None:
    folder = folder_of(tmp_path / "images", moving_frames(10))
    for number in (2, 5):
        half(folder / f"{number:02d}.jpg")
    report = extract([folder], tmp_path / "out", ExtractSettings(short_side=None), workers=1)
    assert report.frames == 8
    assert f"{folder}: left out 2 images that cannot be read: 02.jpg, 05.jpg" in report.notices
    manifest = json.loads((report.folders[0] / "manifest.json").read_text(encoding="utf-8"))
    assert [frame["pts"] for frame in manifest["frames"]] == [0, 1, 3, 4, 6, 7, 8, 9]


@pytest.mark.parametrize("format", ["jpg", "png"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_half_written_frame_is_never_learned_from(
    tmp_path: Path, moving_frames: Frames, format: str, damage: str
) -> None:
    folder = folder_of(tmp_path / "images", moving_frames(6))
    extract([folder], tmp_path / "out", ExtractSettings.model_validate({"short_side": None, "format": format}))
    (shot,) = find_shots(tmp_path / "out")
    assert shot.read(2).shape == (3, 48, 64)
    DAMAGE[damage](shot.files[2])
    with pytest.raises(FootageError, match=rf"cannot read a frame: .*000002\.{format}.*delete it and start again"):
        shot.read(2)


def png_of(width: int, height: int) -> bytes:
    """A few bytes that claim any size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * ((width + 7) // 8 + 1)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif_of(width: int, height: int, frames: int) -> bytes:
    one = b"\x21\xf9\x04\0\0\0\0\0," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff" + one * frames + b";"


@pytest.mark.parametrize("kind", ["gif", "apng", "images"])
def test_a_huge_picture_in_a_few_bytes_is_refused_without_memory(tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"bomb.{kind}"
    if kind == "images":
        source.mkdir()
        (source / "1.png").write_bytes(png_of(16000, 16000))
    else:
        source.write_bytes(gif_of(16000, 16000, 300) if kind == "gif" else png_of(16000, 16000))
    script = f"""
from pathlib import Path
from recycle.errors import FootageError
from recycle.video.kinds import open_source
try:
    open_source(Path({str(source)!r}))
except FootageError as error:
    print(error)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(line.split()[1])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    *message, peak = done.stdout.splitlines()
    assert len(message) == 1
    assert "16000×16000, more than 141,557,760 pixels; raise --max-pixels" in message[0] or kind == "apng"
    assert int(peak) < 450_000  # kB; one such picture has 768,000


def test_the_bound_can_be_set(tmp_path: Path, make_video: Callable[..., Path], moving_frames: Frames) -> None:
    video = make_video(tmp_path / "a.mp4", moving_frames(3))
    folder = folder_of(tmp_path / "images", moving_frames(3))
    identity = Translator.from_pretrained("identity")
    for source in (video, folder):
        for most, works in ((64 * 48, True), (64 * 48 - 1, False)):
            translation = TranslateSettings(preset="ultrafast", max_pixels=most)
            output, frames = tmp_path / f"{source.name}-{most}.mp4", tmp_path / f"frames-{source.name}-{most}"
            if works:
                assert identity.translate_video(source, output, to="b", settings=translation).frames == 3
                assert extract([source], frames, ExtractSettings(max_pixels=most), workers=1).frames == 3
            else:
                with pytest.raises(FootageError, match=r"64×48, more than 3,071 pixels"):
                    identity.translate_video(source, output, to="b", settings=translation)
                with pytest.raises(FootageError, match=r"64×48, more than 3,071 pixels"):
                    extract([source], frames, ExtractSettings(max_pixels=most), workers=1)


def test_the_bound_is_no_reason_to_extract_anew(
    tmp_path: Path, make_video: Callable[..., Path], moving_frames: Frames
) -> None:
    video = make_video(tmp_path / "a.mp4", moving_frames(3))
    extract([video], tmp_path / "out", ExtractSettings(), workers=1)
    assert extract([video], tmp_path / "out", ExtractSettings(max_pixels=10_000), workers=1).skipped == [video]


def test_pictures_that_grow_beyond_the_bound_are_concealed(
    tmp_path: Path, make_video: Callable[..., Path], moving_frames: Frames
) -> None:
    """A stream may change its size on the way."""
    pieces = [
        make_video(tmp_path / "s.ts", moving_frames(10)),
        make_video(tmp_path / "l.ts", moving_frames(4, 640, 480)),
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(piece.read_bytes() for piece in [pieces[0], pieces[1], pieces[0]]))
    with VideoReader(joined) as reader:
        everything = list(reader)
        assert reader.concealed == 0
    with VideoReader(joined, Reading(max_pixels=64 * 48)) as reader:
        bounded = list(reader)
        assert reader.damaged > 0
    assert len(everything) == 24
    assert len(bounded) >= 20
    assert {frame.pixels.shape for frame in bounded} == {(48, 64, 3)}
