"""Data beside the picture: transparency, closed captions, spherical mapping, stereo mode."""

import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import av
import imageio_ffmpeg
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from PIL import Image

from recycle.config import Codec, TranslateSettings, parse_settings
from recycle.errors import ConfigError, Interrupted, OutputError
from recycle.networks.bundle import Bundle
from recycle.rendering.prepare import foresee
from recycle.rendering.span import Span
from recycle.rendering.work import SEGMENT
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.projection import with_boxes
from recycle.video.sidedata import side_data
from tests import warm
from tests.jobs import interrupted_at

BENEATH = "the source is transparent in parts: the output shows the colours beneath"
KEEPING: dict[str, dict[str, Any]] = {
    ".webm": {"codec": "vp9", "preset": "8"},
    ".mkv": {"codec": "ffv1"},
    ".mov": {"codec": "prores"},
}


def translate(source: Path, output: Path, bundle: Bundle | None = None, **more: Any) -> tuple[str, ...]:
    settings = TranslateSettings(**more.pop("settings", {"preset": "ultrafast"}))
    return Translator(bundle, device="cpu").translate_video(source, output, to="b", settings=settings, **more).notices


def rgba(index: int, width: int = 64, height: int = 48) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A column of transparency that moves to the right, above one that is half transparent."""
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[...] = (200, 60, 30, 255)
    left = index % (width - 16)
    pixels[: height // 2, left : left + 16, 3] = 0
    pixels[height // 2 :, left : left + 16, 3] = 128
    return pixels


def record(path: Path, codec: str, pixel_format: str, frames: int = 6, size: tuple[int, int] = (64, 48)) -> Path:
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=25, options={"cpu-used": "8"} if "vpx" in codec else {})
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(rgba(index, *size), format="rgba").reformat(format=pixel_format)
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def alphas(path: Path) -> list[np.ndarray[Any, Any]]:
    """The alpha channel of every frame, as FFmpeg's decoders show it."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        vp9 = stream.codec_context.codec.canonical_name == "vp9"
        decoder: Any = av.CodecContext.create("libvpx-vp9", "r") if vp9 else stream
        frames = [frame for packet in file.demux(stream) if packet.size for frame in decoder.decode(packet)]
        frames += decoder.decode(None)
        return [frame.to_ndarray(format="rgba")[..., 3] for frame in frames]


def is_tagged(path: Path) -> bool:
    with av.open(str(path)) as file:
        return any(key.lower() == "alpha_mode" for key in file.streams.video[0].metadata)


def images(folder: Path) -> Path:
    folder.mkdir()
    for index in range(5):
        Image.fromarray(rgba(index)).save(folder / f"f{index}.png")
    return folder


SOURCES = {
    "vp9.webm": ("libvpx-vp9", "yuva420p"),
    "prores.mov": ("prores_ks", "yuva444p10le"),
    "qtrle.mov": ("qtrle", "argb"),
    "png.mov": ("png", "rgba"),
    "ffv1.mkv": ("ffv1", "bgra"),
    "gif.gif": ("gif", "bgra"),
}


def make(folder: Path, name: str) -> Path:
    """A source with transparency: a video, an animation or a folder of images."""
    if name == "gif.gif":
        pictures = [Image.fromarray(rgba(index)) for index in range(4)]
        pictures[0].save(folder / name, save_all=True, append_images=pictures[1:], duration=40, disposal=2)
        return folder / name
    if name == "images":
        return images(folder / name)
    return record(folder / name, *SOURCES[name])


@pytest.mark.parametrize("name", [*SOURCES, "images"])
def test_lost_transparency_is_reported_before_the_work(tmp_path: Path, name: str) -> None:
    source, output = make(tmp_path, name), tmp_path / "out.webm"
    settings = TranslateSettings(codec="vp9", preset="8")
    assert foresee(source, output, settings).count(BENEATH) == 1
    assert BENEATH in translate(source, output, settings={"codec": "vp9", "preset": "8"})
    assert not is_tagged(output)


