"""The fine detail of a source that is added to its translation."""

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from recycle.config import TranslateSettings
from recycle.errors import Interrupted
from recycle.networks.bundle import Bundle
from recycle.rendering.work import SEGMENT
from recycle.translation.detail import add_detail
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.frame import Pixels
from tests.jobs import interrupted_at
from tests.translation.conftest import MakeVideo

FULL = TranslateSettings(detail=1, codec="ffv1", batch_size=3)
INNER = (24, 32)


def picture(seed: int, dtype: Any = np.uint8) -> Pixels:
    """Patches of 7 pixels, which have edges between the pixels of a network that sees a quarter of each side."""
    grid = np.random.default_rng(seed).integers(60, 190, (14, 19, 3))
    levels = np.kron(grid, np.ones((7, 7, 1)))[:96, :128].astype(np.uint8)
    return levels if dtype == np.uint8 else np.asarray(levels.astype(np.uint16) * 257)


def soft(pixels: Pixels) -> Pixels:
    small = cv2.resize(pixels, INNER[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_CUBIC))


def error(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(np.float64) - other).mean())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("gain", [1.0, 0.4, -0.5])
def test_detail_has_the_contrast_and_the_sign_that_the_translation_has(gain: float, dtype: Any) -> None:
    source = picture(1, dtype)
    source[...] = source[..., :1]  # grey: the slope is that of brightness
    truth = (np.iinfo(dtype).max / 2 + gain * (source - np.iinfo(dtype).max / 2)).astype(dtype)
    translated = soft(truth)
    sharp = add_detail(source, translated, INNER, 1)
    assert sharp.dtype == dtype
    assert error(sharp, truth) < 0.5 * error(translated, truth)
    assert error(add_detail(source, translated, INNER, 0.5), truth) < error(translated, truth)
    assert np.array_equal(add_detail(source, translated, INNER, 0), translated)


def test_nothing_is_added_where_the_translation_is_flat_and_colours_stay() -> None:
    flat = np.full((96, 128, 3), (20, 120, 220), np.uint8)
    assert np.array_equal(add_detail(picture(2), flat, INNER, 1), flat)
    translated = soft(picture(3))
    added = add_detail(picture(3), translated, INNER, 1).astype(int) - translated
    assert np.abs(added).max() > 10
    assert np.ptp(added, axis=2).max() == 0


def frames_of(path: Path) -> list[tuple[int, Pixels]]:
    with VideoReader(path) as reader:
        return [(frame.pts, frame.pixels) for frame in reader]


def translated(source: Path, name: str, bundle: Bundle, **changes: Any) -> list[tuple[int, Pixels]]:
    out = source.with_name(f"{name}.mkv")
    settings = FULL.model_copy(update=changes)
    Translator(bundle, device="cpu", precision="fp32").translate_video(source, out, to="b", settings=settings)
    return frames_of(out)


def turned(source: Path, degrees: int) -> Path:
    """The same packets in a file that is shown rotated."""
    out = source.with_name("turned.mkv")
    with av.open(source) as before, av.open(out, "w") as after:
        stream: Any = after.add_stream_from_template(before.streams.video[0])
        stream.set_display_rotation(degrees)
        for packet in before.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                after.mux(packet)
    return out


@pytest.mark.parametrize("degrees", [0, 90, 180])
def test_planes_and_rgb_get_the_same_detail(degrees: int, make_video: MakeVideo, bundle: Bundle) -> None:
    source = make_video(size=(96, 128), audio=False)
    source = turned(source, degrees) if degrees else source
    plain, sharp = translated(source, "plain", bundle, detail=0.0), translated(source, "sharp", bundle)
    rgb = translated(source, "rgb", bundle, pixel_format="bgr0")  # an encoder of RGB takes no planes
    assert [pts for pts, _ in plain] == [pts for pts, _ in sharp] == [pts for pts, _ in rgb]
    assert sharp[0][1].shape == ((128, 96, 3) if degrees == 90 else (96, 128, 3))
    for (_, one), (_, two), (_, three) in zip(plain, sharp, rgb, strict=True):
        assert error(one, two) > 0.5
        assert error(two, three) < 0.5 * error(one, two)


def test_a_source_of_the_networks_size_is_translated_as_without(make_video: MakeVideo, bundle: Bundle) -> None:
    source = make_video(size=(32, 48), audio=False)
    one, two = translated(source, "plain", bundle, detail=0.0), translated(source, "sharp", bundle)
    assert all(np.array_equal(x, y) for (_, x), (_, y) in zip(one, two, strict=True))


def test_an_interrupted_translation_is_the_uninterrupted_one(make_video: MakeVideo, bundle: Bundle) -> None:
    source = make_video(stamps=range(0, (SEGMENT + 20) * 512, 512), size=(64, 64), audio=False)
    whole, out = translated(source, "whole", bundle), source.with_name("out.mkv")
    translator = Translator(bundle, device="cpu", precision="fp32")
    with pytest.raises(Interrupted, match="frames are kept"):
        translator.translate_video(source, out, to="b", settings=FULL, job=interrupted_at(SEGMENT + 1))
    assert translator.translate_video(source, out, to="b", settings=FULL).resumed == SEGMENT
    for (pts, one), (other, two) in zip(frames_of(out), whole, strict=True):
        assert pts == other
        assert np.array_equal(one, two)


def test_detail_is_in_the_key_and_the_record_unless_it_is_off(bundle: Bundle) -> None:
    """Finished work of versions without detail is that of `detail = 0`."""
    translator, soft = Translator(bundle, device="cpu"), TranslateSettings(detail=0)
    for one in (translator.key("b", soft), soft.record()):
        assert "detail" not in one
    for one in (translator.key("b", TranslateSettings()), TranslateSettings().record()):
        assert one["detail"] == 1


def test_a_stream_gets_the_detail_too(bundle: Bundle) -> None:
    translator, pictures = Translator(bundle, device="cpu"), [picture(n) for n in range(3)]
    plain, sharp = (list(translator.stream(pictures, to="b", detail=share)) for share in (0.0, 1.0))
    for x, y, z in zip(pictures, plain, sharp, strict=True):
        assert np.array_equal(add_detail(x, y, (32, 43), 1), z)
