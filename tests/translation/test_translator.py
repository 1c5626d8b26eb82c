import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recycle.config import NetworkSettings, Pix2PixSettings, TranslateSettings
from recycle.domains import Names
from recycle.errors import BundleError, ConfigError, RecycleError
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.networks.resnet import ResNetGenerator
from recycle.translation.scale import to_float, to_levels
from recycle.translation.translator import Translator
from recycle.video.frame import Frame

AT_SOURCE = TranslateSettings(scale="source")


def frames_of(pixels: NDArray[np.uint8]) -> list[Frame]:
    return [Frame(picture, index, Fraction(1, 25)) for index, picture in enumerate(pixels)]


def noise(count: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth random pictures, each close to its predecessor."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 4, (count, height, width, 3)).cumsum(axis=0)
    base = random.uniform(60, 200, (1, 1, 1, 3)) + np.linspace(-40, 40, width)[None, None, :, None]
    pixels: NDArray[np.uint8] = np.clip(base + steps, 0, 255).astype(np.uint8)
    return pixels


def fp32(bundle: Bundle) -> Translator:
    return Translator(bundle, device="cpu", precision="fp32")


@pytest.mark.parametrize("shape", [(3, 3, 33, 47), (2, 3, 3, 16, 20), (1, 3, 1, 9), (1, 3, 5, 200)])
def test_any_size_comes_out_as_it_went_in(bundle: Bundle, shape: tuple[int, ...]) -> None:
    clip = torch.rand(shape) * 2 - 1
    out = fp32(bundle)(clip, to="b")
    assert out.shape == clip.shape
    assert out.dtype == clip.dtype
    assert out.abs().max() <= 1
    assert not torch.allclose(out, clip, atol=0.05)


def test_each_direction_has_its_own_generator(bundle: Bundle) -> None:
    clip = torch.rand(2, 3, 32, 32)
    translator = fp32(bundle)
    torch.testing.assert_close(translator(clip, to="b"), bundle.gen_ab(clip))
    torch.testing.assert_close(translator(clip, to="a"), bundle.gen_ba(clip))


def test_a_domain_is_given_by_its_letter_or_its_name(bundle: Bundle) -> None:
    named = Bundle(bundle.config.model_copy(update={"domains": Names("summer", "winter")}))
    named.load_state_dict(bundle.state_dict())
    clip = torch.rand(2, 3, 32, 32)
    translator = fp32(named)
    assert translator.domains == ("summer", "winter")
    torch.testing.assert_close(translator(clip, to="winter"), bundle.gen_ab(clip))
    torch.testing.assert_close(translator(clip, to="summer"), translator(clip, to="a"))
    pictures = noise(3, 24, 32)
    streams = [translator.translate_frames(frames_of(pictures), to=to, settings=AT_SOURCE) for to in ("winter", "b")]
    assert all(np.array_equal(one, other) for one, other in zip(*streams, strict=True))
    with pytest.raises(ConfigError, match=r"no domain 'autumn'; give summer \(a\) or winter \(b\)"):
        translator(clip, to="autumn")


def test_frames_of_a_batch_are_independent(bundle: Bundle) -> None:
    clip = torch.rand(11, 3, 24, 28)
    translator = fp32(bundle)
    alone = torch.cat([translator(frame[None], to="b") for frame in clip])
    torch.testing.assert_close(translator(clip, to="b"), alone, atol=1e-5, rtol=0)


def test_smoothing_a_clip_is_the_papers_formula(bundle: Bundle) -> None:
    clips = torch.rand(2, 5, 3, 24, 28)
    g = bundle.gen_ab(clips.flatten(0, 1)).unflatten(0, (2, 5))
    assert bundle.pred_b is not None
    expected = [g[:, 0], g[:, 1]]
    for t in (2, 3, 4):
        expected.append(0.5 * (g[:, t] + bundle.pred_b(torch.stack((g[:, t - 2], g[:, t - 1]), dim=1))))
    smoothed = fp32(bundle)(clips, to="b", smoothing=True)
    torch.testing.assert_close(smoothed, torch.stack(expected, dim=1), atol=1e-5, rtol=0)
    assert (smoothed[:, 2:] - g[:, 2:]).abs().max() > 0.01


@pytest.mark.parametrize("smoothing", [False, True])
def test_a_stream_equals_the_clip_whatever_the_batch(bundle: Bundle, smoothing: bool) -> None:
    pixels = noise(9, 26, 31)
    translator = fp32(bundle)
    clip = to_float(torch.from_numpy(pixels))
    expected = to_levels(translator(clip, to="b", smoothing=smoothing), torch.uint8).numpy().astype(int)
    for batch in (1, 2, 4, 9, 20):
        chosen = TranslateSettings(scale="source", batch_size=batch, smoothing=smoothing)
        out = np.stack(list(translator.translate_frames(frames_of(pixels), to="b", settings=chosen)))
        assert out.dtype == np.uint8
        assert out.shape == pixels.shape
        assert np.abs(out.astype(int) - expected).max() <= 1


def test_smoothing_starts_anew_at_a_cut(bundle: Bundle) -> None:
    first, second = noise(6, 32, 48, seed=1), 255 - noise(5, 32, 48, seed=2) // 3
    translator = fp32(bundle)
    chosen = TranslateSettings(scale="source", batch_size=4, smoothing=True)

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.int_]:
        return np.stack(list(translator.translate_frames(frames_of(pixels), to="b", settings=chosen))).astype(int)

    together = run(np.concatenate((first, second)))
    assert np.abs(together - np.concatenate((run(first), run(second)))).max() <= 1


