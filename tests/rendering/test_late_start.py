"""A clock that starts late is shifted to 0; a start within the first seconds is kept."""

import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import pytest

from recycle.config import TranslateSettings
from recycle.rendering.prepare import foresee
from recycle.translation.translator import Translator
from tests import warm

FAST = TranslateSettings(preset="ultrafast")
VP9 = TranslateSettings(codec="vp9", preset="8")
SUBTITLES = "1\n00:00:00,200 --> 00:00:00,700\nHello\n"


def record(path: Path, offset: str, *more: str, inputs: tuple[str, ...] = ()) -> Path:
    """A second of video and sound whose clock starts at `offset` seconds."""
    source = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1", *inputs)
    codecs = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, *codecs, *more]
    subprocess.run([*command, "-output_ts_offset", offset, str(path)], check=True, stdin=subprocess.DEVNULL)
    return path


def starts(path: Path) -> dict[str, Fraction]:
    """The first timestamp of every kind of stream, in seconds."""
    first: dict[str, Fraction] = {}
    with av.open(str(path)) as file:
        for packet in file.demux():
            if packet.pts is not None and packet.size:
                time = packet.pts * packet.time_base
                first[packet.stream.type] = min(time, first.get(packet.stream.type, time))
    return first


def translate(source: Path, output: Path, settings: TranslateSettings = FAST) -> tuple[str, ...]:
    return Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings).notices


def moved(notices: tuple[str, ...] | list[str]) -> list[str]:
    return [notice for notice in notices if "--timestamps source" in notice]


