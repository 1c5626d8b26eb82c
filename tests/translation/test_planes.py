"""Devices that convert planes themselves give the pictures that swscale gives, to one level."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch._subclasses.fake_tensor import FakeTensorMode

from recycle.config import EncodeSettings, NetworkSettings, ResNetSettings, TranslateSettings
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.initialise import initialise
from recycle.translation.exchange import of_planes
from recycle.translation.planes import entering, leaving, weights
from recycle.translation.translator import Translator
from recycle.video.codecs import choose_encoder
from recycle.video.colour import RgbConverter
from recycle.video.decode import VideoReader
from recycle.video.encode import Picture, VideoEncoder, encoded_planes
from recycle.video.frame import Pixels
from recycle.video.planes import PlaneReader, plane_format
from recycle.video.turn import UPRIGHT, Turn
from tests.video.conftest import moving, write
from tests.video.test_planes import POSITIONS, coded

CPU = torch.device("cpu")
MATRICES = (Colorspace.ITU709, Colorspace.FCC, Colorspace.ITU601, Colorspace.SMPTE240M, Colorspace.BT2020)
TAGS = {Colorspace.ITU709: 1, Colorspace.FCC: 4, Colorspace.ITU601: 6, Colorspace.SMPTE240M: 7, Colorspace.BT2020: 9}
EVEN = st.integers(10, 80).map(lambda half: 2 * half)  # swscale rounds frames of fewer chroma lines in another way


def picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Waves of three colours, and noise in the middle."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([127 + 100 * np.sin(x / 7) * np.cos(y / 9), 127 + 90 * np.cos(x / 13 + y / 5), x * 3 % 256], 2)
    box = slice(height // 4, height // 2), slice(width // 4, width // 2)
    rgb[box] = np.random.default_rng(seed).integers(0, 256, rgb[box].shape)
    return np.asarray(rgb, np.uint8)


def levels(frames: torch.Tensor) -> NDArray[np.int64]:
    return np.asarray(((frames[0] + 1) * 127.5).round().permute(1, 2, 0).numpy(), np.int64)


@settings(max_examples=60)
@given(
    size=st.tuples(EVEN, EVEN),
    inner=st.tuples(st.integers(4, 200), st.integers(4, 200)),
    name=st.sampled_from(["yuv420p", "yuvj420p", "nv12"]),
    place=st.sampled_from(list(POSITIONS)),
    matrix=st.sampled_from(MATRICES),
    seed=st.integers(0, 99),
)
def test_rgb_from_planes_is_that_of_swscale(
    size: tuple[int, int], inner: tuple[int, int], name: str, place: str, matrix: Colorspace, seed: int
) -> None:
    frame = coded(picture(*size, seed), name, place=place)
    frame.colorspace = TAGS[matrix]
    frame.color_range = ColorRange.JPEG if name == "yuvj420p" else ColorRange.MPEG
    expected = RgbConverter(threads=False)(frame, width=inner[1], height=inner[0], shrink=True)
    form = plane_format(frame, UPRIGHT)()
    assert form is not None
    planes = PlaneReader(form, RgbConverter())(frame)
    made = levels(entering(form, inner, CPU)(torch.from_numpy(planes)[None]))
    assert np.abs(made - expected).max() <= 1


@pytest.mark.parametrize("turn", [Turn(*flags) for flags in np.ndindex(2, 2, 2)], ids=str)
def test_planes_become_upright_rgb(turn: Turn) -> None:
    turn = Turn(bool(turn.transpose), bool(turn.flip_x), bool(turn.flip_y))
    frame = coded(picture(48, 64, 0))
    form = plane_format(frame, turn)()
    assert form is not None
    planes = torch.from_numpy(PlaneReader(form, RgbConverter())(frame))[None]
    inner = (40, 30) if turn.transpose else (30, 40)
    expected = turn.apply(RgbConverter(threads=False)(frame, width=40, height=30, shrink=True))
    assert np.abs(levels(entering(form, inner, CPU)(planes)) - expected).max() <= 1


class Unencoded:
    """In place of an output stream: keeps the frames that it would encode."""

    def __init__(self, stream: Any) -> None:
        self.frames: list[av.VideoFrame] = []
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def encode(self, frame: av.VideoFrame | None) -> list[Any]:
        self.frames += [] if frame is None else [frame]
        return []


def encoded(path: Path, shown: Pixels, size: tuple[int, int], codec: str) -> av.VideoFrame:
    """The frame that reaches the encoder of `codec`."""
    with av.open(str(path), "w") as container:
        choice = choose_encoder(EncodeSettings(codec=codec))
        encoder = VideoEncoder(container, choice, Picture(size[1], size[0], Fraction(25), Fraction(1, 25)))
        encoder.stream = Unencoded(encoder.stream)
        encoder.write(shown, 0)
        frame: av.VideoFrame = encoder.stream.frames[0]
        return frame


@pytest.mark.parametrize("codec", ["h264", "vp9"])  # chroma at the left, and amid its pixels
@pytest.mark.parametrize("size", [(48, 64), (96, 130), (26, 34), (144, 34)])
def test_planes_from_rgb_are_those_of_swscale(tmp_path: Path, size: tuple[int, int], codec: str) -> None:
    rgb = picture(48, 64, 3)
    expected = encoded(tmp_path / "rgb.mkv", rgb, size, codec)
    choice = choose_encoder(EncodeSettings(codec=codec))
    form = encoded_planes(choice, Picture(size[1], size[0], Fraction(25), Fraction(1, 25)))
    assert form is not None
    frames = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 127.5 - 1
    planes = leaving((48, 64), form, CPU)(frames)[0].numpy()
    made = encoded(tmp_path / "planes.mkv", planes, size, codec)
    assert np.abs(made.to_ndarray().astype(int) - expected.to_ndarray()).max() <= 1
    assert (made.format.name, made.colorspace, made.color_range) == ("yuv420p", 1, int(ColorRange.MPEG))
    assert (expected.colorspace, expected.color_range) == (made.colorspace, made.color_range)


def test_planes_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"or planes, all alike .*got \(72, 66\)"):
        encoded(tmp_path / "out.mkv", np.zeros((72, 66), np.uint8), (48, 64), "h264")


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["bilinear", "bicubic"]), st.sampled_from([0.25, 0.5]))
def test_weights_add_up_to_one(old: int, new: int, kernel: Any, place: float) -> None:
    matrix = weights(old, new, kernel, place, 0.5)
    assert matrix.shape == (new, old)
    torch.testing.assert_close(matrix.sum(1), torch.ones(new))


@pytest.mark.parametrize("turn", [UPRIGHT, Turn(transpose=True, flip_x=True)])
def test_everything_stays_on_the_gpu(turn: Turn) -> None:
    form = plane_format(coded(picture(48, 64, 0)), turn)()
    assert form is not None
    with FakeTensorMode():
        cuda = torch.device("cuda")
        exchange = of_planes(form, (30, 40), form, cuda)
        frames = exchange.enter(torch.empty(2, 72, 64, dtype=torch.uint8, device=cuda))
        assert (frames.device.type, frames.shape, frames.dtype) == ("cuda", (2, 3, 30, 40), torch.float32)
        planes = exchange.leave(frames.half())
        assert (planes.device.type, planes.shape, planes.dtype) == ("cuda", (2, 72, 64), torch.uint8)


def film(path: Path, **how: Any) -> Path:
    return write(path, moving(12), **how)


def joined(path: Path, **how: Any) -> Path:
    """A film whose frames change their size and colours amid it."""
    parts = [film(path.with_suffix(".1.ts")), write(path.with_suffix(".2.ts"), moving(6, 96, 128), full_range=True)]
    whole = path.with_suffix(".ts")
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


KINDS: dict[str, tuple[Callable[..., Path], str, dict[str, Any]]] = {
    "plain": (film, "mp4", {}),
    "turned": (film, "mp4", {"turn": (90, False, False)}),
    "mirrored": (film, "mp4", {"turn": (0, True, False)}),
    "full range": (film, "mp4", {"pixel_format": "yuvj420p", "full_range": True}),
    "BT.601": (film, "mp4", {"matrix": Colorspace.ITU601}),
    "VP9": (film, "webm", {"codec": "libvpx-vp9", "time_base": Fraction(1, 1000)}),
    "anamorphic": (film, "mp4", {"aspect": Fraction(4, 3)}),
    "joined": (joined, "ts", {}),
    "ten bits": (film, "mp4", {"pixel_format": "yuv420p10le"}),
}


def both_ways(bundle: Bundle, source: Path, *, unchanged: bool = False, **chosen: Any) -> list[NDArray[np.int64]]:
    """The translated film, once from RGB and once from planes; with `unchanged` the network returns its input."""
    films = []
    for takes_planes in (False, True):
        translator = Translator(bundle, device="cpu", precision="fp32")
        translator.takes_planes = takes_planes
        if unchanged:
            translator._generators = dict.fromkeys(translator._generators, lambda frames: frames)
        out = source.with_name(f"{takes_planes}.mkv")
        chosen = {"crf": 0, "timestamps": "source"} | chosen
        translator.translate_video(source, out, to="b", settings=TranslateSettings(**chosen), overwrite=True)
        with VideoReader(source) as reader, VideoReader(out) as made:
            times = [float(frame.seconds) for frame in reader.read()]
            assert [float(frame.seconds) for frame in made.read()] == pytest.approx(times, abs=0.01)
            films.append(np.stack([frame.pixels.astype(np.int64) for frame in made]))
    return films


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", ["trained", "source"])
def test_every_kind_of_film_looks_as_from_rgb(tmp_path: Path, bundle: Bundle, kind: str, scale: Any) -> None:
    make, suffix, how = KINDS[kind]
    source = make(tmp_path / f"film.{suffix}", **how)
    with VideoReader(source) as reader:
        assert (reader.planes is None) == (kind == "ten bits")
    rgb, planes = both_ways(bundle, source, unchanged=True, scale=scale)
    assert len(rgb) == (18 if kind == "joined" else 12)
    assert np.abs(rgb - planes).mean() < 0.5  # both round to levels, before and after the network and in the video
    assert np.array_equal(rgb, planes) == (kind == "ten bits")


def test_a_model_translates_planes_as_rgb(tmp_path: Path) -> None:
    torch.manual_seed(0)
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=4, skip=True))
    bundle = Bundle(BundleConfig(name="mild", networks=networks, short_side=32))  # magnifies roundings only a little
    initialise(bundle)
    source = film(tmp_path / "film.mp4")
    rgb, planes = both_ways(bundle, source)
    assert 0 < np.abs(rgb - planes).mean() < 1.5
    with VideoReader(source) as reader:
        untranslated = np.stack([frame.pixels.astype(np.int64) for frame in reader])
    assert np.abs(rgb - untranslated).mean() > 10


def test_what_looks_at_rgb_gets_rgb(tmp_path: Path, bundle: Bundle) -> None:
    source = film(tmp_path / "film.mp4")
    for chosen in (
        {"stabilise": 0.5},
        {"smoothing": True},
        {"strength": 0.5},
        {"depth": 10},
        {"pixel_format": "yuv444p"},
    ):
        rgb, planes = both_ways(bundle, source, **chosen)
        np.testing.assert_array_equal(rgb, planes)
