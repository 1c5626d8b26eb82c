import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import TranslateSettings
from recycle.errors import FootageError, OutputError, RecycleError
from recycle.events import Event, Job, Progress
from recycle.networks.bundle import Bundle
from recycle.rendering.render import render
from recycle.rendering.stretch import Transform
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.frame import Frame, StreamInfo
from recycle.video.kinds import open_source
from tests import warm

FAST = TranslateSettings(preset="ultrafast", batch_size=4)


class MakeVideo(Protocol):
    def __call__(self, name: str = ..., **options: object) -> Path: ...


@pytest.fixture
def identity() -> Translator:
    return Translator(None, device="cpu")


def times(path: Path) -> list[Fraction]:
    with open_source(path) as reader:
        return [frame.seconds for frame in reader]


def pictures(path: Path) -> NDArray[np.uint8]:
    with open_source(path) as reader:
        return np.stack([frame.pixels for frame in reader])


def other_packets(path: Path) -> list[tuple[str, list[tuple[Fraction, bytes]]]]:
    """Of each stream but the video: its kind, and time and bytes of each packet."""
    found: dict[int, tuple[str, list[tuple[Fraction, bytes]]]] = {}
    with av.open(f"file:{path}", metadata_errors="replace") as container:
        others = [s for s in container.streams if s.type != "video"]
        for packet in container.demux(others) if others else ():
            if packet.size and packet.pts is not None:
                entry = found.setdefault(packet.stream.index, (packet.stream.type, []))
                entry[1].append((packet.pts * packet.time_base, bytes(packet)))
    return [found[index] for index in sorted(found)]


def psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(float) - other.astype(float)) ** 2), 1e-9)))


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(pixels @ np.array([0.2126, 0.7152, 0.0722]))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


VARIABLE = [0, 300, 1100, 1612, 4000, 4001, 6000, 9999]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(
    ("stamps", "time_base"),
    [
        (range(0, 20 * 512, 512), Fraction(1, 12800)),
        (range(0, 20 * 1001, 1001), Fraction(1, 30000)),
        (VARIABLE, Fraction(1, 12800)),
        (range(7000, 17000, 500), Fraction(1, 12800)),
        ([7], Fraction(1, 90000)),
    ],
    ids=["constant", "ntsc", "variable", "late", "single"],
)
def test_timestamps_and_sound_survive_exactly(
    make_video: MakeVideo,
    identity: Translator,
    tmp_path: Path,
    suffix: str,
    stamps: list[int],
    time_base: Fraction,
) -> None:
    source = make_video(stamps=stamps, time_base=time_base)
    output = tmp_path / f"out{suffix}"
    report = identity.translate_video(source, output, to="b", settings=FAST)
    assert times(source) == [stamp * time_base for stamp in stamps]
    assert times(output) == times(source)
    assert other_packets(output) == other_packets(source)
    assert [kind for kind, _ in other_packets(output)] == ["audio", "audio"]
    assert (report.source, report.output, report.frames) == (source, output, len(stamps))
    assert (report.concealed, report.resumed, report.notices) == (0, 0, ())
    assert names(tmp_path) == [output.name, source.name]


def test_rounding_by_matroska_is_reported(make_video: MakeVideo, identity: Translator, tmp_path: Path) -> None:
    source = make_video(audio=False)
    first, second = tmp_path / "first.mkv", tmp_path / "second.mkv"
    report = identity.translate_video(source, first, to="b", settings=FAST)
    assert "rounded to 0.001 s" in report.notices[0]
    assert max(abs(a - b) for a, b in zip(times(first), times(source), strict=True)) <= Fraction(1, 2000)
    report = identity.translate_video(first, second, to="b", settings=FAST)
    assert report.notices == ()
    assert times(second) == times(first)


def test_a_delay_forced_by_the_container_is_reported(
    make_video: MakeVideo, identity: Translator, tmp_path: Path
) -> None:
    """AAC in mp4 starts before 0; Matroska delays everything instead."""
    source = make_video()
    report = identity.translate_video(source, tmp_path / "out.mkv", to="b", settings=FAST)
    late = times(tmp_path / "out.mkv")[0] - times(source)[0]
    assert late > 0
    assert any(f"all times are {float(late):.3f} s later" in notice for notice in report.notices)


