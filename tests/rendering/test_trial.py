"""Streams that an output cannot hold are known before the work; later failures never lose the video."""

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.cli import main
from recycle.config import TranslateSettings, parse_pipeline
from recycle.errors import OutputError
from recycle.events import Event, Job, Notice
from recycle.rendering.prepare import foresee
from recycle.rendering.render import RenderReport
from recycle.rendering.span import parse_span
from recycle.rendering.timecode import advance, find_timecode
from recycle.run_folder import RunFolder
from recycle.runs.pipeline import run
from recycle.runs.scoring import foresee_tests
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from tests.jobs import saying

FAST = TranslateSettings(preset="ultrafast")
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def make(path: Path, *arguments: str, rate: str = "25", seconds: float = 0.6, sound: str = "sine=440") -> Path:
    """A small video by FFmpeg; `arguments` say how it is encoded."""
    picture = f"testsrc=size=32x32:rate={rate}:duration={seconds}"
    inputs = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"{sound}:duration={seconds}")
    command = [FFMPEG, "-loglevel", "error", "-y", *inputs, *arguments, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def translate(source: Path, output: Path, **options: Any) -> RenderReport:
    report = Translator(None, device="cpu").translate_video(source, output, to="b", settings=FAST, **options)
    with VideoReader(source) as reader:
        assert options or report.frames == sum(1 for _ in reader)
    return report


def samples(path: Path) -> np.ndarray:
    """The sound of a file as mono float32 at 48 kHz, in the container's order."""
    with av.open(str(path)) as file:
        resampler = av.AudioResampler("flt", "mono", 48000)
        frames = [f for packet in file.demux(audio=0) for f in file.streams.audio[0].decode(packet)]
        parts = [part for frame in [*frames, None] for part in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray().ravel() for part in parts])


def pitch(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * 48000 / len(sound))


def of_streams(report: RenderReport) -> list[str]:
    return [notice for notice in report.notices if not notice.startswith(("times are rounded", "all times are"))]


