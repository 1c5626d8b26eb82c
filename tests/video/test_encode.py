"""What is written plays everywhere, looks the same and keeps its timestamps."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import EncodeSettings
from recycle.errors import OutputError
from recycle.video.codecs import ENCODERS, choose_encoder
from recycle.video.decode import VideoReader
from recycle.video.encode import Picture, VideoEncoder, mp4_options, output_errors, write_video
from recycle.video.source import Reading

Frames = Callable[..., list[NDArray[np.uint8]]]
H264 = choose_encoder(EncodeSettings())


def read(path: Path) -> NDArray[np.uint8]:
    with VideoReader(path) as reader:
        return np.stack([frame.pixels for frame in reader])


def test_a_round_trip_keeps_picture_hue_and_brightness(tmp_path: Path, moving_frames: Frames) -> None:
    frames = moving_frames(12, 320, 240)
    write_video(tmp_path / "a.mp4", frames, fps=25)
    error = read(tmp_path / "a.mp4").astype(np.float64) - np.stack(frames)
    assert 10 * math.log10(255**2 / np.mean(error**2)) >= 38
    assert np.abs(error.mean((0, 1, 2))).max() < 1.0


@pytest.mark.parametrize("lines", [64, 720])
def test_flat_colours_do_not_shift_at_any_height(tmp_path: Path, lines: int) -> None:
    frame = np.empty((lines, 96, 3), np.uint8)
    frame[:, :32], frame[:, 32:64], frame[:, 64:] = (200, 30, 40), (30, 180, 60), (128, 128, 128)
    write_video(tmp_path / "a.mp4", [frame] * 3, fps=25)
    got = read(tmp_path / "a.mp4")[1]
    for column in (16, 48, 80):
        difference = got[lines // 2, column].astype(int) - frame[lines // 2, column]
        assert np.abs(difference).max() <= 2


def test_the_file_is_tagged_and_fast_to_start(tmp_path: Path, moving_frames: Frames) -> None:
    write_video(tmp_path / "a.mp4", moving_frames(5), fps=Fraction(30000, 1001))
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, stream.pix_fmt) == ("h264", "yuv420p")
        tags = (context.colorspace, context.color_range, context.color_primaries, context.color_trc)
        assert tags == (1, 1, 1, 1)
        assert stream.average_rate == Fraction(30000, 1001)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("start", [0, 7])
@pytest.mark.parametrize("varying", [False, True])
@pytest.mark.parametrize(
    "time_base",
    [Fraction(1, 12800), Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 1000), Fraction(1, 25)],
)
def test_timestamps_survive_exactly(
    tmp_path: Path, moving_frames: Frames, time_base: Fraction, start: int, varying: bool
) -> None:
    step = max(1, int(Fraction(1, 25) / time_base))
    jitter = np.random.default_rng(0).integers(0, step + 1, 20) if varying else np.zeros(20, int)
    stamps = [start + i * (step + 1) + int(jitter[i]) for i in range(20)]
    stamps = sorted(set(stamps))
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", container_options=mp4_options(time_base)) as container:
        encoder = VideoEncoder(container, H264, Picture(64, 48, Fraction(25), time_base))
        for pixels, pts in zip(moving_frames(len(stamps)), stamps, strict=True):
            encoder.write(pixels, pts)
        encoder.close()
    with VideoReader(path) as reader:
        assert [frame.seconds for frame in reader] == [pts * time_base for pts in stamps]


@pytest.mark.parametrize(("width", "height"), [(161, 121), (1, 1), (3, 2)])
def test_odd_sizes_are_padded_by_the_last_column_and_row(tmp_path: Path, width: int, height: int) -> None:
    frame = np.full((height, width, 3), 60, np.uint8)
    frame[:, -1] = 180
    write_video(tmp_path / "a.mp4", [frame] * 2, fps=25, settings=EncodeSettings(crf=4))
    got = read(tmp_path / "a.mp4")[0].astype(int)
    assert got.shape[:2] == (height + height % 2, width + width % 2)
    if width % 2:
        assert abs(int(got[0, -1].mean()) - 180) < 12


_TINY = """
import sys
from pathlib import Path
import numpy as np
from recycle.config import EncodeSettings
from recycle.errors import ConfigError
from recycle.video.encode import write_video
codec, depth, *sizes = sys.argv[1:]
for size in sizes:
    width, height = map(int, size.split("x"))
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 256, (height, width, 3)).astype("uint8") for _ in range(3))
    try:
        settings = EncodeSettings(codec=codec, depth=int(depth))
        write_video(Path(f"{size}.mkv"), frames, fps=25, settings=settings)
    except ConfigError as error:
        print(f"{size} {error}", flush=True)
    else:
        print(size, "written", flush=True)