def test_a_source_from_before_zero_is_delayed_as_a_whole(
    make_video: MakeVideo, identity: Translator, tmp_path: Path
) -> None:
    """A transport stream whose clock overflows 0.4 s after its start."""
    source = late_clock(make_video(), tmp_path / "source.ts", start=2**33 - 36000)
    assert times(source)[0] < 0
    report = identity.translate_video(source, tmp_path / "out.mp4", to="b", settings=FAST)
    delay = -times(source)[0]
    assert report.notices == (
        f"all times are {float(delay):.3f} s later, because this container cannot hold negative times",
    )
    assert times(tmp_path / "out.mp4") == [time + delay for time in times(source)]
    for (_, before), (_, after) in zip(other_packets(source), other_packets(tmp_path / "out.mp4"), strict=True):
        assert len(before) == len(after) > 10
        gaps = [abs(late - early - delay) for (early, _), (late, _) in zip(before, after, strict=True)]
        assert max(gaps) <= Fraction(1, 40000)


def late_clock(source: Path, path: Path, *, start: int) -> Path:
    """`source` as a transport stream whose times begin at `start`, in units of 1/90000 s."""
    unit = Fraction(1, 90000)
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        targets = {s.index: after.add_stream_from_template(s) for s in before.streams}
        for packet in before.demux():
            if packet.pts is None or packet.dts is None or packet.pts < 0:
                continue
            scale = packet.time_base / unit
            packet.pts, packet.dts = start + round(packet.pts * scale), start + round(packet.dts * scale)
            packet.time_base = unit
            packet.stream = targets[packet.stream.index]
            after.mux(packet)
    return path


def test_metadata_languages_chapters_and_subtitles_are_kept(
    make_video: MakeVideo, identity: Translator, tmp_path: Path
) -> None:
    source = with_extras(make_video(), tmp_path / "extras.mkv")
    output = tmp_path / "out.mkv"
    report = identity.translate_video(source, output, to="b", settings=FAST)
    assert report.notices == ()
    assert other_packets(output) == other_packets(source)
    with av.open(str(source)) as before, av.open(str(output)) as after:
        assert [s.type for s in after.streams] == [s.type for s in before.streams]
        assert [s.type for s in after.streams] == ["video", "audio", "audio", "subtitle", "attachment"]
        assert [s.language for s in after.streams] == [s.language for s in before.streams]
        assert [s.disposition for s in after.streams] == [s.disposition for s in before.streams]
        assert after.metadata["title"] == before.metadata["title"] == "Käse"
        titles = [chapter["metadata"]["title"] for chapter in after.chapters()]
        assert titles == ["One", "Two"]


def test_streams_that_the_container_cannot_hold_are_reported(
    make_video: MakeVideo, identity: Translator, tmp_path: Path
) -> None:
    source = with_extras(make_video(), tmp_path / "extras.mkv")
    report = identity.translate_video(source, tmp_path / "out.mp4", to="b", settings=FAST)
    assert report.notices == (
        "stream 3 (subtitle, srt) is converted to mov_text: mp4 cannot hold it as it is",
        "stream 4 (attachment, unknown codec) is left out: mp4 cannot hold it; .mkv can",
    )
    kept = other_packets(tmp_path / "out.mp4")
    assert [kind for kind, _ in kept if kind != "data"] == ["audio", "audio", "subtitle"]
    lines = next(packets for kind, packets in kept if kind == "subtitle")
    assert [text[2:] for _, text in lines if text[2:]] == [b"one\nat once", b"two"]


def with_extras(source: Path, path: Path) -> Path:
    """`source` as Matroska with subtitles, chapters and an attached file."""
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        targets = {s.index: after.add_stream_from_template(s) for s in before.streams}
        for stream in before.streams:
            targets[stream.index].metadata.update(stream.metadata)
        subtitles = after.add_mux_stream("srt")
        subtitles.time_base = Fraction(1, 1000)
        subtitles.metadata["language"] = "ger"
        after.add_attachment("font.ttf", "application/x-truetype-font", b"abc")
        after.metadata.update(title=before.metadata["title"])
        after.set_chapters(
            [
                {
                    "id": 1,
                    "start": 0,
                    "end": 300,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": "One"},
                },
                {
                    "id": 2,
                    "start": 300,
                    "end": 800,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": "Two"},
                },
            ]
        )
        for packet in before.demux():
            if packet.size:
                packet.stream = targets[packet.stream.index]
                after.mux(packet)
        for start, text in ((100, b"one"), (100, b"at once"), (400, b"two")):
            line = av.Packet(text)
            line.stream, line.time_base = subtitles, Fraction(1, 1000)
            line.pts = line.dts = start
            line.duration = 200
            after.mux(line)
    return path


