"""What an output is said to hold can be read from it again; what is lost is said before the work."""

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import pytest

from recycle.config import TranslateSettings
from recycle.translation.render import RenderReport, foresee
from recycle.translation.translator import Translator

FAST = TranslateSettings(preset="ultrafast")
VP9 = TranslateSettings(codec="vp9", preset="8")
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def make(path: Path, *arguments: str, seconds: float = 0.4) -> Path:
    """A small video with sound by FFmpeg; `arguments` say how it is encoded."""
    picture = ("-f", "lavfi", "-i", f"testsrc=size=32x32:rate=25:duration={seconds}")
    sound = ("-f", "lavfi", "-i", f"sine=duration={seconds}")
    command = [FFMPEG, "-loglevel", "error", "-y", *picture, *sound, *arguments, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def translate(source: Path, output: Path, settings: TranslateSettings = FAST) -> RenderReport:
    return Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings)


def with_data(source: Path, path: Path, codec: str) -> Path:
    """`source` with three packets of data that have no duration."""
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        targets = {s.index: after.add_stream_from_template(s) for s in before.streams}
        data: Any = after.add_data_stream(codec)
        data.time_base = Fraction(1, 90000)
        for packet in before.demux():
            if packet.size:
                packet.stream = targets[packet.stream.index]
                after.mux(packet)
        for index in range(3):
            own = av.Packet(bytes.fromhex("060E2B34020B01010E01030101000000") + b"\x03abc")
            own.stream, own.time_base = data, data.time_base
            own.pts = own.dts = index * 9000
            after.mux(own)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(("codec", "name"), [("timed_id3", "timed_id3"), ("klv", "klv"), ("scte_35", "bin_data")])
def test_data_that_no_reader_finds_again_is_left_out_and_told(
    tmp_path: Path, codec: str, name: str, suffix: str
) -> None:
    plain = make(tmp_path / "plain.ts", "-c:v", "mpeg2video", "-c:a", "mp2")
    source, output = with_data(plain, tmp_path / "source.ts", codec), tmp_path / f"out{suffix}"
    container = {".mkv": "matroska"}.get(suffix, suffix[1:])
    told = foresee(source, output, FAST)
    assert [notice for notice in told if "stream 2" in notice] == [
        f"stream 2 (data, {name}) is left out: {container} cannot hold it"
    ]
    assert translate(source, output).lost == ()
    with av.open(str(output)) as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]


def test_data_that_readers_find_stay(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mp4", "-c:v", "mpeg4", "-c:a", "aac")
    source, output = with_data(plain, tmp_path / "source.mp4", "bin_data"), tmp_path / "out.mp4"
    assert translate(source, output).notices == ()
    with av.open(str(source)) as before, av.open(str(output)) as after:
        sent, received = ([bytes(p) for p in f.demux(f.streams.data[0]) if p.size] for f in (before, after))
    assert received == sent != []
