"""Matrix of sources, codecs and containers: the identity preserves every kind of source."""

import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from recycle.config import EncodeSettings, TranslateSettings
from recycle.errors import OutputError, RecycleError
from recycle.rendering.span import parse_span
from recycle.street.film import Street
from recycle.translation.translator import Translator
from recycle.video.codecs import CONTAINERS, takes_codec
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from recycle.video.hdr import PEAK, SDR_WHITE, Gamut, Transfer, to_standard
from recycle.video.source import Reading
from tests.fuzz.spoil import spoilt
from tests.translation.conftest import MakeVideo
from tests.video.conftest import moving, write

DEFAULT = TranslateSettings()
RATE = 25


@pytest.fixture(scope="module")
def street() -> list[NDArray[np.uint8]]:
    """Ten frames of 240 × 144, as soft as a camera's."""
    sharp = Street(seed=5, width=720, height=432, fps=RATE, seconds=10 / RATE).frames("day")
    soft = (cv2.GaussianBlur(frame, (0, 0), 5) for frame in sharp)
    return [np.asarray(cv2.resize(f, (240, 144), interpolation=cv2.INTER_AREA), dtype=np.uint8) for f in soft]


@dataclass(frozen=True)
class Case:
    """One awkward kind of source."""

    name: str
    suffix: str = ".mp4"
    how: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (144, 240)
    told: str = ""
    """Part of the only notice; '' for none."""
    least: float = 40
    """PSNR in dB."""
    timestamps: Literal["zero", "source"] = "zero"