def test_a_stream_is_read_no_further_than_a_batch(bundle: Bundle) -> None:
    read = 0

    def counted() -> object:
        nonlocal read
        for frame in frames_of(noise(20, 16, 16)):
            read += 1
            yield frame

    chosen = TranslateSettings(scale="source", batch_size=3)
    out = fp32(bundle).translate_frames(counted(), to="b", settings=chosen)  # type: ignore[arg-type]
    next(out)
    assert read == 3


def test_a_picture_and_a_stack_of_them_come_out_as_video_does(bundle: Bundle) -> None:
    pixels = noise(3, 40, 56)
    translator = fp32(bundle)
    wanted = np.stack(list(translator.translate_frames(frames_of(pixels), to="b")))
    stack = translator(pixels, to="b")
    assert stack.dtype == np.uint8
    assert stack.shape == pixels.shape
    np.testing.assert_array_equal(stack, wanted)
    np.testing.assert_array_equal(translator(pixels[1], to="b"), wanted[1])
    deep = translator(pixels[0].astype(np.uint16) * 257, to="b")
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - wanted[0]).max() <= 2.5  # the detail is computed from rounded levels
    soft = TranslateSettings(detail=0)
    one, other = (
        next(iter(translator.translate_frames(frames_of(given[None]), to="b", settings=soft)))
        for given in (pixels[0], pixels[0].astype(np.uint16) * 257)
    )
    assert np.abs(other / 257 - one).max() <= 0.51


def test_a_single_frame_of_floats_is_that_of_a_clip(bundle: Bundle) -> None:
    clip = torch.rand(2, 3, 24, 28) * 2 - 1
    torch.testing.assert_close(fp32(bundle)(clip[0], to="a"), fp32(bundle)(clip, to="a")[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("stabilise", [0.0, 0.5])
@pytest.mark.parametrize("smoothing", [False, True])
@pytest.mark.parametrize("latency", [0, 1, 2, 5])
def test_a_stream_is_late_by_no_more_than_it_says(
    bundle: Bundle, latency: int, smoothing: bool, stabilise: float
) -> None:
    pixels = noise(9, 40, 56)
    read = 0

    def camera() -> Iterator[NDArray[np.uint8]]:
        nonlocal read
        for picture in pixels:
            read += 1
            yield picture

    late, out = [], []
    chosen = TranslateSettings(smoothing=smoothing, stabilise=stabilise)
    translator = fp32(bundle)
    stream = translator.stream(camera(), to="b", latency=latency, smoothing=smoothing, stabilise=stabilise)
    for number, picture in enumerate(stream):
        late.append(read - number - 1)
        out.append(picture)
    assert max(late) <= (max(1, latency) if smoothing else latency)
    wanted = list(translator.translate_frames(frames_of(pixels), to="b", settings=chosen))
    assert np.abs(np.stack(out).astype(int) - np.stack(wanted)).max() <= 1


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([np.zeros((8, 9), np.uint8)], "frame 0 is (8, 9) of uint8; expected RGB (H, W, 3)"),
        ([np.zeros((8, 9, 3))], "frame 0 is (8, 9, 3) of float64"),
        ([np.zeros((8, 9, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)], "frame 1 is (9, 8, 3) of uint8"),
        ([np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9, 3), np.uint16)], "another size or dtype"),
    ],
)
def test_a_stream_of_other_than_pictures_of_one_size_is_refused(
    bundle: Bundle, pictures: list[NDArray[Any]], message: str
) -> None:
    for translator in (fp32(bundle), Translator(None, device="cpu")):
        with pytest.raises(ValueError, match=re.escape(message)):
            list(translator.stream(pictures, to="b"))


