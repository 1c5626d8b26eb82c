"""Flicker goes, motion stays, and neither batches nor interruptions nor parts change a bit."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from recycle.config import TranslateSettings
from recycle.errors import Interrupted
from recycle.networks.bundle import Bundle
from recycle.rendering.parts import split
from recycle.rendering.work import SEGMENT
from recycle.translation.stabilise import PAST, Stabiliser, look
from recycle.translation.transform import transform_of
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.flow import optical_flow
from recycle.video.frame import Frame, Pixels
from tests.jobs import interrupted_at
from tests.rendering.test_resume import frames_of
from tests.translation.conftest import MakeVideo

Pictures = NDArray[np.uint8]
FULL = TranslateSettings(preset="ultrafast", stabilise=1, batch_size=3)


def texture(height: int, width: int, seed: int = 0) -> Pictures:
    random = np.random.default_rng(seed)
    rough = cv2.GaussianBlur(random.normal(0, 1, (height, width, 3)), (0, 0), 2)
    return np.asarray(cv2.normalize(rough, np.empty(0), 40, 210, cv2.NORM_MINMAX), dtype=np.uint8)


def to_floats(pixels: Pictures) -> NDArray[np.float32]:
    return np.asarray(pixels / 127.5 - 1, dtype=np.float32)


def stabilised(sources: Pictures, outputs: NDArray[np.float32], strength: float = 1.0) -> NDArray[np.float32]:
    stabiliser = Stabiliser(strength)
    befores = [None, *sources[:-1]]
    return np.stack([stabiliser(look(a, b), y) for a, b, y in zip(befores, sources, outputs, strict=True)])


def stream(translator: Translator, pixels: Pixels, settings: TranslateSettings) -> Pixels:
    frames = [Frame(picture, index, Fraction(1, 25)) for index, picture in enumerate(pixels)]
    return np.stack(list(translator.translate_frames(frames, to="b", settings=settings)))


def change(clip: NDArray[np.float32]) -> float:
    """Mean squared change from frame to frame, once the window is full."""
    return float(np.square(np.diff(clip[PAST:], axis=0)).mean())


def test_over_a_still_source_flicker_nearly_vanishes() -> None:
    sources = np.repeat(texture(40, 56)[None], 40, axis=0)
    noise = np.random.default_rng(1).normal(0, 0.1, (40, 40, 56, 3))
    flickering = np.clip(-to_floats(sources) + noise, -1, 1).astype(np.float32)
    calm = [change(stabilised(sources, flickering, strength)) for strength in (0.5, 0.8, 1)]
    assert change(flickering) > 2 * calm[0] > 4 * calm[1] > 6 * calm[2]
    assert calm[2] < 1.3 * change(flickering) / (PAST + 1) ** 2
    steady = np.repeat(flickering[:1], 40, axis=0)
    np.testing.assert_allclose(stabilised(sources, steady), steady, atol=5e-5)


def test_the_weights_are_powers_of_the_strength() -> None:
    """On a still source: the literal formula."""
    sources = np.repeat(texture(24, 24)[None], 12, axis=0)
    outputs = np.random.default_rng(0).uniform(-0.9, 0.9, (12, 1, 1, 3)).astype(np.float32) * np.ones((24, 24, 3), "f4")
    weights = 0.7 ** np.arange(PAST + 1)
    for t, y in enumerate(stabilised(sources, outputs, 0.7)):
        window = outputs[max(0, t - PAST) : t + 1][::-1]
        used = weights[: len(window)]
        np.testing.assert_allclose(y, np.tensordot(used / used.sum(), window, axes=1), atol=2e-4)


def test_a_moving_square_does_not_smear() -> None:
    ground, square = texture(64, 96) // 3, 255 - texture(20, 20, seed=5) // 3
    sources = np.repeat(ground[None], 16, axis=0)
    for t, picture in enumerate(sources):
        picture[22:42, 4 + 4 * t : 24 + 4 * t] = square
    outputs = -to_floats(sources)
    error = np.abs(stabilised(sources, outputs) - outputs)
    assert error.mean() < 0.01
    for t in range(PAST, 16):
        uncovered = error[t, 22:42, 4 + 4 * (t - PAST) : 4 + 4 * t]  # where the square was
        assert uncovered.mean() < 0.03
        assert error[t, 22:42, 4 + 4 * t : 24 + 4 * t].mean() < 0.05  # where it is


def test_what_appears_keeps_its_own_output() -> None:
    sources = np.repeat(texture(48, 48)[None], 12, axis=0)
    sources[9:, 12:36, 12:36] = texture(24, 24, seed=8)[:, ::-1] // 2
    outputs = to_floats(sources)
    assert np.abs(stabilised(sources, outputs) - outputs)[9:, 16:32, 16:32].mean() < 0.03


@pytest.mark.parametrize("size", [(16, 640), (12, 1000), (48, 4000), (12, 42), (640, 12), (4, 400)])
def test_strips_are_stabilised(size: tuple[int, int]) -> None:
    """Such as banners; OpenCV's flow fails with few rows, or crashes."""
    clip = np.repeat(texture(*size)[None], 3, axis=0)
    calm = stream(Translator(None, device="cpu"), clip, TranslateSettings(stabilise=1))
    assert calm.shape == clip.shape
    assert np.abs(calm.astype(int) - clip).max() <= 1