"""
SIZES = [(16, 16), (64, 16), (16, 64), (34, 24), (34, 64), (40, 16), (40, 48), (48, 32), (48, 48), (64, 64)]


@pytest.mark.parametrize("codec", list(ENCODERS))
@pytest.mark.parametrize("depth", [8, 10])
def test_tiny_frames_are_written_or_refused_in_one_line_and_never_end_the_process(
    codec: str, depth: int, tmp_path: Path
) -> None:
    """In a process of its own, because an encoder in C may abort it."""
    if depth not in ENCODERS[codec].formats:
        pytest.skip("it has no such depth")
    sizes = [f"{width}x{height}" for width, height in SIZES]
    command = [sys.executable, "-c", _TINY, codec, str(depth), *sizes]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert len(lines) == len(sizes)
    for (width, height), size, line in zip(SIZES, sizes, lines, strict=True):
        least = ENCODERS[codec].least
        if width >= least[0] and height >= least[1]:
            assert line == f"{size} written"
            assert len(read(tmp_path / f"{size}.mkv")) == 3
        else:
            assert line.startswith(f"{size} {codec} takes frames of at least {least[0]}x{least[1]} pixels, these have")
            assert "choose another codec: h264" in line


def test_sample_aspect_ratio_is_written(tmp_path: Path, moving_frames: Frames) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        encoder = VideoEncoder(container, H264, Picture(64, 48, Fraction(25), Fraction(1, 25), Fraction(4, 3)))
        for index, pixels in enumerate(moving_frames(3)):
            encoder.write(pixels, index)
        encoder.close()
    with VideoReader(path) as reader:
        assert reader.info.sample_aspect_ratio == Fraction(4, 3)


def test_audio_lasts_as_long_as_the_video(tmp_path: Path, moving_frames: Frames) -> None:
    tone = np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000).astype(np.float32) * 0.5
    write_video(tmp_path / "a.mp4", moving_frames(25), fps=25, audio=np.stack([tone, tone], 1))
    with av.open(str(tmp_path / "a.mp4")) as container:
        sound = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    assert abs(sound.shape[1] - 48000) <= 1024
    spectrum = np.abs(np.fft.rfft(sound[0, :32768]))
    assert abs(spectrum.argmax() * 48000 / 32768 - 440) < 3
    assert sound[0].std() == pytest.approx(0.5 / math.sqrt(2), rel=0.1)


def test_frames_are_consumed_one_by_one(tmp_path: Path, moving_frames: Frames) -> None:
    made: list[int] = []

    def frames() -> object:
        for index, pixels in enumerate(moving_frames(3)):
            made.append(index)
            yield pixels
            partial = [p.name for p in tmp_path.iterdir()]
            assert "a.mp4" not in partial

    write_video(tmp_path / "a.mp4", frames(), fps=25)  # type: ignore[arg-type]
    assert made == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_wrong_frames_are_refused(tmp_path: Path, moving_frames: Frames) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_video(tmp_path / "a.mp4", [*moving_frames(1), *moving_frames(1, 32, 32)], fps=25)
    with pytest.raises(OutputError, match="no frames"):
        write_video(tmp_path / "a.mp4", [], fps=25)
    assert list(tmp_path.iterdir()) == []


def test_timestamps_must_increase(tmp_path: Path, moving_frames: Frames) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        encoder = VideoEncoder(container, H264, Picture(64, 48, Fraction(25), Fraction(1, 25)))
        encoder.write(moving_frames(1)[0], 5)
        with pytest.raises(ValueError, match="increase"):
            encoder.write(moving_frames(1)[0], 5)
        encoder.close()


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, moving_frames: Frames) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(ValueError, match="shape"):
        write_video(path, [*moving_frames(1), *moving_frames(1, 32, 32)], fps=25)
    assert path.read_bytes() == b"precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path, moving_frames: Frames) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot write"):
        write_video(tmp_path / "locked" / "a.mp4", moving_frames(1), fps=25)


def test_a_parent_that_is_a_file(tmp_path: Path, moving_frames: Frames) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*a\.mp4"):
        write_video(tmp_path / "file" / "a.mp4", moving_frames(1), fps=25)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from recycle.errors import OutputError
from recycle.video.encode import write_video
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = np.random.default_rng(0)
try:
    frames = (noise.integers(0, 255, (120, 160, 3), dtype=np.uint8) for _ in range(20))
    write_video(Path(sys.argv[1]), frames, fps=25)
except OutputError as error:
    print(str(error).count("\\n"), error)
"""
    call = [sys.executable, "-c", script, str(tmp_path / "a.mp4")]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("0 cannot write")
    assert list(tmp_path.iterdir()) == []


