"""Everything that is carried over can be read back; losses are reported before the work."""

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import pytest
from av.stream import Disposition

from recycle.config import TranslateSettings
from recycle.rendering.prepare import foresee
from recycle.rendering.render import RenderReport
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
def test_data_that_cannot_be_read_back_is_left_out_and_reported(
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


def test_data_that_can_be_read_back_is_kept(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mp4", "-c:v", "mpeg4", "-c:a", "aac")
    source, output = with_data(plain, tmp_path / "source.mp4", "bin_data"), tmp_path / "out.mp4"
    assert translate(source, output).notices == ()
    with av.open(str(source)) as before, av.open(str(output)) as after:
        sent, received = ([bytes(p) for p in f.demux(f.streams.data[0]) if p.size] for f in (before, after))
    assert received == sent != []


LABELS = (
    *("-map", "0:v", "-map", "1:a", "-map", "1:a", "-c:v", "mpeg4", "-c:a", "libopus"),
    *("-metadata:s:v", "title=Angle", "-metadata:s:a:0", "language=deu", "-metadata:s:a:0", "title=Kommentar"),
    *("-metadata:s:a:1", "language=zho", "-disposition:a:1", "hearing_impaired+forced"),
    *("-metadata", "MYTAG=hello", "-metadata", "title=Film"),
)
GERMAN, CHINESE = {"deu", "ger"}, {"zho", "chi"}


@pytest.mark.parametrize(
    ("suffix", "lost"),
    [
        (".mkv", ""),
        (".webm", "hearing_impaired of stream 2 (audio, opus)"),
        (".mp4", "tag MYTAG of the file"),
        (".mov", "forced, hearing_impaired of stream 2 (audio, opus); tag MYTAG of the file"),
    ],
)
def test_labels_are_kept_or_reported(tmp_path: Path, suffix: str, lost: str) -> None:
    source, output = make(tmp_path / "source.mkv", *LABELS), tmp_path / f"out{suffix}"
    settings = VP9 if suffix == ".webm" else FAST
    container = {".mkv": "matroska"}.get(suffix, suffix[1:])
    told = [notice for notice in foresee(source, output, settings) if notice.startswith("labels")]
    assert told == ([f"labels that {container} cannot hold are left out: {lost}"] if lost else [])
    assert [n for n in translate(source, output, settings).notices if n.startswith("labels")] == told
    with av.open(str(output)) as file:
        first, second = file.streams.audio
        assert first.language in GERMAN
        assert second.language in CHINESE
        names = [stream.metadata.get("title") or stream.metadata.get("name") for stream in (*file.streams.video, first)]
        assert names == ["Angle", "Kommentar"]
        if suffix in (".mp4", ".mov"):  # which players show
            assert first.metadata["handler_name"] == "Kommentar"
        kept = [role for role in ("forced", "hearing_impaired") if second.disposition & Disposition[role]]
        assert [role for role in kept if role in lost] == []
        assert file.metadata["title"] == "Film"
        assert {key.lower() for key in file.metadata}.isdisjoint({"mytag"}) == ("MYTAG" in lost)


def test_a_language_unknown_to_quicktime_is_reported(tmp_path: Path) -> None:
    source = make(tmp_path / "source.mkv", "-c:v", "mpeg4", "-c:a", "aac", "-metadata:s:a", "language=mri")
    labels = "labels that mov cannot hold are left out: language mri of stream 1 (audio, aac)"
    assert foresee(source, tmp_path / "out.mov", FAST) == [labels]
    assert foresee(source, tmp_path / "out.mp4", FAST) == []


@pytest.mark.parametrize("language", ["swe", "hrv", "fra", "ces", "jpn"])
def test_a_language_survives_quicktime(tmp_path: Path, language: str) -> None:
    source = make(tmp_path / "source.mkv", "-c:v", "mpeg4", "-c:a", "aac", "-metadata:s:a", f"language={language}")
    for before, after in ((source, tmp_path / "one.mov"), (tmp_path / "one.mov", tmp_path / "two.mp4")):
        assert [notice for notice in translate(before, after).notices if notice.startswith("labels")] == []
    with av.open(str(tmp_path / "two.mp4")) as file:
        assert file.streams.audio[0].language == language


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.avi", "a.flv", "a.mxf", "a.wmv"])
def test_an_ordinary_file_loses_no_label(tmp_path: Path, name: str) -> None:
    codecs = {"a.flv": ("flv", "aac"), "a.mxf": ("mpeg2video", "pcm_s16le"), "a.wmv": ("wmv2", "wmav2")}
    video, sound = codecs.get(name, ("mpeg4", "aac"))
    source = make(tmp_path / name, "-c:v", video, "-c:a", sound, "-ar", "48000" if name == "a.mxf" else "44100")
    for suffix in (".mp4", ".mov", ".mkv"):
        assert [n for n in foresee(source, tmp_path / f"out{suffix}", FAST) if n.startswith("labels")] == []


def with_cover(path: Path, codec: str) -> Path:
    picture = path.with_suffix(".png" if codec == "png" else ".jpg")
    drawn = ("-f", "lavfi", "-i", "testsrc=size=16x16", "-frames:v", "1", "-c:v", codec, "-pix_fmt")
    kind = {"png": ("rgb24", "image/png"), "mjpeg": ("yuvj420p", "image/jpeg")}[codec]
    subprocess.run([FFMPEG, "-loglevel", "error", "-y", *drawn, kind[0], "-f", "image2", str(picture)], check=True)
    if path.suffix == ".mkv":
        cover = ("-attach", str(picture), "-metadata:s:t", f"mimetype={kind[1]}", "-metadata:s:t", "filename=front.img")
        return make(path, "-c:v", "mpeg4", "-c:a", "aac", *cover)
    maps = ("-i", str(picture), "-map", "0:v", "-map", "1:a", "-map", "2:v")
    return make(path, *maps, "-c:v:0", "mpeg4", "-c:v:1", "copy", "-c:a", "aac", "-disposition:v:1", "attached_pic")


def covers(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        pictures = [stream for stream in file.streams.video if stream.disposition & Disposition.attached_pic]
        return [next(bytes(packet) for packet in file.demux(stream) if packet.size) for stream in pictures]


@pytest.mark.parametrize("codec", ["png", "mjpeg"])
@pytest.mark.parametrize("before", [".mkv", ".mp4"])
def test_a_cover_picture_stays_a_cover(tmp_path: Path, before: str, codec: str) -> None:
    source = with_cover(tmp_path / f"source{before}", codec)
    drawn = source.with_suffix(".png" if codec == "png" else ".jpg").read_bytes()
    assert covers(source) == [drawn]
    for suffix in (".mkv", ".mp4"):
        report = translate(source, tmp_path / f"out{suffix}")
        assert (report.lost, [notice for notice in report.notices if "stream" in notice]) == ((), [])
        assert covers(tmp_path / f"out{suffix}") == [drawn]
        with av.open(str(tmp_path / f"out{suffix}")) as file:
            assert len(file.streams) == 3
    told = [notice for notice in foresee(source, tmp_path / "out.mov", FAST) if "stream 2" in notice]
    assert told == [f"stream 2 (video, {codec}) is left out: mov cannot hold it; .mp4 or .m4v or .mkv can"]