RECORDINGS = {
    "camera.avi": ("-c:v", "mjpeg", "-c:a", "pcm_s16le", "-ac", "2", "-ar", "44100"),
    "compact.avi": ("-c:v", "mjpeg", "-c:a", "pcm_u8", "-ac", "1", "-ar", "11025"),
    "phone.avi": ("-c:v", "mjpeg", "-c:a", "pcm_alaw", "-ac", "1", "-ar", "8000"),
    "adpcm.avi": ("-c:v", "mjpeg", "-c:a", "adpcm_ms", "-ac", "2", "-ar", "22050"),
    "studio.mkv": ("-c:v", "mjpeg", "-c:a", "pcm_s24le", "-ac", "6", "-ar", "96000"),
    "clip.wmv": ("-c:v", "wmv2", "-c:a", "wmav2", "-ac", "2", "-ar", "44100"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", RECORDINGS)
def test_sound_without_a_layout_is_heard_in_the_output(tmp_path: Path, name: str, suffix: str) -> None:
    """As in AVI and WMV files of cameras, which state only the number of channels."""
    source, output = make(tmp_path / name, *RECORDINGS[name]), tmp_path / f"out{suffix}"
    with av.open(str(source)) as file:
        layout, channels = file.streams.audio[0].layout.name, file.streams.audio[0].channels
        assert layout == f"{channels} channels"
    told: list[str] = []
    report = translate(source, output, job=saying(told))
    assert report.lost == ()
    assert told == list(report.notices)
    assert all("is converted to" in notice for notice in of_streams(report))
    sound = samples(output)
    assert abs(len(sound) / 48000 - 0.6) < 0.08
    assert pitch(sound) == pytest.approx(440, abs=4)
    with av.open(str(output)) as file:
        assert file.streams.audio[0].channels == channels


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("rate", [8000, 11025, 22254, 37800, 96000, 192000])
def test_sound_at_any_rate_is_heard_in_the_output(tmp_path: Path, rate: int, suffix: str) -> None:
    source = make(tmp_path / "source.nut", "-c:v", "mjpeg", "-c:a", "pcm_s16be_planar", "-ar", str(rate), "-ac", "2")
    settings = TranslateSettings(codec="vp9", preset="8") if suffix == ".webm" else FAST
    report = Translator(None, device="cpu").translate_video(source, tmp_path / f"o{suffix}", to="b", settings=settings)
    assert report.lost == ()
    assert pitch(samples(tmp_path / f"o{suffix}")) == pytest.approx(440, abs=4)


def test_a_stream_rejected_at_the_end_of_the_file_is_reported_before_the_work(tmp_path: Path) -> None:
    """Sound with twelve unnamed channels: the mp4 muxer rejects it only when the file is closed."""
    sound = "anoisesrc=amplitude=0.1:sample_rate=48000"
    wide = ("-filter:a", "pan=12c|" + "|".join(f"c{n}=c0" for n in range(12)), "-c:a", "pcm_s16le")
    source = make(tmp_path / "source.nut", "-c:v", "mjpeg", *wide, sound=sound)
    notice = "stream 1 (audio, pcm_s16le) is left out: mp4 cannot hold it"
    output = tmp_path / "out.mp4"
    foreseen = foresee(source, output, FAST)
    assert [text.partition(";")[0] for text in foreseen] == [notice]
    told: list[tuple[str, bool]] = []

    def observe(event: Event) -> None:
        if isinstance(event, Notice):
            told.append((event.text, (tmp_path / ".out.recycle").exists()))

    report = translate(source, output, job=Job(observe))
    assert told == [(foreseen[0], False)]  # before there is any work
    assert report.lost == ()
    assert translate(source, tmp_path / "out.mkv").lost == ()
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert file.streams.audio[0].channels == 12


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_sound_with_a_custom_channel_order_is_copied_or_reported(tmp_path: Path, suffix: str) -> None:
    """As in film and broadcast. PyAV frees such a layout twice, which would end the process."""
    swapped = ("-filter:a", "aformat=channel_layouts=stereo,channelmap=0|1:FR+FL", "-c:a", "pcm_s16le")
    source, output = make(tmp_path / "source.mov", "-c:v", "mjpeg", *swapped), tmp_path / f"out{suffix}"
    settings = TranslateSettings(codec="vp9", preset="8") if suffix == ".webm" else FAST
    report = Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings)
    gc.collect()
    with av.open(str(source)) as before, av.open(str(output)) as after:
        told = [notice for notice in report.notices if "left out" in notice]
        assert len(after.streams) == 2 - len(told)
        assert len(told) == (suffix == ".webm")
        if not told:
            assert [bytes(p) for p in after.demux(audio=0)] == [bytes(p) for p in before.demux(audio=0)]


def test_sound_that_changes_its_format_is_converted_completely(tmp_path: Path) -> None:
    """As in concatenated recordings: first mono, then stereo at another rate."""
    parts = [
        make(tmp_path / f"{n}.ts", "-c:v", "mpeg2video", "-c:a", "mp2", "-ac", str(channels), "-ar", str(rate))
        for n, (channels, rate) in enumerate([(1, 32000), (2, 48000)])
    ]
    source = tmp_path / "source.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    settings = TranslateSettings(codec="vp9", preset="8")
    report = Translator(None, device="cpu").translate_video(source, tmp_path / "out.webm", to="b", settings=settings)
    assert report.lost == ()
    sound = samples(tmp_path / "out.webm")
    assert len(sound) / 48000 == pytest.approx(1.2, abs=0.15)
    for half in (sound[4800:24000], sound[33600:52800]):
        assert pitch(half) == pytest.approx(440, abs=6)


def timecode_of(path: Path) -> str | None:
    with av.open(str(path)) as file:
        return find_timecode(file.metadata, *(stream.metadata for stream in file.streams))


SOURCES = {
    "camera.mov": ("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    "tape.mxf": ("-c:v", "mpeg2video", "-c:a", "pcm_s16le", "-ar", "48000"),
    "export.mp4": ("-c:v", "mpeg4", "-c:a", "aac"),
    "export.mkv": ("-c:v", "mpeg4", "-c:a", "aac"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", SOURCES)
def test_a_timecode_is_kept(tmp_path: Path, name: str, suffix: str) -> None:
    code = ("-metadata:s:v", "timecode=01:02:03:04") if name.endswith("mkv") else ("-timecode", "01:02:03:04")
    source = make(tmp_path / name, *SOURCES[name], *code)
    output = tmp_path / f"out{suffix}"
    report = translate(source, output)
    assert (of_streams(report), report.lost) == ([], ())
    assert timecode_of(source) == timecode_of(output) == "01:02:03:04"
    with av.open(str(output)) as file:
        assert [stream.type for stream in file.streams][:2] == ["video", "audio"]
    assert translate(output, tmp_path / f"again{suffix}").lost == ()  # its own output is no harder
    assert timecode_of(tmp_path / f"again{suffix}") == "01:02:03:04"


@pytest.mark.parametrize(
    ("rate", "code", "start", "expected"),
    [
        ("25", "01:00:00:00", "0.2", "01:00:00:05"),
        ("24000/1001", "01:00:00:20", "0.25", "01:00:01:02"),
        ("30000/1001", "00:59:59;28", "0.2", "01:00:00;04"),
        ("30000/1001", "00:00:59;29", "0.2", "00:01:00;07"),  # two numbers are left out
    ],
)
@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_the_timecode_of_a_part_is_that_of_its_first_frame(
    tmp_path: Path, rate: str, code: str, start: str, expected: str, suffix: str
) -> None:
    source = make(tmp_path / "source.mov", "-c:v", "mpeg4", "-c:a", "aac", "-timecode", code, rate=rate)
    report = translate(source, tmp_path / f"out{suffix}", span=parse_span(start, None))
    assert report.lost == ()
    assert timecode_of(tmp_path / f"out{suffix}") == expected


@given(st.integers(0, 24 * 107892 - 1), st.integers(0, 24 * 107892))
def test_drop_frame_timecode_counts_every_frame_once(first: int, frames: int) -> None:
    """Against the count of SMPTE ST 12-1: 17982 numbers in ten minutes, of which the first minute has all."""

    def written(number: int) -> str:
        tens, rest = divmod(number % (24 * 107892), 17982)
        minute, count = (0, rest) if rest < 1800 else ((rest - 1800) // 1798 + 1, (rest - 1800) % 1798 + 2)
        hours, minutes = divmod(10 * tens + minute, 60)
        return f"{hours:02}:{minutes:02}:{count // 30:02};{count % 30:02}"

    assert advance(written(first), frames, Fraction(30000, 1001)) == written(first + frames)


def test_an_invalid_timecode_is_left_out_of_a_part_and_reported(tmp_path: Path) -> None:
    source = make(tmp_path / "source.mkv", "-c:v", "mpeg4", "-c:a", "aac", "-metadata:s:v", "timecode=noon")
    report = translate(source, tmp_path / "part.mkv", span=parse_span("0.2", None))
    assert of_streams(report) == ["the timecode noon is left out: it cannot be advanced to the start of the part"]
    assert timecode_of(tmp_path / "part.mkv") is None
    report = translate(source, tmp_path / "whole.mov")
    assert of_streams(report) == ["the timecode noon is left out: it cannot be held by mov"]


def spoil_late(source: Path, path: Path, change: Callable[[int, bytes], bytes]) -> Path:
    """`source` with the data of its sound changed by a function that receives the number of each packet."""
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        targets = {stream.index: after.add_stream_from_template(stream) for stream in before.streams}
        count = 0
        for packet in before.demux():
            if packet.size:
                data = bytes(packet)
                if packet.stream.type == "audio" and packet.stream.codec_context.name == "eac3":
                    data, count = change(count, data), count + 1
                copy = av.Packet(data)
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.duration, copy.is_keyframe = packet.duration or 0, packet.is_keyframe
                copy.stream = targets[packet.stream.index]
                after.mux(copy)
    return path


@pytest.fixture(scope="module")
def two_sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "two.mkv"
    both = ("-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:v", "mpeg4", "-c:a:0", "eac3", "-c:a:1", "aac")
    return make(path, *both, seconds=2.4)


def second_sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        stream = next(s for s in file.streams.audio if s.codec_context.name == "aac" and s.index == 2)
        return [bytes(packet) for packet in file.demux(stream) if packet.size]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_stream_that_cannot_be_copied_to_its_end_is_converted(tmp_path: Path, two_sounds: Path, suffix: str) -> None:
    """The mp4 muxer rejects one packet after those of the trial; video and other sound are complete."""

    def another(number: int, data: bytes) -> bytes:
        """The packet as one of a second programme, by its `substreamid` (ETSI TS 102 366, E.1.2.2)."""
        return bytes([*data[:2], data[2] & 0b11000111 | 0b1000, *data[3:]]) if number == 60 else data

    source = spoil_late(two_sounds, tmp_path / "source.mkv", another)
    output = tmp_path / f"out{suffix}"
    assert foresee(source, output, FAST) == []
    report = translate(source, output)
    assert report.lost == ()
    assert report.notices
    assert len(samples(output)) / 48000 == pytest.approx(2.4, abs=0.1)
    assert second_sound(output) == second_sound(source)


def test_a_lost_stream_keeps_the_video_and_sets_the_exit_code(
    tmp_path: Path, two_sounds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)

    def noise(number: int, data: bytes) -> bytes:
        return data if number < 12 else random.integers(0, 256, len(data), np.uint8).tobytes()

    folder = tmp_path / "in"
    folder.mkdir()
    spoil_late(two_sounds, folder / "bad.mkv", noise)
    bad = (folder / "bad.mkv").rename(folder / "bad.mp4")  # the suffix chooses that of the output
    make(folder / "good.mp4", "-c:v", "mpeg4", "-c:a", "aac")
    assert foresee(bad, tmp_path / "one.mp4", FAST) == []
    out = tmp_path / "out"
    call = ["translate", "--model", "identity", "--to", "b", "--preset", "ultrafast"]
    command = [sys.executable, "-m", "recycle", *call, str(folder), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr.endswith("lost: bad.mp4: stream 1 (audio, eac3)\n")
    for source, output, name in ((folder, out, "bad.mp4: "), (bad, tmp_path / "one.mp4", "")):
        monkeypatch.setattr(sys, "argv", ["recycle", *call, str(source), str(output)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 3
        assert capsys.readouterr().err.endswith(f"lost: {name}stream 1 (audio, eac3)\n")
    entries = json.loads((out / "translate.json").read_text())["files"]
    assert {name: (entry["state"], bool(entry["lost"])) for name, entry in entries.items()} == {
        "bad.mp4": ("done", True),
        "good.mp4": ("done", False),
    }
    assert any("could not be carried over" in notice for notice in entries["bad.mp4"]["notices"])
    for output in (tmp_path / "one.mp4", out / "bad.mp4"):
        with VideoReader(bad) as before, VideoReader(output) as after:
            assert [frame.seconds for frame in after] == [frame.seconds for frame in before]
        assert second_sound(output) == second_sound(bad)


def test_a_run_predicts_the_notices_of_its_test_clips(tmp_path: Path) -> None:
    """They are reported before training, which takes hours."""
    clip = make(tmp_path / "clip.wmv", "-c:v", "wmv2", "-c:a", "wmav2")
    footage = {"a": [clip], "b": [clip], "test_a": [clip]}
    task = parse_pipeline({"footage": footage, "translate": {"codec": "vp9"}}, where="test")
    said: list[str] = []
    foresee_tests(task.footage, FAST, RunFolder(tmp_path / "run"), job=saying(said))
    assert any(text.startswith("clip.wmv: stream 1 (audio, wmav2) is converted to aac") for text in said)
    task = parse_pipeline({"footage": footage, "translate": {"codec": "prores"}}, where="test")
    with pytest.raises(OutputError, match="mp4 does not hold prores"):
        run(task, tmp_path / "run")
    assert not (tmp_path / "run" / "frames").exists()