def test_it_begins_anew_at_a_cut(bundle: Bundle) -> None:
    one, two = texture(32, 48), 255 - texture(32, 48, seed=3) // 3
    clip = np.concatenate([np.repeat(picture[None], 6, axis=0) for picture in (one, two)])
    clip = np.clip(clip + np.random.default_rng(0).normal(0, 4, clip.shape), 0, 255).astype(np.uint8)
    for translator in (Translator(bundle, device="cpu"), Translator(None, device="cpu")):
        plain, calm = (stream(translator, clip, TranslateSettings(stabilise=s)) for s in (0, 1))
        assert [bool((a == b).all()) for a, b in zip(plain, calm, strict=True)] == [i in (0, 6) for i in range(12)]
        assert np.array_equal(calm[6:], stream(translator, clip[6:], TranslateSettings(stabilise=1)))


@pytest.mark.parametrize("scale", ["trained", "source"])
def test_batches_change_nothing_and_old_frames_neither(bundle: Bundle, scale: str) -> None:
    """A stream that begins PAST frames earlier gives the same bits."""
    translator = Translator(bundle, device="cpu", precision="fp32")
    wide = texture(33, 120)
    clip = np.stack([wide[:, t : t + 47] for t in range(16)])
    chosen = TranslateSettings.model_validate({"scale": scale, "stabilise": 0.9})
    settings = [chosen.model_copy(update={"batch_size": batch}) for batch in (2, 5, 16)]
    whole, *others = (stream(translator, clip, each) for each in settings)
    assert whole.shape == clip.shape
    assert not np.array_equal(whole, stream(translator, clip, chosen.model_copy(update={"stabilise": 0})))
    for other in others:
        assert np.array_equal(other, whole)
    late = stream(translator, clip[5:], chosen)
    assert np.array_equal(late[PAST:], whole[5 + PAST :])


@pytest.mark.parametrize(
    ("dtype", "size"), [(np.uint8, (33, 47)), (np.uint16, (21, 15)), (np.uint8, (1, 1)), (np.uint16, (9, 64))]
)
def test_any_depth_and_size(bundle: Bundle, dtype: type, size: tuple[int, int]) -> None:
    levels: Pixels = np.asarray(257 if dtype is np.uint16 else 1, dtype=dtype)
    clip: Pixels = np.repeat(texture(*size)[None], 4, axis=0) * levels
    clip[1:] += levels
    for translator in (Translator(bundle, device="cpu"), Translator(None, device="cpu")):
        plain, calm = (stream(translator, clip, TranslateSettings(scale="source", stabilise=s)) for s in (0, 0.5))
        assert calm.dtype == dtype
        assert calm.shape == clip.shape
        if min(size) < 12:
            assert np.array_equal(plain, calm)


