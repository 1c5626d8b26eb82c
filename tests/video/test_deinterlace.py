"""Interlaced frames are deinterlaced wherever they begin; progressive ones stay as they are, bit for bit."""

import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import ExtractSettings, TranslateSettings
from recycle.dataset.extract import extract
from recycle.translation.translator import Translator
from recycle.video.colour import RgbConverter
from recycle.video.decode import VideoReader
from recycle.video.probe import probe

Films = Callable[[Sequence[str]], Path]
_WAVES = "nullsrc=s=64x48:r={}:d=0.4,geq=lum='128+100*sin((X+8*N)/6)':cb=128:cr=128"
_KINDS = {
    "p": _WAVES.format(25),
    "i": f"{_WAVES.format(50)},tinterlace=interleave_top,setfield=tff",
}
"""Ten frames each, progressive and interlaced."""


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Films:
    """A film of pieces, each ten frames of ProRes: 'p' or 'i'."""
    folder = tmp_path_factory.mktemp("interlaced")
    pieces = {}
    for kind, source in _KINDS.items():
        pieces[kind] = folder / f"{kind}.mov"
        flags = ["-flags", "+ildct"] if kind == "i" else []
        _ffmpeg("-f", "lavfi", "-i", source, "-c:v", "prores_ks", *flags, str(pieces[kind]))

    def make(kinds: Sequence[str]) -> Path:
        path = folder / f"film-{''.join(kinds)}.mov"
        if not path.exists():
            _join([pieces[kind] for kind in kinds], path)
        return path

    return make


def _join(pieces: Sequence[Path], path: Path) -> None:
    with av.open(str(path), "w") as film:
        stamp, target = 0, None
        for piece in pieces:
            with av.open(str(piece)) as file:
                stream = file.streams.video[0]
                target = target or film.add_stream_from_template(stream)
                for old in file.demux(stream):
                    if old.size:
                        packet = av.Packet(bytes(old))
                        packet.pts = packet.dts = stamp
                        packet.time_base, packet.duration = Fraction(1, 25), 1
                        packet.is_keyframe, packet.stream = old.is_keyframe, target
                        film.mux(packet)
                        stamp += 1


def _ffmpeg(*words: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *words]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def combing(pixels: NDArray[np.unsignedinteger]) -> float:
    green = pixels[..., 1].astype(int)
    return float(np.abs(2 * green[1:-1] - green[:-2] - green[2:]).mean())


def stored(path: Path) -> list[NDArray[np.unsignedinteger]]:
    """The decoded frames in RGB, as they are stored."""
    with av.open(str(path)) as file:
        return [RgbConverter()(frame, width=64, height=48) for frame in file.decode(video=0)]


@pytest.mark.parametrize("kinds", ["pi", "ip", "pip", "ppii", "iii"])
def test_interlaced_frames_are_deinterlaced_wherever_they_begin(film: Films, kinds: str) -> None:
    path = film(kinds)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert reader.deinterlaced == 10 * kinds.count("i")
        assert reader.interlaced is (kinds[0] == "i")
    raw = stored(path)
    assert len(frames) == len(raw) == 10 * len(kinds)
    for n, (frame, as_stored) in enumerate(zip(frames, raw, strict=True)):
        if kinds[n // 10] == "i":
            assert combing(frame.pixels) < 0.2 * combing(as_stored)


def test_progressive_frames_stay_as_they_are_bit_for_bit(film: Films) -> None:
    with VideoReader(film("p")) as alone, VideoReader(film("pip")) as mixed:
        wanted = [frame.pixels for frame in alone]
        got = [frame.pixels for frame in mixed]
    for n in range(10):
        np.testing.assert_array_equal(got[n], wanted[n])
        np.testing.assert_array_equal(got[20 + n], wanted[n])


def test_the_frame_before_an_interlaced_one_is_used(film: Films) -> None:
    """The first interlaced frame of a run looks as if the whole film went through FFmpeg's filter."""
    with av.open(str(film("pi"))) as file:
        decoded = list(file.decode(video=0))
    graph, second = av.filter.Graph(), Fraction(1, 25)
    source = graph.add_buffer(width=64, height=48, format=decoded[0].format, time_base=second)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=all"), graph.add("buffersink")).configure()
    for n, frame in enumerate(decoded):
        frame.pts = n
        graph.push(frame)
    graph.push(None)
    theirs = [graph.pull() for _ in range(20)]
    with VideoReader(film("pi")) as reader:
        ours = list(reader)
    for n in range(10, 20):
        wanted = theirs[n]
        assert isinstance(wanted, av.VideoFrame)
        np.testing.assert_array_equal(ours[n].pixels, RgbConverter()(wanted, width=64, height=48))


@pytest.mark.parametrize("kinds", ["ipip", "piip"])
def test_reading_from_the_middle_gives_the_same_frames(film: Films, kinds: str) -> None:
    path = film(kinds)
    with VideoReader(path) as reader:
        whole = [(frame.pts, frame.pixels) for frame in reader]
        index = reader.index()
        assert index is not None
        stamps = index.stamps
        jumps = 0
        for first in range(6, 40, 3):
            entry = index.entry(stamps[first - 1])
            jumps += entry is not None
            frames = list(reader.read(start=stamps[first - 1], end=stamps[min(first + 4, 39)], entry=entry))[1:]
            for frame, (pts, pixels) in zip(frames, whole[first:], strict=False):
                assert frame.pts == pts
                np.testing.assert_array_equal(frame.pixels(), pixels)
        assert jumps > 5


def test_it_is_said(film: Films, tmp_path: Path) -> None:
    path = film("pip")
    assert "interlaced in parts (10 of 30 frames): these are deinterlaced" in probe(path).notices
    settings = TranslateSettings(preset="ultrafast")
    identity = Translator.from_pretrained("identity")
    report = identity.translate_video(path, tmp_path / "o.mp4", to="b", settings=settings)
    assert "the source is interlaced in parts: these frames were deinterlaced" in report.notices
    assert report.frames == 30
    extracted = extract([path], tmp_path / "frames", ExtractSettings(short_side=None), workers=1)
    assert any("deinterlaced 10 interlaced frames" in notice for notice in extracted.notices)
    assert not any("interlaced" in notice for notice in probe(film("p")).notices)