@pytest.mark.parametrize("size", [(48, 64), (47, 61), (1, 1), (720, 960)])
def test_the_identity_is_visually_lossless_and_shifts_no_colour(
    make_video: MakeVideo, identity: Translator, tmp_path: Path, size: tuple[int, int]
) -> None:
    source = make_video(size=size, stamps=range(0, 3 * 512, 512), audio=False)
    report = identity.translate_video(source, tmp_path / "out.mp4", to="b")
    height, width = size
    before, after = pictures(source), pictures(tmp_path / "out.mp4")
    assert after.shape[1:3] == (height + height % 2, width + width % 2)
    assert bool(report.notices) == any(side % 2 for side in before.shape[1:3])
    after = after[:, : before.shape[1], : before.shape[2]]
    assert psnr(before, after) >= 40
    assert np.abs(before.mean(axis=(0, 1, 2)) - after.mean(axis=(0, 1, 2))).max() < 0.7


def test_the_pixel_aspect_ratio_is_kept(make_video: MakeVideo, bundle: Bundle, tmp_path: Path) -> None:
    source = make_video(aspect=Fraction(4, 3))
    Translator(bundle, device="cpu").translate_video(source, tmp_path / "out.mp4", to="b", settings=FAST)
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert reader.info.sample_aspect_ratio == Fraction(4, 3)
        assert (reader.info.width, reader.info.height) == (64, 48)


def test_a_model_translates_every_frame_of_a_video(make_video: MakeVideo, bundle: Bundle, tmp_path: Path) -> None:
    source, output = make_video(stamps=VARIABLE), tmp_path / "deep" / "er" / "out.mp4"
    translator = Translator(bundle, device="cpu", precision="fp32")
    calls: list[Event] = []
    chosen = FAST.model_copy(update={"smoothing": True, "crf": 1})
    translator.translate_video(source, output, to="b", settings=chosen, job=Job(calls.append))
    assert times(output) == times(source)
    counts = [*range(len(VARIABLE) + 1), len(VARIABLE)]
    progress = [event for event in calls if isinstance(event, Progress)]
    assert progress == [Progress(f"translating {source.name}", n, len(VARIABLE)) for n in counts]
    with open_source(source) as reader:
        expected = np.stack(list(translator.translate_frames(reader, to="b", settings=chosen)))
    assert psnr(luma(expected), luma(pictures(source))) < 20  # the model does change the picture
    assert psnr(luma(expected), luma(pictures(output))) > 28  # its colours are too strong for 4:2:0


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduling policies here")
def test_no_thread_keeps_real_time_priority(make_video: MakeVideo, identity: Translator, tmp_path: Path) -> None:
    """SVT-AV1 sets it whenever it is opened: for the trial, each segment and the header."""
    before = os.sched_getscheduler(0)
    settings = TranslateSettings(codec="av1", preset="12")
    identity.translate_video(make_video(), tmp_path / "out.mkv", to="b", settings=settings)
    assert {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()} == {before}


