"""What a translation keeps of its source: `strength` and `keep_colour`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recycle.config import TranslateSettings
from recycle.errors import Interrupted
from recycle.networks.bundle import Bundle
from recycle.rendering.work import SEGMENT
from recycle.translation.blend import blend, keep_colour
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.frame import Pixels
from tests.jobs import interrupted_at
from tests.translation.conftest import MakeVideo

LOSSLESS = TranslateSettings(codec="ffv1", batch_size=3)


def noise(seed: int, dtype: Any = np.uint8) -> Pixels:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (9, 13, 3)).astype(dtype)


def light(level: int) -> float:
    """The sRGB EOTF, IEC 61966-2-1."""
    v = level / 255
    return v / 12.92 if v <= 0.04045 else float(((v + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """L*, a*, b* of one colour of linear sRGB, by CIE 15:2004 with the white of D65."""
    x, y, z = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = [t ** (1 / 3) if t > (6 / 29) ** 3 else t * (29 / 6) ** 2 / 3 + 4 / 29 for t in (x / 0.9505, y, z / 1.089)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@given(seed=st.integers(0, 99), share=st.floats(0.01, 0.99))
@settings(max_examples=15)
def test_blending_is_exact_at_both_ends_and_for_equal_pictures(dtype: Any, seed: int, share: float) -> None:
    x, y = noise(seed, dtype), noise(seed + 100, dtype)
    assert np.array_equal(blend(x, y, 0), x)
    assert np.array_equal(blend(x, y, 1), y)
    mask = (np.arange(13) > 5).astype(np.float32) * np.ones((9, 1), np.float32)
    assert np.array_equal(blend(x, y, mask), np.where(mask[..., None] > 0, y, x))
    assert np.abs(blend(x, x, share).astype(int) - x).max() <= (0 if dtype == np.uint8 else 2)


def test_light_is_mixed_and_not_levels() -> None:
    x, y = noise(1), noise(2)
    wanted = [[0.75 * light(a) + 0.25 * light(b) for a, b in zip(p, q, strict=True)] for p, q in zip(x[0], y[0])]  # noqa: B905
    mixed = [[light(a) for a in p] for p in blend(x, y, 0.25)[0]]
    assert np.abs(np.array(mixed) - wanted).max() < 0.005
    grey = blend(np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8), 0.5)
    assert grey[0, 0, 0] == 188  # half the light; half the level would be 128


def test_the_colour_is_the_sources_and_the_lightness_the_translations() -> None:
    x, y = noise(3), noise(4)
    out = keep_colour(x, y)
    chromas = []
    for one, other, result in zip(x.reshape(-1, 3), y.reshape(-1, 3), out.reshape(-1, 3), strict=True):
        (_, a, b), (lightness, *_), (l_out, *ab) = (
            lab(np.array([light(level) for level in colour])) for colour in (one, other, result)
        )
        assert abs(l_out - lightness) < 0.6
        inside = result.min() > 0 and result.max() < 255
        if inside:  # nothing was out of range
            assert np.hypot(ab[0] - a, ab[1] - b) < 2
            chromas.append(inside)
        else:
            assert np.hypot(*ab) < np.hypot(a, b) + 1
    assert len(chromas) > 20
    assert np.array_equal(keep_colour(x, x), x)


def frames_of(path: Path) -> list[tuple[int, bytes]]:
    with VideoReader(path) as reader:
        return [(frame.pts, frame.pixels.tobytes()) for frame in reader]


def test_strength_0_is_the_identity_and_1_the_translation(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    source = make_video(audio=False)

    def made(name: str, model: Bundle | None, **changes: Any) -> list[tuple[int, bytes]]:
        chosen, out = LOSSLESS.model_copy(update=changes), tmp_path / f"{name}.mkv"
        Translator(model, device="cpu", precision="fp32").translate_video(source, out, to="b", settings=chosen)
        return frames_of(out)

    identity = made("identity", None)
    cases: tuple[dict[str, Any], ...] = ({}, {"smoothing": True, "stabilise": 0.5}, {"keep_colour": True})
    for number, more in enumerate(cases):
        assert made(f"0-{number}", bundle, strength=0.0, **more) == identity
    plain, half = made("plain", bundle), made("half", bundle, strength=0.5)
    assert made("full", bundle, strength=1.0) == plain
    assert len({str(frames) for frames in (identity, plain, half, made("colour", bundle, keep_colour=True))}) == 4


def test_an_interrupted_blend_is_the_uninterrupted_one(make_video: MakeVideo, bundle: Bundle, tmp_path: Path) -> None:
    source = make_video(stamps=range(0, (SEGMENT + 20) * 512, 512), size=(32, 32), audio=False)
    translator = Translator(bundle, device="cpu")
    chosen = LOSSLESS.model_copy(update={"strength": 0.4, "keep_colour": True, "stabilise": 0.5})
    translator.translate_video(source, tmp_path / "whole.mkv", to="b", settings=chosen)
    with pytest.raises(Interrupted, match="frames are kept"):
        translator.translate_video(
            source, tmp_path / "out.mkv", to="b", settings=chosen, job=interrupted_at(SEGMENT + 1)
        )
    assert translator.translate_video(source, tmp_path / "out.mkv", to="b", settings=chosen).resumed == SEGMENT
    assert frames_of(tmp_path / "out.mkv") == frames_of(tmp_path / "whole.mkv")


def test_what_is_kept_is_in_the_key_and_the_record_unless_it_is_the_default(bundle: Bundle) -> None:
    plain, kept = TranslateSettings(), TranslateSettings(strength=0.4, keep_colour=True)
    translator = Translator(bundle, device="cpu")
    wanted = {"strength": 0.4, "keep_colour": True}
    for one in (translator.key("b", plain), plain.record()):
        assert not wanted.keys() & one.keys()
    for one in (translator.key("b", kept), kept.record()):
        assert wanted.items() <= one.items()


def test_a_stream_is_blended_picture_by_picture(bundle: Bundle) -> None:
    translator, pictures = Translator(bundle, device="cpu"), [noise(n) for n in range(5)]
    given = iter(pictures)
    for x, y in zip(pictures, translator.stream(given, to="b", strength=0.5), strict=True):
        assert y.shape == x.shape
    same = translator.stream(iter(pictures), to="b", strength=0.0, keep_colour=True)
    assert all(np.array_equal(x, y) for x, y in zip(pictures, same, strict=True))