CASES = [
    Case("plain"),
    Case("variable", how={"pts": [0, 300, 1100, 1612, 4000, 4001, 6000, 9999, 12000, 12001]}),
    Case("late", how={"pts": range(9000, 9000 + 10 * 512, 512)}),
    Case("far", how={"pts": range(10**9, 10**9 + 10 * 512, 512)}, timestamps="source"),
    Case("ntsc", how={"time_base": Fraction(1, 30000), "rate": Fraction(30000, 1001), "pts": range(0, 10010, 1001)}),
    Case("odd", ".mkv", {"pixel_format": "yuv444p"}, (121, 161), told="161×121 becomes 162×122"),
    Case("one pixel", how={"pixel_format": "yuv444p"}, size=(1, 1), told="1×1 becomes 2×2"),
    Case("anamorphic", how={"aspect": Fraction(4, 3)}),
    Case("turned", how={"turn": (90, False, False)}),
    Case("upside down", how={"turn": (180, False, False)}),
    Case("mirrored", how={"turn": (0, True, False)}),
    Case("ten bits", how={"pixel_format": "yuv420p10le"}, told="has 10 bits per sample: the output has 8"),
    Case("4:4:4", how={"pixel_format": "yuv444p"}),
    Case("grey", ".mkv", {"codec": "ffv1", "pixel_format": "gray", "options": {}, "full_range": True}),
    Case("opaque alpha", ".mov", {"codec": "qtrle", "pixel_format": "argb", "options": {}, "full_range": True}),
    Case("full range", how={"pixel_format": "yuvj420p", "full_range": True}),
    Case("bt601", how={"matrix": Colorspace.ITU601}),
    Case("untagged 480", how={"matrix": Colorspace.ITU601, "tagged": False}),
    Case("untagged 720", how={"tagged": False}, size=(720, 48)),
    Case("bt2020 matrix", how={"matrix": Colorspace.BT2020}),
    Case("vp9", ".webm", {"codec": "libvpx-vp9", "options": {"crf": "10", "b": "0"}, "time_base": Fraction(1, 1000)}),
    Case("mpeg4", ".avi", {"codec": "mpeg4", "options": {"qscale": "2", "q": "2"}, "time_base": Fraction(1, 25)}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_source_is_preserved(tmp_path: Path, street: list[NDArray[np.uint8]], case: Case) -> None:
    height, width = case.size
    frames = [np.ascontiguousarray(np.pad(f, ((0, max(0, height - 144)), (0, 0), (0, 0)), "wrap")) for f in street]
    source = write(tmp_path / f"source{case.suffix}", [f[:height, :width] for f in frames], **case.how)
    output = tmp_path / "out.mp4"
    settings = TranslateSettings(timestamps=case.timestamps)
    report = Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings)
    with VideoReader(source) as before, VideoReader(output) as after:
        was, now = list(before), list(after)
        assert [f.seconds for f in now] == [f.seconds for f in was]
        assert after.info.sample_aspect_ratio == before.info.sample_aspect_ratio
        assert (after.info.rotation, after.bits) == (0, 8)
        shape = (before.info.height, before.info.width)
    assert report.frames == len(was) == 10
    assert [case.told in notice for notice in report.notices] == ([True] if case.told else [])
    x = np.stack([f.pixels for f in was]).astype(float)
    y = np.stack([f.pixels[: shape[0], : shape[1]] for f in now]).astype(float)
    assert 10 * np.log10(255**2 / max(np.mean((x - y) ** 2), 1e-9)) >= case.least
    assert np.abs(x.mean(axis=(0, 1, 2)) - y.mean(axis=(0, 1, 2))).max() < 0.7  # no hue, no brightness
    with av.open(str(output)) as file:
        context = file.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert tags == (Colorspace.ITU709, 1, 1, ColorRange.MPEG)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1", "prores"])
def test_ten_bits_are_kept_on_request(tmp_path: Path, codec: Any) -> None:
    """Ten bits keep more levels of a fine ramp than 8 bits could."""
    ramp = np.linspace(20000, 24000, 256).round().astype(np.uint16)
    pixels = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (64, 256, 3)))
    source = tmp_path / "source.mkv"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 64, "gbrp10le"
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le").reformat(format="gbrp10le")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    output = tmp_path / "out.mkv"
    settings = TranslateSettings(codec=codec, depth=10, crf=None if codec in ("ffv1", "prores") else 4)
    report = Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings)
    assert not any("bits" in notice for notice in report.notices)
    with VideoReader(output, Reading(depth=16)) as reader:
        assert reader.bits == 10
        levels = np.unique(next(iter(reader)).pixels[32, :, 1])
    assert len(levels) > 1.5 * len(np.unique(ramp // 257))


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9", "prores", "ffv1"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_every_codec_in_every_container(make_video: MakeVideo, tmp_path: Path, codec: Any, suffix: str) -> None:
    """Frames keep their times, or an error before the work names a suitable container."""
    source, output = make_video(size=(64, 64), audio=False), tmp_path / f"out{suffix}"
    settings = TranslateSettings(codec=codec, batch_size=4)
    translator = Translator(None, device="cpu")
    if not takes_codec(CONTAINERS[suffix], settings):
        with pytest.raises(OutputError, match=rf"does not hold {codec}; \."):
            translator.translate_video(source, output, to="b", settings=settings)
        assert [path.name for path in tmp_path.iterdir()] == [source.name]
        return
    report = translator.translate_video(source, output, to="b", settings=settings)
    with VideoReader(source) as before, VideoReader(output) as after:
        was, now = list(before), list(after)
    assert report.frames == len(now) == len(was)
    exact = Fraction(1, 2000) if suffix in (".mkv", ".webm") else 0
    assert max(abs(a.seconds - b.seconds) for a, b in zip(was, now, strict=True)) <= exact
    error = float(np.mean([(a.pixels.astype(float) - b.pixels) ** 2 for a, b in zip(was, now, strict=True)]))
    assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 40


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("unit", [Fraction(1, 25), Fraction(1, 1000), Fraction(1, 12800)])
def test_the_output_is_as_long_as_the_source(
    tmp_path: Path, street: list[NDArray[np.uint8]], suffix: str, unit: Fraction
) -> None:
    """Players show the length that the file states, and stop or loop by it."""
    stamps = [round(n * Fraction(1, 25) / unit) for n in (0, 1, 2, 3, 5, 6, 7, 8, 9, 12)]
    source = write(tmp_path / "source.mkv", street, time_base=unit, pts=stamps, options={"crf": "20"})
    output = tmp_path / f"out{suffix}"
    Translator(None, device="cpu").translate_video(source, output, to="b")
    with av.open(str(output)) as file:
        assert file.duration is not None
        assert file.duration / 1e6 == pytest.approx(13 / 25, abs=0.002)


PERTURBED = """
import sys
from pathlib import Path
from recycle.config import TranslateSettings
from recycle.translation.translator import Translator
folder, *codecs = sys.argv[1:]
for codec in codecs:
    try:
        for number in "12":
            source, output = Path(folder, number + ".mp4"), Path(folder, codec + number + ".mp4")
            settings = TranslateSettings(codec=codec)
            Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings)
    except Exception as error:
        print(codec, repr(error))
"""
SHORT_CODECS = ("h264", "hevc", "av1", "vp9")


@pytest.fixture(scope="module")
def perturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Videos of one and two frames, their translations by a process whose memory glibc fills when it hands it out, and
    its errors."""
    folder = tmp_path_factory.mktemp("perturbed")
    for number in (1, 2):
        write(folder / f"{number}.mp4", moving(number), audio=True)
    call = [sys.executable, "-c", PERTURBED, str(folder), *SHORT_CODECS]
    filled = {**os.environ, "MALLOC_PERTURB_": "1"}
    return folder, subprocess.run(call, env=filled, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize("codec", SHORT_CODECS)
def test_very_short_videos_do_not_depend_on_uninitialised_memory(perturbed: tuple[Path, str], codec: str) -> None:
    """x265 reads the decoding times of one or two frames from uninitialised memory."""
    folder, errors = perturbed
    assert codec not in errors
    for source, output in ((folder / f"{number}.mp4", folder / f"{codec}{number}.mp4") for number in (1, 2)):
        with av.open(str(output)) as file, VideoReader(source) as before:
            unit = file.streams.video[0].time_base or 0
            packets = [packet for packet in file.demux(video=0) if packet.size]
            assert [(packet.pts or 0) * unit for packet in packets] == [frame.seconds for frame in before]
            assert all(0 <= (packet.pts or 0) - (packet.dts or 0) < 2000 for packet in packets)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
def test_colours_stay_in_their_place(tmp_path: Path, codec: Any) -> None:
    """A wave of pure colour, whose chroma samples would move it if they were put elsewhere than they are read."""
    x = np.arange(160)
    wave = np.sin(2 * np.pi * x / 16)
    pixels = np.broadcast_to(np.stack((128 + 50 * wave, 128 - 15 * wave, 128 + 0 * wave), -1), (96, 160, 3))
    settings = EncodeSettings(codec=codec, crf=4)
    write_video(tmp_path / "wave.mkv", [pixels.round().astype(np.uint8)] * 3, fps=25, settings=settings)
    with VideoReader(tmp_path / "wave.mkv") as reader:
        shown = next(iter(reader)).pixels[48, 16:144, 0].astype(float)
    phase = np.angle((shown - shown.mean()) @ np.exp(-2j * np.pi * x[16:144] / 16)) + np.pi / 2
    assert abs(phase * 16 / (2 * np.pi)) < 0.1  # pixels; half a pixel where the place is wrong


def test_lost_transparency_is_reported(tmp_path: Path) -> None:
    source, output = tmp_path / "source.mov", tmp_path / "out.mp4"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("qtrle", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "argb"
        pixels = np.full((48, 64, 4), 160, np.uint8)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode(None))
    report = Translator(None, device="cpu").translate_video(source, output, to="b")
    assert report.notices == ("the source is transparent in parts: the output shows the colours beneath",)
    with VideoReader(output) as reader:
        assert np.abs(next(iter(reader)).pixels.astype(int) - 160).max() <= 2


def test_a_truncated_file_is_reported_before_the_work(tmp_path: Path, street: list[NDArray[np.uint8]]) -> None:
    """An index at its start still lists the lost frames; the present ones are translated."""
    source = write(tmp_path / "source.mp4", street, options={"crf": "20", "g": "1", "bf": "0"})
    whole = tmp_path / "whole.mp4"
    Translator(None, device="cpu").translate_video(
        source, whole, to="b", settings=TranslateSettings(preset="ultrafast")
    )
    with av.open(str(whole)) as file:  # ours has the index at its front
        ends = [packet.pos + packet.size for packet in file.demux(video=0) if packet.size and packet.pos is not None]
    cut, output = tmp_path / "cut.mp4", tmp_path / "out.mp4"
    cut.write_bytes(whole.read_bytes()[: sorted(ends)[5]])
    report = Translator(None, device="cpu").translate_video(cut, output, to="b")
    assert report.notices == ("the file is cut off: at least 4 frames are missing at its end",)
    assert report.frames == 6


def test_interlaced_fields_are_woven_into_frames(tmp_path: Path) -> None:
    """A bar that moves between the fields has combs in the source and none in the output."""
    source, output = tmp_path / "source.mkv", tmp_path / "out.mp4"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1", "crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for index in range(12):
            pixels = np.full((96, 128, 3), 40, np.uint8)
            pixels[0::2, 8 * index : 8 * index + 16] = 220
            pixels[1::2, 8 * index + 4 : 8 * index + 20] = 220
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p", dst_colorspace=1)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    report = Translator(None, device="cpu").translate_video(source, output, to="b")
    assert report.notices == (
        "the source is interlaced: its frames are deinterlaced",
        "times are rounded to 0.001 s, this container's unit; .mp4 keeps them exactly",
    ) or report.notices == ("the source is interlaced: its frames are deinterlaced",)
    with VideoReader(output) as reader:
        shown = [frame.pixels.astype(int) for frame in reader]
    assert len(shown) == 12
    combs = [np.abs(f[10:80:2] - (f[9:79:2] + f[11:81:2]) / 2).mean() for f in shown[2:-2]]
    assert max(combs) < 4  # the source's own are above 10


def test_high_dynamic_range_becomes_standard(tmp_path: Path) -> None:
    """Reference white of PQ video, 203 cd/m², is a bright white and no dull grey; highlights stay apart from it."""
    white, peak = 0.5806, 0.7518  # PQ levels of 203 and 1000 cd/m², ITU-R BT.2408
    source, output = tmp_path / "source.mkv", tmp_path / "out.mp4"
    with av.open(str(source), "w") as container:
        stream: Any = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none:qp=4"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = Colorspace.BT2020, 9, 16
        context.color_range = ColorRange.MPEG
        pixels = np.full((64, 128, 3), round(white * 65535), np.uint16)
        pixels[:, 64:] = round(peak * 65535)
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb48le").reformat(
                format="yuv420p10le", dst_colorspace=Colorspace.BT2020, dst_color_range=ColorRange.MPEG
            )
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    report = Translator(None, device="cpu").translate_video(source, output, to="b")
    assert "the source has a high dynamic range: it is tone-mapped to the standard range" in report.notices
    with VideoReader(output) as reader:
        shown = next(iter(reader)).pixels
    assert 190 < shown[32, 32].mean() < 245
    assert shown[32, 96].mean() > 250
    assert np.ptp(shown[32, 32].astype(int)) <= 2  # grey stays grey


def test_tone_mapping_keeps_dark_tones_and_order() -> None:
    levels = np.linspace(0, 65535, 512).round().astype(np.uint16)
    transfers: tuple[Transfer, ...] = ("pq", "hlg", "sdr")
    for transfer in transfers:
        grey = np.repeat(levels[None, :, None], 3, axis=2)
        out = to_standard(grey, transfer)[0].astype(int)
        assert (np.diff(out[:, 0]) >= 0).all()
        assert np.ptp(out, axis=1).max() <= 66  # neutral to 1/1000
        assert out[0, 0] == 0
        assert out[-1, 0] >= 65500
    assert SDR_WHITE < PEAK
    dark = to_standard(np.full((1, 1, 3), round(0.3 * 65535), np.uint16), "pq")  # 10.1 cd/m² by SMPTE ST 2084
    assert dark[0, 0, 0] / 65535 == pytest.approx((10.1 / 203) ** (1 / 2.4), abs=0.01)


def primaries(*chromaticities: tuple[float, float]) -> NDArray[np.float64]:
    """The matrix from linear RGB with these primaries and the white D65 to CIE XYZ."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in chromaticities]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


BT709 = primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
WIDE: dict[Gamut, NDArray[np.float64]] = {
    "bt2020": primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


@pytest.mark.parametrize("gamut", list(WIDE))
def test_a_wide_gamut_becomes_bt709(gamut: Gamut) -> None:
    """Colours within BT.709, written with wide primaries, are found again."""
    colours = np.random.default_rng(0).uniform(0, 1, (1, 200, 3))
    wide = (colours**2.4) @ (np.linalg.inv(WIDE[gamut]) @ BT709).T
    levels = np.rint(np.clip(wide, 0, 1) ** (1 / 2.4) * 65535).astype(np.uint16)
    found = to_standard(levels, "sdr", gamut) / 65535
    assert np.abs(found - colours)[colours > 0.05].max() < 0.005


@pytest.mark.parametrize("tag", [9, 11, 12])
def test_a_video_of_wide_gamut_is_converted(tag: int, tmp_path: Path) -> None:
    """Its output, tagged BT.709, has more saturated numbers."""
    found = {}
    for primary in (1, tag):
        source, output = tmp_path / f"{primary}.mp4", tmp_path / f"{primary}-out.mp4"
        with av.open(str(source), "w") as container:
            stream: Any = container.add_stream("libx264", rate=25)
            stream.width = stream.height = 64
            stream.codec_context.color_primaries = primary
            stream.codec_context.color_trc = stream.codec_context.colorspace = 1
            for index in range(2):
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), (200, 90, 80), np.uint8), format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        Translator(None, device="cpu").translate_video(source, output, to="b")
        with VideoReader(output) as reader:
            found[primary] = next(iter(reader)).pixels.reshape(-1, 3).mean(axis=0)
        with av.open(str(output)) as written:
            context: Any = written.streams.video[0].codec_context
            assert context.color_primaries == 1
    assert found[1] == pytest.approx((200, 90, 80), abs=3)
    assert found[tag][0] > found[1][0] + 5
    assert found[tag][1] < found[1][1] - 5


def test_a_part_is_cut_out_with_its_sound(make_video: MakeVideo, tmp_path: Path) -> None:
    source, output = make_video(stamps=range(0, 50 * 512, 512)), tmp_path / "out.mp4"
    span = parse_span("0.4", "0:00:01.2")
    report = Translator(None, device="cpu").translate_video(source, output, to="b", span=span)
    with VideoReader(source) as before, VideoReader(output) as after:
        was = [f for f in before if Fraction(2, 5) <= f.seconds < Fraction(6, 5)]
        now = list(after)
    assert report.frames == len(now) == len(was) == 20
    assert [f.seconds for f in now] == [f.seconds - Fraction(2, 5) for f in was]
    assert all(np.abs(a.pixels.astype(int) - b.pixels).mean() < 3 for a, b in zip(was, now, strict=True))
    with av.open(str(output)) as file:
        sound = [float(p.pts * p.time_base) for p in file.demux(audio=0) if p.size and p.pts is not None]
    assert 0 <= sound[0] < 0.03
    assert 0.75 < sound[-1] < 0.8


def test_a_comparison_has_the_source_at_the_left(make_video: MakeVideo, tmp_path: Path, bundle: Any) -> None:
    source, output = make_video(audio=False), tmp_path / "out.mp4"
    Translator(bundle, device="cpu").translate_video(source, output, to="b", compare=True)
    with VideoReader(source) as before, VideoReader(output) as after:
        was, now = list(before), list(after)
    assert now[0].pixels.shape == (48, 128, 3)
    for a, b in zip(was, now, strict=True):
        assert np.abs(a.pixels.astype(int) - b.pixels[:, :64]).mean() < 4
        assert np.abs(a.pixels.astype(int) - b.pixels[:, 64:]).mean() > 20


def test_a_lost_frame_is_concealed_and_reported(tmp_path: Path, street: list[NDArray[np.uint8]]) -> None:
    """Lost frames keep their time and show the nearest frame."""
    source = write(tmp_path / "source.mkv", street, options={"crf": "8", "g": "1", "bf": "0"})
    damaged, output = tmp_path / "damaged.mkv", tmp_path / "out.mp4"
    with av.open(str(source)) as before, av.open(str(damaged), "w") as after:
        target = after.add_stream_from_template(before.streams.video[0])
        for index, packet in enumerate(p for p in before.demux(video=0) if p.size):
            copy = av.Packet(bytes(20) if index in (0, 4, 5, 9) else bytes(packet))
            copy.stream, copy.pts, copy.dts, copy.time_base = target, packet.pts, packet.dts, packet.time_base
            after.mux(copy)
    report = Translator(None, device="cpu").translate_video(damaged, output, to="b")
    assert report.concealed == 4
    assert "4 frames could not be decoded: the nearest intact frame is shown instead" in report.notices
    with VideoReader(source) as before, VideoReader(output) as after:
        was, now = list(before), list(after)
    assert [f.seconds for f in now] == [f.seconds for f in was]
    shown = [min(range(10), key=lambda n: float(np.abs(was[n].pixels.astype(int) - f.pixels).mean())) for f in now]
    assert shown == [1, 1, 2, 3, 3, 6, 6, 7, 8, 8]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_damaged_films_with_sound(suffix: str, tmp_path: Path, street: list[NDArray[np.uint8]]) -> None:
    """Each gives a good output or a one-line error, and leaves no other file; `tests/fuzz` has all other containers."""
    small = [np.ascontiguousarray(frame[:64, :96]) for frame in street]
    data = write(tmp_path / f"good{suffix}", small, audio=True).read_bytes()
    rng = random.Random(suffix)
    translator = Translator(None, device="cpu")
    settings = TranslateSettings(preset="ultrafast")
    outcomes = {"good": 0, "refused": 0}
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        source, output = folder / f"source{suffix}", folder / "out.mp4"
        source.write_bytes(spoilt(data, rng))
        error = ""
        try:
            report = translator.translate_video(source, output, to="b", settings=settings)
        except RecycleError as refusal:
            error = str(refusal)
        outcomes["refused" if error else "good"] += 1
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        if error:
            assert "\n" not in error
            assert left == [source.name], (number, error)
            continue
        assert left == ["out.mp4", source.name]
        with VideoReader(output) as reader:
            assert sum(1 for _ in reader) == report.frames > 0
            assert reader.damaged == 0
    assert min(outcomes.values()) > 5, outcomes
