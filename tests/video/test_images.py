"""A folder of numbered images reads like a video."""

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Exif

from recycle.errors import FootageError
from recycle.video.image_file import read_alpha, read_image
from recycle.video.images import ImageFolderReader
from recycle.video.kinds import open_source
from recycle.video.numbered import natural_key, numbered_images
from recycle.video.source import Reading

Frames = Callable[..., list[NDArray[np.uint8]]]


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def test_numeric_order_and_timestamps(tmp_path: Path, moving_frames: Frames) -> None:
    frames = moving_frames(12)
    for index, pixels in enumerate(frames):
        save(tmp_path / f"frame {index + 1}.png", pixels)  # "frame 10" sorts before "frame 2" as text
    with open_source(tmp_path) as reader:
        got = list(reader)
        assert isinstance(reader, ImageFolderReader)
        assert (reader.info.width, reader.info.height, reader.info.frame_count) == (64, 48, 12)
    assert [frame.pts for frame in got] == list(range(12))
    assert got[3].seconds == Fraction(3, 25)
    for frame, pixels in zip(got, frames, strict=True):
        np.testing.assert_array_equal(frame.pixels, pixels)


def test_the_rate_can_be_given(tmp_path: Path, moving_frames: Frames) -> None:
    save(tmp_path / "0.png", moving_frames(1)[0])
    with ImageFolderReader(tmp_path, Reading(fps=Fraction(30000, 1001))) as reader:
        assert next(iter(reader)).time_base == Fraction(1001, 30000)


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "webp", "tif", "PNG"])
def test_formats(tmp_path: Path, moving_frames: Frames, suffix: str) -> None:
    pixels = moving_frames(1)[0]
    save(tmp_path / f"1.{suffix}", pixels)
    error = read_image(tmp_path / f"1.{suffix}").astype(int) - pixels
    assert np.abs(error).mean() < 6


def test_grey_alpha_and_16_bits_become_rgb(tmp_path: Path, moving_frames: Frames) -> None:
    pixels = moving_frames(1)[0]
    save(tmp_path / "1.png", pixels[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "1.png"), pixels[..., [0, 0, 0]])
    cv2.imwrite(str(tmp_path / "2.png"), np.dstack([pixels[..., ::-1], np.full((48, 64), 9, np.uint8)]))
    np.testing.assert_array_equal(read_image(tmp_path / "2.png"), pixels)
    cv2.imwrite(str(tmp_path / "3.png"), pixels[..., ::-1].astype(np.uint16) * 257)
    assert np.abs(read_image(tmp_path / "3.png").astype(int) - pixels).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("turned", [False, True])
def test_the_transparent_level_of_a_grey_png_is_alpha(tmp_path: Path, bits: int, *, turned: bool) -> None:
    steps = np.arange(48) % min(2**bits, 48) * (1000 if bits == 16 else 1)
    samples = np.tile(steps.astype(np.uint16), (8, 1))
    rows = b"".join(b"\0" + _packed(row, bits) for row in samples)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 48, 8, bits, 0, 0, 0, 0)), (b"tRNS", struct.pack(">H", samples[0, 1]))]
    if turned:
        exif = Exif()
        exif[0x0112] = 6
        parts.append((b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    file = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + file)
    expected = np.where(samples == samples[0, 1], 0, 255).astype(np.uint8)
    expected = np.rot90(expected, -1) if turned else expected
    for depth in (8, 16):
        alpha = read_alpha(tmp_path / "1.png", depth=depth)
        assert alpha is not None
        np.testing.assert_array_equal(alpha, expected.astype(int) * (257 if depth == 16 else 1))


def _packed(row: NDArray[np.uint16], bits: int) -> bytes:
    text = "".join(f"{level:0{bits}b}" for level in row)
    return int(text, 2).to_bytes(len(text) // 8, "big")


@pytest.mark.parametrize(("mode", "message"), [("F", "has 32 bits per sample"), ("I", "32 bits"), ("LAB", "RGB")])
def test_a_tiff_of_other_samples_is_refused_and_not_called_damaged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], mode: str, message: str
) -> None:
    for number in range(2):
        Image.new("RGB", (8, 8), (9, 99, 199)).convert("L" if mode in "FI" else "RGB").convert(mode).save(
            tmp_path / f"{number}.tif"
        )
    for place in (tmp_path / "0.tif", tmp_path):
        with pytest.raises(FootageError, match=message), open_source(place) as reader:
            list(reader)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("pages", [1, 3])
def test_further_pages_of_a_tiff_are_named_as_lost(tmp_path: Path, pages: int) -> None:
    first, *others = (Image.new("L", (8, 8), level) for level in range(pages))
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    with open_source(tmp_path / "a.tif") as reader:
        assert list(reader.lost) == (["pages 2 to 3 of the TIFF"] if pages > 1 else [])


def test_one_odd_size_is_named(tmp_path: Path, moving_frames: Frames) -> None:
    save(tmp_path / "1.png", moving_frames(1)[0])
    save(tmp_path / "2.png", moving_frames(1, 32, 48)[0])
    with pytest.raises(FootageError, match=r"64×48 pixels, but these differ: 2\.png \(32×48\)"):
        list(ImageFolderReader(tmp_path))


def test_photographs_taken_upright_and_sideways_are_told_apart_before_any_is_decoded(tmp_path: Path) -> None:
    """A camera stores both in one size, and states the rotation."""
    exif = Exif()
    for number, (size, orientation) in enumerate([((64, 48), 1), ((64, 48), 3), ((64, 48), 6), ((48, 64), 6)]):
        exif[0x0112] = orientation
        Image.new("RGB", size).save(tmp_path / f"{number}.jpg", exif=exif)
    with pytest.raises(FootageError, match=r"most have 64×48 pixels, but these differ: 2\.jpg \(48×64\); put"):
        ImageFolderReader(tmp_path)
    (tmp_path / "2.jpg").unlink()
    assert len(list(ImageFolderReader(tmp_path).read())) == 3


def test_broken_and_missing_images(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="holds no numbered images"):
        ImageFolderReader(tmp_path)
    (tmp_path / "1.png").write_text("no image")
    with pytest.raises(FootageError, match=r"holds no readable image; damaged: 1\.png"):
        ImageFolderReader(tmp_path)
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(FootageError, match=r"holds no readable image; damaged: 1\.png"):
        ImageFolderReader(tmp_path)


def test_only_numbered_images_count(tmp_path: Path, moving_frames: Frames) -> None:
    for name in ("cover.png", ".0.png", "7.png"):
        save(tmp_path / name, moving_frames(1)[0])
    (tmp_path / "notes1.txt").write_text("")
    (tmp_path / "8.png").mkdir()
    assert numbered_images(tmp_path) == [tmp_path / "7.png"]


def test_natural_order() -> None:
    names = ["b2", "a10", "a9", "10", "9", "B1"]
    assert sorted(names, key=natural_key) == ["9", "10", "a9", "a10", "B1", "b2"]


def test_real_images(real_footage: Path) -> None:
    with open_source(real_footage / "masks" / "cows" / "masks") as reader:
        masks = [frame.pixels for frame in reader]
    assert len(masks) == 104
    assert set(np.unique(masks[0])) <= {0, 255}