@pytest.fixture(scope="module")
def broadcast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("late") / "tv.ts", "60000")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_broadcast_starts_at_0(broadcast: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"tv{suffix}"
    settings = VP9 if suffix == ".webm" else FAST
    said = moved(foresee(broadcast, output, settings))
    assert len(said) == 1
    assert "starts at 60001" in said[0]
    assert moved(translate(broadcast, output, settings)) == said
    before, after = starts(broadcast), starts(output)
    with av.open(str(output)) as file:
        assert (file.duration or 0) / 1e6 == pytest.approx(1.05, abs=0.05)
    assert abs(min(after.values())) < Fraction(1, 100 if suffix == ".webm" else 1000)
    exact = Fraction(1, 90000) if suffix in (".mp4", ".mov") else Fraction(1, 1000)
    if suffix != ".webm":  # there the sound is converted, and its encoder begins a little earlier
        assert abs((after["video"] - after["audio"]) - (before["video"] - before["audio"])) <= exact


def test_the_header_of_an_mp4_has_the_length_of_the_film(broadcast: Path, tmp_path: Path) -> None:
    translate(broadcast, tmp_path / "tv.mp4")
    data = (tmp_path / "tv.mp4").read_bytes()
    at = data.index(b"mvhd") + 4
    wide = data[at]
    scale, units = struct.unpack_from(">IQ" if wide else ">II", data, at + (20 if wide else 12))
    assert units / scale < 1.2
    for at in [at for at in range(len(data)) if data[at : at + 4] == b"elst"]:
        assert struct.unpack_from(">I", data, at + 12)[0] / scale < 1.2  # no empty edit of hours


def test_original_timestamps_are_kept_on_request(broadcast: Path, tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        output = tmp_path / f"tv{suffix}"
        notices = translate(broadcast, output, FAST.model_copy(update={"timestamps": "source"}))
        assert not moved(notices)
        after = starts(output)
        assert all(abs(after[kind] - start) < Fraction(1, 500) for kind, start in starts(broadcast).items())


@pytest.mark.parametrize(("offset", "moves"), [("9.9", False), ("10", True), ("0.4", False)])
def test_small_delays_are_kept(tmp_path: Path, offset: str, moves: bool) -> None:
    source = record(tmp_path / "source.mkv", offset)
    notices = translate(source, tmp_path / "out.mkv")
    assert bool(moved(notices)) == moves
    by = Fraction(offset) if moves else 0
    assert starts(tmp_path / "out.mkv") == {kind: start - by for kind, start in starts(source).items()}


def test_the_first_stream_determines_the_shift(tmp_path: Path) -> None:
    """Video that starts after 12 s of sound is not a late clock."""
    source, half = tmp_path / "source.mkv", record(tmp_path / "late.mkv", "12")
    sound = ("-f", "lavfi", "-i", "sine=d=14")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-copyts", "-i", str(half), *sound, "-map", "0:v"]
    subprocess.run([*command, "-map", "1:a", "-c:v", "copy", "-c:a", "aac", str(source)], check=True)
    assert not moved(translate(source, tmp_path / "out.mkv"))
    assert starts(tmp_path / "out.mkv") == starts(source)


def test_subtitles_and_chapters_move_with_the_picture(tmp_path: Path) -> None:
    (tmp_path / "words.srt").write_text(SUBTITLES)
    times = {"Before": (500, 900), "Across": (3_590_000, 3_600_400), "Within": (3_600_400, 3_600_900)}
    chapters = [f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={a}\nEND={b}\ntitle={name}" for name, (a, b) in times.items()]
    (tmp_path / "chapters.txt").write_text("\n".join([";FFMETADATA1", *chapters, ""]))
    inputs = ("-i", str(tmp_path / "words.srt"), "-i", str(tmp_path / "chapters.txt"))
    maps = ("-map", "0:v", "-map", "1:a", "-map", "2:s", "-map_chapters", "3", "-c:s", "srt")
    source = record(tmp_path / "source.mkv", "3600", *maps, inputs=inputs)
    with av.open(str(source)) as file:
        assert len(file.chapters()) == 3
    for suffix in (".mkv", ".mp4"):
        output = tmp_path / f"out{suffix}"
        assert moved(translate(source, output))
        assert starts(output)["video"] == 0
        assert starts(output)["subtitle"] == pytest.approx(0.2) or suffix == ".mp4"  # which fills the gap before it
        with av.open(str(output)) as file:
            kept: Any = file.chapters()
        assert [chapter["metadata"]["title"] for chapter in kept] == ["Across", "Within"]  # the other is over before 0
        assert [float(c["start"] * c["time_base"]) for c in kept] == pytest.approx([0, 0.4], abs=0.002)
        assert [float(c["end"] * c["time_base"]) for c in kept] == pytest.approx([0.4, 0.9], abs=0.002)


def test_reordered_frames_without_a_stated_start_are_shifted(tmp_path: Path) -> None:
    source = tmp_path / "source.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=0.12", "-c:v", "libx264", "-bf", "3")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *picture, "-output_ts_offset", "20", str(source)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    with av.open(str(source)) as file:
        assert file.streams.video[0].start_time is None
    for suffix in (".mp4", ".mkv"):
        assert len(moved(translate(source, tmp_path / f"out{suffix}"))) == 1
        assert starts(tmp_path / f"out{suffix}") == {"video": 0}


def test_changing_the_setting_keeps_finished_work(broadcast: Path) -> None:
    """Interrupted work continues with the other setting."""
    from recycle.rendering.prepare import render_key
    from recycle.rendering.span import WHOLE
    from recycle.video.kinds import open_source

    other = FAST.model_copy(update={"timestamps": "source"})
    source = open_source(broadcast)
    assert render_key(source, {}, FAST, WHOLE, False) == render_key(source, {}, other, WHOLE, False)


def test_the_command_line_can_keep_the_clock(broadcast: Path, tmp_path: Path) -> None:
    for name, options in (("moved.mp4", []), ("kept.mp4", ["--timestamps", "source"])):
        words = ("translate", broadcast, tmp_path / name, "--model", "identity", "--to", "b", *options)
        result = warm.run(*warm.RECYCLE, *words)
        assert result.returncode == 0, result.stderr
        assert ("--timestamps source" in result.stdout) == (not options)
        assert (starts(tmp_path / name)["video"] > 60_000) == bool(options)