def test_a_folder_of_images_is_a_source(identity: Translator, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(3):
        assert cv2.imwrite(str(folder / f"{index}.png"), np.full((16, 16, 3), 60 * index, np.uint8))
    identity.translate_video(folder, tmp_path / "out.mp4", to="b", settings=FAST)
    assert times(tmp_path / "out.mp4") == [Fraction(n, 25) for n in range(3)]


@pytest.mark.parametrize(
    ("output", "overwrite", "message"),
    [
        ("exists.mp4", False, "exists.mp4 exists; give --overwrite to replace it"),
        ("source.mp4", True, "source.mp4 is the input itself"),
        ("link.mp4", True, "link.mp4 is the input itself"),
        ("hardlink.mp4", True, "hardlink.mp4 is the input itself"),
        ("out.webm", False, "webm does not hold h264; .mp4 or .m4v or .mov or .mkv does"),
        ("out", False, "its suffix must be one of .mp4 .m4v .mov .mkv .webm"),
        ("folder.mp4", True, "folder.mp4: it is a folder"),
        ("exists.mp4/out.mp4", False, "exists.mp4 is not a folder"),
        ("x" * 300 + ".mp4", False, "cannot write .*: File name too long"),
    ],
)
def test_an_output_that_must_not_be_written_is_an_error(
    make_video: MakeVideo, identity: Translator, tmp_path: Path, output: str, overwrite: bool, message: str
) -> None:
    source = make_video()
    (tmp_path / "exists.mp4").write_bytes(b"old")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(source)
    (tmp_path / "hardlink.mp4").hardlink_to(source)
    before, content = names(tmp_path), source.read_bytes()
    with pytest.raises(OutputError, match=message) as error:
        identity.translate_video(source, tmp_path / output, to="b", settings=FAST, overwrite=overwrite)
    assert "\n" not in str(error.value)
    assert names(tmp_path) == before
    assert source.read_bytes() == content
    assert (tmp_path / "exists.mp4").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_an_error(make_video: MakeVideo, identity: Translator, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        identity.translate_video(make_video(), closed / "out.mp4", to="b")


def test_overwriting_replaces(make_video: MakeVideo, identity: Translator, tmp_path: Path) -> None:
    source = make_video()
    (tmp_path / "out.mp4").write_bytes(b"old")
    identity.translate_video(source, tmp_path / "out.mp4", to="b", settings=FAST, overwrite=True)
    assert times(tmp_path / "out.mp4") == times(source)


@pytest.mark.parametrize("content", [b"", b"just a text", None])
def test_a_source_that_is_not_a_video_leaves_no_file(
    identity: Translator, tmp_path: Path, content: bytes | None
) -> None:
    source = tmp_path / "source.mp4"
    if content is not None:
        source.write_bytes(content)
    before = names(tmp_path)
    with pytest.raises(FootageError) as error:
        identity.translate_video(source, tmp_path / "new" / "out.mp4", to="b")
    assert "\n" not in str(error.value)
    assert names(tmp_path) == before


def test_a_failure_in_the_middle_leaves_the_old_output(make_video: MakeVideo, tmp_path: Path) -> None:
    source, output = make_video(), tmp_path / "out.mp4"
    output.write_bytes(b"old")

    def failing(frames: Iterator[Frame], info: StreamInfo) -> Iterator[NDArray[np.uint8]]:
        for count, frame in enumerate(frames):
            if count == 7:
                raise RecycleError("the seventh")
            yield frame.pixels

    with pytest.raises(RecycleError, match="the seventh"):
        render(source, output, Transform(failing), settings=FAST, overwrite=True)
    assert names(tmp_path) == ["out.mp4", "source.mp4"]
    assert output.read_bytes() == b"old"


def test_a_transform_that_loses_frames_is_an_error(make_video: MakeVideo, tmp_path: Path) -> None:
    def losing(frames: Iterator[Frame], info: StreamInfo) -> Iterator[NDArray[np.uint8]]:
        return (frame.pixels for frame in list(frames)[:-1])

    with pytest.raises(RuntimeError, match="returned 19 pictures for 20 frames"):
        render(make_video(), tmp_path / "out.mp4", Transform(losing), settings=FAST)
    assert names(tmp_path) == ["source.mp4"]


def test_a_damaged_source_gives_its_decodable_frames(
    make_video: MakeVideo, identity: Translator, tmp_path: Path
) -> None:
    source = make_video(stamps=range(0, 60 * 512, 512))
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    source.write_bytes(data)
    report = identity.translate_video(source, tmp_path / "out.mp4", to="b", settings=FAST)
    assert report.frames == len(times(source)) > 20
    assert times(tmp_path / "out.mp4") == times(source)


RUN = """
import sys
from pathlib import Path
from recycle.config import TranslateSettings
from recycle.events import Job, Progress
from recycle.translation.translator import Translator

source, output = map(Path, sys.argv[1:])
def told(event):
    if isinstance(event, Progress) and event.done == 20:
        print("running", flush=True)
report = Translator(None, device="cpu").translate_video(source, output, to="b", job=Job(told),
    settings=TranslateSettings(preset="ultrafast"))
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_ctrl_c_before_the_first_segment_leaves_nothing(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video(stamps=range(0, 400 * 512, 512), size=(240, 320), audio=False)
    process = warm.Process("-c", RUN, source, tmp_path / "out.mp4")
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    assert any(name.startswith(".out") for name in names(tmp_path))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.rstrip().endswith("stopped; nothing is kept yet; run the same command again to continue")
    assert names(tmp_path) == ["source.mp4"]


def test_memory_does_not_grow_with_the_length(make_video: MakeVideo, tmp_path: Path) -> None:
    peaks = []
    for count in (60, 300):
        source = make_video(f"{count}.mp4", stamps=range(0, count * 512, 512), size=(240, 320))
        command = [sys.executable, "-c", RUN, str(source), str(tmp_path / f"out-{count}.mp4")]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    frame = 240 * 320 * 3 / 2**20
    assert peaks[1] - peaks[0] < 100 * frame  # less than half of what the additional frames would take