def test_output_errors_pass_others_on(tmp_path: Path) -> None:
    with pytest.raises(KeyError), output_errors(tmp_path):
        raise KeyError("x")


@pytest.mark.parametrize("name", ["a:b.mp4", "-x.mp4", "sp ace 'q\" [1].mp4", "ünï.mkv", "100%03d.mp4"])
def test_hostile_names(tmp_path: Path, moving_frames: Frames, name: str) -> None:
    write_video(tmp_path / name, moving_frames(2), fps=25)
    assert read(tmp_path / name).shape == (2, 48, 64, 3)


@pytest.mark.parametrize("size", [(320, 240), (161, 121)])
@pytest.mark.parametrize("depth", [8, 16])
def test_smaller_frames_are_stretched_to_the_picture(
    tmp_path: Path, size: tuple[int, int], depth: Literal[8, 16]
) -> None:
    """A slow wave of colours, drawn at 80 × 60, is where it is when it is drawn at the picture's size."""

    def wave(width: int, height: int) -> NDArray[np.float64]:
        y, x = np.mgrid[:height, :width]
        u, v = (x + 0.5) / width, (y + 0.5) / height
        return 0.5 + 0.35 * np.stack([np.sin(7 * u), np.cos(5 * v), np.sin(4 * (u + v))], axis=2)

    levels = 2**depth - 1
    small = np.rint(wave(80, 60) * levels).astype(np.uint8 if depth == 8 else np.uint16)
    choice = choose_encoder(EncodeSettings(codec="ffv1", depth=8 if depth == 8 else 10))
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        encoder = VideoEncoder(container, choice, Picture(*size, Fraction(25), Fraction(1, 25)))
        for number in range(3):
            encoder.write(small, number)
        encoder.close()
    with VideoReader(tmp_path / "a.mkv", Reading(depth=depth)) as reader:
        got = next(iter(reader)).pixels[: size[1], : size[0]] * (255 / levels)
    error = (got - wave(*size) * 255)[4:-4, 4:-4]
    assert np.abs(error).max() <= 3
    assert np.abs(error.mean((0, 1))).max() <= 0.5


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduling policies here")
def test_no_thread_becomes_a_real_time_one(tmp_path: Path, moving_frames: Frames) -> None:
    """SVT-AV1 would, as root, and then nothing else of the machine runs."""
    before = os.sched_getscheduler(0)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        choice = choose_encoder(EncodeSettings(codec="av1", preset="12"))
        encoder = VideoEncoder(container, choice, Picture(64, 48, Fraction(25), Fraction(1, 25)))
        for number, frame in enumerate(moving_frames(3)):
            encoder.write(frame, number)
        threads = {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}
        encoder.close()
    assert os.sched_getscheduler(0) == before
    assert threads == {before}