@pytest.mark.parametrize("suffix", KEEPING)
@pytest.mark.parametrize("name", [*SOURCES, "images"])
def test_transparency_is_kept(tmp_path: Path, name: str, suffix: str) -> None:
    source, output = make(tmp_path, name), tmp_path / f"out{suffix}"
    notices = translate(source, output, settings=KEEPING[suffix] | {"alpha": "keep"})
    assert not [notice for notice in notices if "transparent" in notice]
    before = [rgba(i)[..., 3] for i in range(5)] if name == "images" else alphas(source)
    after = alphas(output)
    assert len(after) == len(before)
    lossy = suffix == ".webm"
    for one, other in zip(before, after, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).mean() <= (12 if lossy else 1)
        assert other.min() < 30
        assert other.max() > 225


def test_the_network_gets_the_colours_beneath_transparency(tmp_path: Path, bundle: Bundle) -> None:
    """Alpha is carried separately: the colours equal those of a translation without it."""
    source = make(tmp_path, "ffv1.mkv")
    for name, alpha in (("kept.mkv", "keep"), ("dropped.mkv", "drop")):
        translate(source, tmp_path / name, bundle, settings={"codec": "ffv1", "alpha": alpha})
    with VideoReader(tmp_path / "kept.mkv") as kept, VideoReader(tmp_path / "dropped.mkv") as dropped:
        for one, other in zip(kept, dropped, strict=True):
            assert np.abs(one.pixels.astype(int) - other.pixels.astype(int)).max() <= 2
    assert all((one == other).all() for one, other in zip(alphas(source), alphas(tmp_path / "kept.mkv"), strict=True))


@pytest.mark.parametrize("suffix", KEEPING)
def test_transparency_survives_odd_sizes_and_being_compared(tmp_path: Path, suffix: str) -> None:
    source = record(tmp_path / "odd.mkv", "ffv1", "bgra", size=(63, 47))
    settings = KEEPING[suffix] | {"alpha": "keep"}
    translate(source, tmp_path / f"odd{suffix}" if suffix != ".mkv" else tmp_path / "out.mkv", settings=settings)
    after = alphas(tmp_path / f"odd{suffix}" if suffix != ".mkv" else tmp_path / "out.mkv")
    for one, other in zip(alphas(source), after, strict=True):
        assert np.abs(one.astype(int) - other[:47, :63].astype(int)).mean() < 12
    translate(source, tmp_path / f"both{suffix}", settings=settings, compare=True)
    both = alphas(tmp_path / f"both{suffix}")[3]
    assert np.abs(both[:46, :62].astype(int) - both[:46, 63:125].astype(int)).mean() < 12


def test_transparency_is_turned_and_resized_with_the_picture(tmp_path: Path) -> None:
    source, turned = record(tmp_path / "source.mov", "prores_ks", "yuva444p10le"), tmp_path / "turned.mov"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-display_rotation", "90", "-i", str(source)]
    subprocess.run([*command, "-c", "copy", str(turned)], check=True, stdin=subprocess.DEVNULL)
    translate(turned, tmp_path / "out.mkv", settings={"codec": "ffv1", "alpha": "keep"})
    for one, other in zip(alphas(source), alphas(tmp_path / "out.mkv"), strict=True):
        assert np.abs(np.rot90(one).astype(int) - other.astype(int)).mean() < 1
    mixed = tmp_path / "mixed.nut"
    with av.open(str(mixed), "w") as file:
        stream: Any = file.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgba"
        for index, size in enumerate([(64, 48), (128, 96), (32, 24)]):
            other_stream: Any = av.CodecContext.create("png", "w")
            other_stream.width, other_stream.height, other_stream.pix_fmt = *size, "rgba"
            other_stream.time_base = Fraction(1, 25)
            for packet in other_stream.encode(av.VideoFrame.from_ndarray(rgba(0, *size), format="rgba")):
                packet.pts = packet.dts = index
                packet.time_base, packet.stream = Fraction(1, 25), stream
                file.mux_one(packet)
    translate(mixed, tmp_path / "mixed.mkv", settings={"codec": "ffv1", "alpha": "keep"})
    assert [alpha.shape for alpha in alphas(tmp_path / "mixed.mkv")] == [(48, 64)] * 3
    assert all(alpha[2, 4] < 30 and alpha[2, 60] > 225 for alpha in alphas(tmp_path / "mixed.mkv")[::2])