def test_a_stream_with_settings_out_of_range_is_refused_before_it_reads(bundle: Bundle) -> None:
    for wrong in ({"latency": -1}, {"stabilise": 2.0}, {"scale": "double"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            fp32(bundle).stream(iter(()), to="b", **wrong)


@pytest.mark.parametrize("scale", ["trained", "source", 20])
@pytest.mark.parametrize("size", [(48, 64), (47, 61), (8, 70)])
def test_every_scale_gives_the_sources_size(bundle: Bundle, scale: str | int, size: tuple[int, int]) -> None:
    pixels = noise(2, *size)
    chosen = TranslateSettings.model_validate({"scale": scale})
    aspect = Fraction(4, 3)
    out = list(fp32(bundle).translate_frames(frames_of(pixels), to="a", settings=chosen, pixel_aspect=aspect))
    assert [picture.shape for picture in out] == [(*size, 3)] * 2


def test_the_trained_scale_equals_the_networks_own_output_there(bundle: Bundle) -> None:
    """At the trained short side nothing is resized."""
    pixels = noise(3, 32, 52)
    translator = fp32(bundle)
    trained = np.stack(list(translator.translate_frames(frames_of(pixels), to="b")))
    source = np.stack(list(translator.translate_frames(frames_of(pixels), to="b", settings=AT_SOURCE)))
    assert np.array_equal(trained, source)


def test_pictures_may_be_views(bundle: Bundle) -> None:
    pixels = noise(2, 32, 48)
    turned = [Frame(frame[::-1, :, ::-1], number, Fraction(1, 25)) for number, frame in enumerate(pixels)]
    whole = [Frame(frame.pixels.copy(), frame.pts, frame.time_base) for frame in turned]
    translator = fp32(bundle)
    for one, other in zip(*(translator.translate_frames(x, to="b") for x in (turned, whole)), strict=True):
        assert np.array_equal(one, other)


def test_the_identity_touches_nothing() -> None:
    translator = Translator.from_pretrained("identity", device="cpu")
    clip = torch.rand(2, 3, 5, 7)
    assert torch.equal(translator(clip, to="a"), clip)
    frames = frames_of(noise(3, 9, 7))
    out = list(translator.translate_frames(frames, to="b"))
    assert all(picture is frame.pixels for picture, frame in zip(out, frames, strict=True))


def test_a_saved_model_translates_alike(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path / "model")
    clip = torch.rand(2, 3, 16, 16)
    loaded = Translator.from_pretrained(str(tmp_path / "model"), device="cpu", precision="fp32")
    assert torch.equal(loaded(clip, to="b"), fp32(bundle)(clip, to="b"))


def test_bf16_is_close_to_float32(bundle: Bundle) -> None:
    clip = torch.rand(2, 3, 32, 32) * 2 - 1
    exact = fp32(bundle)(clip, to="b")
    reduced = Translator(bundle, device="cpu", precision="bf16")(clip, to="b")
    assert reduced.dtype == torch.float32
    assert (reduced - exact).abs().mean() < 0.03


def test_smoothing_without_predictors_is_refused() -> None:
    config = BundleConfig(name="cycle", predictors=False, networks=small_networks())
    for translator, name in ((fp32(Bundle(config)), "cycle"), (Translator(None, device="cpu"), "identity")):
        message = f"smoothing needs predictors, but the model '{name}' has none"
        with pytest.raises(ConfigError, match=message):
            translator(torch.rand(3, 3, 16, 16), to="b", smoothing=True)
        with pytest.raises(ConfigError, match=message):
            translator.translate_frames([], to="b", settings=TranslateSettings(smoothing=True))


def small_networks() -> NetworkSettings:
    base = NetworkSettings(predictor=Pix2PixSettings(width=4, depth=3))
    return base.model_copy(update={"generator": base.generator.model_copy(update={"blocks": 1, "width": 4})})


@pytest.mark.parametrize("clip", [torch.rand(4, 8, 8), torch.rand(2, 1, 8, 8), torch.zeros(1, 3, 8, 8).int()])
def test_what_is_no_clip_is_refused(bundle: Bundle, clip: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected a clip"):
        fp32(bundle)(clip, to="b")


def test_an_unknown_domain_is_refused(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="there is no domain 'c'; give a or b"):
        fp32(bundle)(torch.rand(1, 3, 16, 16), to="c")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is neither a run nor a model bundle"):
        Translator.from_pretrained(tmp_path)


def test_a_file_that_found_little_memory_leaves_nothing_to_the_next(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator, frames = fp32(bundle), frames_of(noise(2, 32, 48))

    def short(self: ResNetGenerator, frames: torch.Tensor) -> torch.Tensor:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(ResNetGenerator, "forward", short)
        with pytest.raises(RecycleError, match="not enough memory"):
            list(translator.translate_frames(frames, to="b"))
    assert len(list(translator.translate_frames(frames, to="b"))) == 2