def test_large_frames_are_stabilised_by_the_flow_of_small_ones() -> None:
    wide = cv2.resize(texture(40, 140), (1500, 400), interpolation=cv2.INTER_CUBIC)
    sources = np.stack([wide[:, 5 * t : 5 * t + 1200] for t in range(4)])
    noise = np.random.default_rng(1).normal(0, 0.1, (4, 1, 1, 3)).astype(np.float32)
    flickering = to_floats(sources) + noise
    inside = np.s_[:, 50:-50, 50:-50]
    after = np.abs(stabilised(sources, flickering)[3] - to_floats(sources)[3] - noise.mean(axis=0))[inside[1:]]
    assert after.mean() < 0.01


def test_flow_does_not_depend_on_the_number_of_threads() -> None:
    before, now = texture(90, 130), texture(90, 130, seed=1)
    threads = cv2.getNumThreads()
    try:
        flows = []
        for count in (1, 2, 5):
            cv2.setNumThreads(count)
            flows.append(optical_flow(before, now))
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(flows[0], flows[1])
    assert np.array_equal(flows[0], flows[2])


@pytest.mark.parametrize(
    ("model", "smoothing", "compare"), [(True, False, False), (True, True, False), (False, False, True)]
)
def test_an_interrupted_conversion_is_the_uninterrupted_one(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path, model: bool, smoothing: bool, compare: bool
) -> None:
    source = make_video(stamps=range(0, (2 * SEGMENT + 20) * 512, 512), size=(32, 32), audio=False)
    translator = Translator(bundle if model else None, device="cpu")
    settings = FULL.model_copy(update={"smoothing": smoothing, "batch_size": 7})

    def convert(name: str, **how: object) -> Path:
        translator.translate_video(source, tmp_path / name, to="b", settings=settings, compare=compare, **how)  # type: ignore[arg-type]
        return tmp_path / name

    whole = frames_of(convert("whole.mp4"))
    for number in (SEGMENT + 5,) if smoothing else (SEGMENT + 1, 2 * SEGMENT + 5):
        with pytest.raises(Interrupted, match="frames are kept"):
            convert("out.mp4", job=interrupted_at(number))
    assert frames_of(convert("out.mp4")) == whole


def test_parts_are_the_whole(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recycle.rendering.parts.PART", SEGMENT)
    source = make_video(stamps=range(0, (2 * SEGMENT + 30) * 512, 512), size=(32, 32), audio=False)
    translator, output = Translator(bundle, device="cpu"), tmp_path / "out.mp4"
    translator.translate_video(source, tmp_path / "whole.mp4", to="b", settings=FULL)
    parts = split(source, output, settings=FULL, key=translator.key("b", FULL))
    assert len(parts) == 3
    for part in reversed(parts):
        translator.translate_part(source, output, part, to="b", settings=FULL)
    assert translator.translate_video(source, output, to="b", settings=FULL).resumed == 2 * SEGMENT + 30
    with VideoReader(output) as one, VideoReader(tmp_path / "whole.mp4") as other:
        for x, y in zip(one, other, strict=True):
            assert x.pts == y.pts
            assert np.array_equal(x.pixels, y.pixels)


def test_strength_0_is_as_if_there_were_none(bundle: Bundle) -> None:
    plain, calm = TranslateSettings(), TranslateSettings(stabilise=0.5)
    translator = Translator(bundle, device="cpu")
    assert "stabilise" not in translator.key("b", plain)
    assert translator.key("b", calm)["stabilise"] == 0.5
    assert "stabilise" not in plain.record()
    assert calm.record()["stabilise"] == 0.5
    assert transform_of(translator, "b", plain).context == 0
    assert transform_of(translator, "b", calm).context == PAST
    frame = Frame(texture(16, 16), 0, Fraction(1, 25))
    identity = Translator(None, device="cpu")
    assert next(iter(identity.translate_frames([frame], to="b"))) is frame.pixels


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), "much"])
def test_other_strengths_are_refused(strength: object) -> None:
    with pytest.raises(ValidationError, match="stabilise"):
        TranslateSettings.model_validate({"stabilise": strength})