@pytest.mark.parametrize("suffix", KEEPING)
def test_transparency_survives_an_interruption_and_a_cut(tmp_path: Path, suffix: str) -> None:
    source = record(tmp_path / "source.mov", "qtrle", "argb", frames=SEGMENT + 12, size=(32, 32))
    settings = KEEPING[suffix] | {"alpha": "keep"}

    with pytest.raises(Interrupted):
        translate(source, tmp_path / f"out{suffix}", settings=settings, job=interrupted_at(SEGMENT + 6))
    translate(source, tmp_path / f"out{suffix}", settings=settings)
    span = Span(Fraction(10, 25), Fraction(30, 25))
    translate(source, tmp_path / f"cut{suffix}", settings=settings, span=span)
    before = alphas(source)
    for expected, path in ((before, f"out{suffix}"), (before[10:30], f"cut{suffix}")):
        after = alphas(tmp_path / path)
        assert len(after) == len(expected)
        worst = max(np.abs(a.astype(int) - b.astype(int)).mean() for a, b in zip(expected, after, strict=True))
        assert worst < 14
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        unit = file.streams.video[0].time_base or Fraction(1)
        stamps = sorted(packet.pts * unit for packet in file.demux(video=0) if packet.pts is not None and packet.size)
    assert stamps == [Fraction(index, 25) for index in range(SEGMENT + 12)]


@pytest.mark.parametrize("codec", get_args(Codec))
def test_codecs_without_alpha_are_refused_in_one_line(codec: Codec) -> None:
    if codec in ("prores", "ffv1", "vp9"):
        assert parse_settings(TranslateSettings, {"codec": codec, "alpha": "keep"}).alpha == "keep"
        return
    with pytest.raises(
        ConfigError, match=f"the codec {codec} cannot preserve transparency.*; choose 'prores'"
    ) as error:
        parse_settings(TranslateSettings, {"codec": codec, "alpha": "keep"})
    assert "\n" not in str(error.value)


def test_the_command_line_keeps_transparency(tmp_path: Path) -> None:
    source = make(tmp_path, "vp9.webm")
    chosen = ("--to", "b", "--model", "identity", "--alpha", "keep")
    command = (*warm.RECYCLE, "translate", source, tmp_path / "out.mov", *chosen)
    refused = warm.run(*command)
    lines = [line for line in refused.stderr.splitlines() if line.startswith("error:")]
    assert refused.returncode == 1
    assert len(lines) == 1
    assert "'prores'" in lines[0]
    warm.run(*command, "--codec", "prores").check_returncode()
    assert min(alpha.min() for alpha in alphas(tmp_path / "out.mov")) < 30


def test_a_container_that_would_lose_the_alpha_is_refused_before_the_work(tmp_path: Path) -> None:
    source = make(tmp_path, "png.mov")
    with pytest.raises(OutputError, match=r"mp4 does not hold the transparency of vp9; \.mkv or \.webm does"):
        translate(source, tmp_path / "out.mp4", settings={"codec": "vp9", "alpha": "keep"})
    with pytest.raises(ConfigError, match="yuv420p has no alpha channel"):
        translate(source, tmp_path / "out.mkv", settings={"codec": "vp9", "alpha": "keep", "pixel_format": "yuv420p"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["png.mov"]


def test_an_opaque_source_is_written_as_usual(tmp_path: Path) -> None:
    source = record(tmp_path / "source.mkv", "libx264", "yuv420p")
    assert not translate(source, tmp_path / "out.webm", settings=KEEPING[".webm"] | {"alpha": "keep"})[1:]
    assert not is_tagged(tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as file:
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_transparency_that_starts_later_is_reported(tmp_path: Path) -> None:
    """Every palette may contain a transparent colour; only the frames show whether it is used."""
    source = tmp_path / "source.mov"
    with av.open(str(source), "w") as file:
        stream: Any = file.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        for index in range(3):
            image = Image.new("P", (64, 48), 1)
            image.putpalette([200, 30, 60, 10, 90, 250])
            image.info |= {"transparency": 1} if index == 2 else {}
            image.save(tmp_path / "one.png")
            packet = av.Packet((tmp_path / "one.png").read_bytes())
            packet.pts = packet.dts = index
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            file.mux_one(packet)
    assert not foresee(source, tmp_path / "out.mp4", TranslateSettings())
    notices = translate(source, tmp_path / "out.mp4")
    assert notices == ("the source becomes transparent in parts: the output shows the colours beneath",)


def captioned(path: Path, first: int = 0) -> Path:
    """A video with closed captions, one pair of bytes for each frame from `first` on (ATSC A/53, part 4)."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        packets = []
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(rgba(index)[..., :3].copy(), format="rgb24").reformat(format="yuv420p")
            frame.pts = index
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode(None)]:
            pair = bytes((0xFC, 0x94, 0x20 + packet.pts))
            text = b"\xb5\x00\x31GA94\x03\x41\xff" + pair + b"\xff"
            message = b"\x00\x00\x00\x01\x06\x04" + bytes([len(text)]) + text + b"\x80"
            new = av.Packet((message if packet.pts >= first else b"") + bytes(packet))
            new.pts, new.dts, new.time_base = packet.pts, packet.dts, packet.time_base
            new.is_keyframe, new.stream, new.duration = packet.is_keyframe, stream, 1
            file.mux_one(new)
    return path


def captions(path: Path) -> list[int | None]:
    """The second byte of every frame's captions."""
    with av.open(str(path)) as file:
        found = [side_data(frame).get(Type.A53_CC) for frame in file.decode(video=0)]
    return [None if text is None else text[2] for text in found]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_closed_captions_stay_with_their_frames(tmp_path: Path, suffix: str, codec: str) -> None:
    source = captioned(tmp_path / f"source{suffix}")
    for name in ("out.mp4", "out.mkv"):
        notices = translate(source, tmp_path / name, settings={"codec": codec})
        assert not [notice for notice in notices if "captions" in notice]
        assert captions(tmp_path / name) == [0x20 + index for index in range(12)]
    assert frames_differ_little(source, tmp_path / "out.mp4")


def frames_differ_little(one: Path, other: Path) -> bool:
    with VideoReader(one) as before, VideoReader(other) as after:
        pairs = zip(before, after, strict=True)
        return all(np.abs(a.pixels.astype(int) - b.pixels.astype(int)).mean() < 3 for a, b in pairs)


def test_lost_closed_captions_are_reported(tmp_path: Path) -> None:
    line = "data of the video stream is left out: closed captions (h264 and hevc keep them)"
    source = captioned(tmp_path / "source.ts")
    assert line in foresee(source, tmp_path / "out.webm", TranslateSettings(codec="vp9"))
    late = captioned(tmp_path / "late.ts", first=5)
    assert line not in foresee(late, tmp_path / "out.webm", TranslateSettings(codec="vp9"))
    assert line in translate(late, tmp_path / "out.webm", settings=KEEPING[".webm"])
    assert not translate(late, tmp_path / "out.mp4")
    assert captions(tmp_path / "out.mp4") == [None] * 5 + [0x20 + index for index in range(5, 12)]


def box(name: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), name) + b"".join(parts)


SHAPES = {
    "equirectangular": box(b"equi", struct.pack(">5I", 0, 0, 0, 0, 0)),
    "tiled equirectangular": box(b"equi", struct.pack(">5I", 0, 0, 0, 2**30, 2**30)),
    "cubemap": box(b"cbmp", struct.pack(">3I", 0, 0, 0)),
}


def spherical(path: Path, shape: str, stereo: int | None = None) -> Path:
    flat = record(path.with_name("flat.mp4"), "libx264", "yuv420p")
    pose = box(b"prhd", struct.pack(">I3i", 0, 30 << 16, 0, 0))
    boxes = box(b"st3d", bytes(4), bytes([stereo])) if stereo is not None else b""
    boxes += box(b"sv3d", box(b"svhd", bytes(4), b"test\0"), box(b"proj", pose, SHAPES[shape]))
    path.write_bytes(with_boxes(flat.read_bytes(), boxes).getvalue())
    return path


def seen(path: Path) -> str:
    """A file's spherical mapping as reported by FFmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    said = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL).stderr
    lines = [line.partition("Spherical Mapping:")[2] for line in said.splitlines() if "Spherical Mapping:" in line]
    return lines[0].strip() if lines else ""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "codec"), [("o.mp4", "h264"), ("o.mp4", "av1"), ("o.mkv", "hevc"), ("o.webm", "vp9"), ("p.mkv", "prores")]
)
def test_a_spherical_video_stays_spherical(tmp_path: Path, shape: str, name: str, codec: str) -> None:
    source, output = spherical(tmp_path / "source.mp4", shape), tmp_path / name
    expected = seen(source)
    assert shape in expected
    notices = translate(source, output, settings={"codec": codec})
    assert not [notice for notice in notices if "spherical" in notice]
    if name.endswith(".mp4"):  # FFmpeg reads the pose of an equirectangular mp4, and forgets it at the next box
        sphere = source.read_bytes().partition(b"prhd")[2][:24]
        assert output.read_bytes().partition(b"prhd")[2][:24] == sphere
        assert shape in seen(output)
    else:
        assert seen(output) == expected
    assert frames_differ_little(source, output)
    with av.open(str(output)) as file:
        assert file.streams.video[0].average_rate == 25


@pytest.mark.parametrize(("mode", "name"), [(1, "top_bottom"), (2, "left_right")])
def test_a_stereo_video_stays_stereo(tmp_path: Path, mode: int, name: str) -> None:
    source = spherical(tmp_path / "source.mp4", "equirectangular", mode)
    translate(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert file.streams.video[0].metadata["stereo_mode"] == name
    translate(tmp_path / "out.mkv", tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data[data.index(b"st3d") + 8] == mode


def test_a_lost_projection_is_reported(tmp_path: Path) -> None:
    source = spherical(tmp_path / "source.mp4", "cubemap")
    line = "data of the video stream is left out: spherical mapping and stereo mode"
    assert line in foresee(source, tmp_path / "out.mkv", TranslateSettings(codec="ffv1"))
    assert line in foresee(source, tmp_path / "out.mov", TranslateSettings())
    assert line in translate(source, tmp_path / "out.mp4", compare=True)
    assert not seen(tmp_path / "out.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), "-vf", "setsar=2", "-c:v", "libx264"]
    command += ["-strict", "unofficial", str(tmp_path / "wide.mp4")]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    assert line in translate(tmp_path / "wide.mp4", tmp_path / "wide.mkv")
    with VideoReader(tmp_path / "wide.mkv") as reader:
        assert reader.info.sample_aspect_ratio == 2


def test_light_levels_are_dropped_with_the_high_dynamic_range(tmp_path: Path) -> None:
    """They would be wrong for a tone-mapped picture."""
    source = tmp_path / "hdr.mp4"
    light = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=0.4"]
    colour = ["-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"]
    command += ["-c:v", "libx265", "-pix_fmt", "yuv420p10le", *colour, "-x265-params", f"log-level=none:{light}"]
    subprocess.run([*command, str(source)], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    for codec in ("h264", "hevc"):
        notices = translate(source, tmp_path / f"{codec}.mp4", settings={"codec": codec})
        assert "the source has a high dynamic range: it is tone-mapped to the standard range" in notices
        assert not [notice for notice in notices if "light" in notice]
        with av.open(str(tmp_path / f"{codec}.mp4")) as file:
            kinds = side_data(next(file.decode(video=0))).keys()
        assert not kinds & {Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL}


def test_frames_with_data_that_pyav_does_not_know_are_read_upright(tmp_path: Path) -> None:
    """A camera's JPEG frames carry Exif, and with it the way they are turned."""
    source = tmp_path / "camera.mkv"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    Image.fromarray(rgba(0)[..., :3].copy()).save(tmp_path / "one.jpg", exif=exif)
    with av.open(str(source), "w") as file:
        stream: Any = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index in range(3):
            packet = av.Packet((tmp_path / "one.jpg").read_bytes())
            packet.pts = packet.dts = index
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            file.mux_one(packet)
    translate(source, tmp_path / "out.mp4")
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert (reader.info.width, reader.info.height) == (48, 64)


def test_an_opaque_alpha_channel_is_not_transparency(tmp_path: Path) -> None:
    """Most PNG screenshots and renderings have an opaque alpha channel; one image may differ."""
    folder = tmp_path / "png"
    folder.mkdir()
    for index in range(8):
        Image.fromarray(np.full((48, 64, 4), 255, np.uint8)).save(folder / f"{index}.png")
    settings = TranslateSettings(fps="25")
    assert not translate(folder, tmp_path / "opaque.mp4", settings={"fps": "25"})
    Image.fromarray(rgba(2)).save(folder / "2.png")
    assert not foresee(folder, tmp_path / "out.mp4", settings)
    told = "the source becomes transparent in parts: the output shows the colours beneath"
    assert translate(folder, tmp_path / "out.mp4", settings={"fps": "25"}) == (told,)
