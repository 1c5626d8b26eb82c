"""After any interruption, repeating the command gives the uninterrupted result."""

import copy
import os
import random
import signal
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from recycle.config import TranslateSettings
from recycle.errors import FootageError, Interrupted, OutputError
from recycle.events import Event, Job, Progress
from recycle.networks.bundle import Bundle, save_bundle
from recycle.rendering.work import SEGMENT, open_work, work_folder
from recycle.translation.translator import Translator
from recycle.video import codecs
from recycle.video.codecs import Encoder
from recycle.video.kinds import open_source
from tests import warm
from tests.jobs import interrupted_at, saying
from tests.translation.conftest import MakeVideo
from tests.video.conftest import overwrite_quarter, raw_video

FAST = TranslateSettings(preset="ultrafast", batch_size=4)
LONG = range(0, (3 * SEGMENT + 40) * 512, 512)
DELETED = (
    "unfinished work was deleted, because the source, the model, the settings, the device or the precision changed"
)


def frames_of(path: Path) -> list[tuple[Fraction, bytes]]:
    with open_source(path) as reader:
        return [(frame.seconds, frame.pixels.tobytes()) for frame in reader]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("codec", "smoothing"), [("h264", True), ("hevc", False), ("ffv1", False)])
def test_an_interrupted_conversion_continues(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path, codec: str, smoothing: bool
) -> None:
    source = make_video(stamps=LONG, size=(64, 64))  # below 64 pixels x265 itself gives another result each time
    settings = TranslateSettings(
        codec=codec,
        preset=None if codec == "ffv1" else "ultrafast",
        batch_size=7,
        smoothing=smoothing,
    )
    translator = Translator(bundle, device="cpu")
    whole, output = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    translator.translate_video(source, whole, to="b", settings=settings)
    with pytest.raises(Interrupted, match=f"{SEGMENT} frames are kept: run the same command again"):
        translator.translate_video(source, output, to="b", settings=settings, job=interrupted_at(2 * SEGMENT - 10))
    assert not output.exists()
    report = translator.translate_video(source, output, to="b", settings=settings)
    assert (report.frames, report.resumed) == (len(LONG), SEGMENT)
    assert frames_of(output) == frames_of(whole)
    assert names(tmp_path) == ["out.mkv", "source.mp4", "whole.mkv"]


def test_frames_concealed_before_an_interruption_are_reported(make_video: MakeVideo, tmp_path: Path) -> None:
    source, damaged = make_video(stamps=LONG, size=(48, 64), audio=False), tmp_path / "damaged.mkv"
    with av.open(str(source)) as before, av.open(str(damaged), "w") as after:
        target = after.add_stream_from_template(before.streams.video[0])
        for index, packet in enumerate(p for p in before.demux(video=0) if p.size):
            copy = av.Packet(bytes(20) if index in (30, 31) else bytes(packet))
            copy.stream, copy.pts, copy.dts, copy.time_base = target, packet.pts, packet.dts, packet.time_base
            after.mux(copy)
    translator = Translator(None, device="cpu")
    whole = translator.translate_video(damaged, tmp_path / "whole.mp4", to="b", settings=FAST)
    assert whole.concealed == 2
    with pytest.raises(Interrupted):
        translator.translate_video(
            damaged, tmp_path / "out.mp4", to="b", settings=FAST, job=interrupted_at(2 * SEGMENT + 5)
        )
    report = translator.translate_video(damaged, tmp_path / "out.mp4", to="b", settings=FAST)
    assert (report.resumed, report.concealed, report.notices) == (2 * SEGMENT, 2, whole.notices)
    assert frames_of(tmp_path / "out.mp4") == frames_of(tmp_path / "whole.mp4")


def test_work_with_other_settings_is_deleted_and_reported(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    source, output = make_video(stamps=LONG, size=(32, 32)), tmp_path / "out.mp4"
    translator = Translator(bundle, device="cpu")
    with pytest.raises(Interrupted):
        translator.translate_video(source, output, to="b", settings=FAST, job=interrupted_at(SEGMENT + 5))
    said: list[str] = []
    report = translator.translate_video(source, output, to="a", settings=FAST, job=saying(said))
    assert report.resumed == 0
    assert said == [DELETED]
    fresh = tmp_path / "fresh.mp4"
    translator.translate_video(source, fresh, to="a", settings=FAST)
    assert frames_of(output) == frames_of(fresh)


def test_work_in_another_precision_is_deleted_and_reported(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    """An output has one precision; a finished file is the same to `request`, in whatever precision it was made."""
    source, output = make_video(stamps=LONG, size=(32, 32), audio=False), tmp_path / "out.mp4"
    exact = Translator(copy.deepcopy(bundle), device="cpu", precision="fp32")
    fast = Translator(bundle, device="cpu", precision="bf16")
    with pytest.raises(Interrupted):
        exact.translate_video(source, output, to="b", settings=FAST, job=interrupted_at(SEGMENT + 5))
    with pytest.raises(Interrupted, match=f"{SEGMENT} frames are kept"):
        exact.translate_video(source, output, to="b", settings=FAST, job=interrupted_at(SEGMENT + 5))
    said: list[str] = []
    with pytest.raises(Interrupted):
        fast.translate_video(source, output, to="b", settings=FAST, job=interrupted_at(5).keeping(said))
    assert DELETED in said
    assert exact.key("b", FAST) == {**fast.key("b", FAST), "precision": "fp32"}
    assert exact.request("b", FAST) == fast.request("b", FAST)


def test_work_of_another_machines_encoder_is_deleted_and_reported(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MPEG-4 part 2 stands for the encoder of a GPU that the second machine lacks."""
    source, output = make_video(stamps=LONG, size=(128, 192), audio=False), tmp_path / "out.mkv"
    settings, translator = TranslateSettings(hardware=True), Translator(None, device="cpu")
    said: list[str] = []
    monkeypatch.setitem(codecs._HARDWARE, "h264", Encoder("mpeg4", {8: "yuv420p"}, None))
    with pytest.raises(Interrupted):
        translator.translate_video(source, output, to="b", settings=settings, job=interrupted_at(SEGMENT + 5))
    monkeypatch.undo()
    with pytest.raises(Interrupted):
        translator.translate_video(source, output, to="b", settings=settings, job=interrupted_at(5).keeping(said))
    assert DELETED in said


def test_work_on_a_source_changed_in_place_is_deleted_and_reported(tmp_path: Path) -> None:
    """Its size and fingerprint stay the same; a difference within the resolution of its time is ignored."""
    source, output = raw_video(tmp_path / "in" / "r.avi"), tmp_path / "out.mp4"
    os.utime(source, ns=(0, 1_700_000_001_123_456_789))
    translator = Translator(None, device="cpu")
    with pytest.raises(Interrupted):
        translator.translate_video(source, output, to="b", settings=FAST, job=interrupted_at(SEGMENT + 1))
    os.utime(source, ns=(0, 1_700_000_000_000_000_000))
    with pytest.raises(Interrupted, match=f"{SEGMENT} frames are kept"):
        translator.translate_video(source, output, to="b", settings=FAST, job=interrupted_at(SEGMENT + 1))
    overwrite_quarter(source)
    said: list[str] = []
    report = translator.translate_video(source, output, to="b", settings=FAST, job=saying(said))
    assert report.resumed == 0
    assert DELETED in said
    translator.translate_video(source, tmp_path / "fresh.mp4", to="b", settings=FAST)
    assert frames_of(output) == frames_of(tmp_path / "fresh.mp4")


def test_another_container_continues_the_work(make_video: MakeVideo, bundle: Bundle, tmp_path: Path) -> None:
    source = make_video(stamps=LONG, size=(32, 32), audio=False)
    translator = Translator(bundle, device="cpu")
    with pytest.raises(Interrupted):
        translator.translate_video(source, tmp_path / "out.mp4", to="b", settings=FAST, job=interrupted_at(2 * SEGMENT))
    report = translator.translate_video(source, tmp_path / "out.mkv", to="b", settings=FAST)
    assert report.resumed >= SEGMENT
    assert len(frames_of(tmp_path / "out.mkv")) == len(LONG)


def test_two_processes_cannot_write_one_output(make_video: MakeVideo, tmp_path: Path) -> None:
    source, output = make_video(), tmp_path / "out.mp4"
    with open_work(output, {}), pytest.raises(OutputError, match="another recycle process is writing"):
        Translator(None, device="cpu").translate_video(source, output, to="b", settings=FAST)


def test_a_full_disk_keeps_the_finished_segments(make_video: MakeVideo, tmp_path: Path) -> None:
    """A file size limit simulates the disk: the joined file is larger than any segment."""
    source, output = make_video(stamps=LONG, size=(96, 128)), tmp_path / "out.mp4"
    script = f"""
import resource, signal, sys
from pathlib import Path
from recycle.config import TranslateSettings
from recycle.errors import OutputError
from recycle.events import Job, Progress
from recycle.translation.translator import Translator
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
settings = TranslateSettings(preset="ultrafast", crf=1)
translator = Translator(None, device="cpu")
def limit(event):
    if isinstance(event, Progress) and event.done == {2 * SEGMENT}:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))
try:
    translator.translate_video(Path(sys.argv[1]), Path(sys.argv[2]), to="b", settings=settings, job=Job(limit))
except OutputError as error:
    print(error)
"""
    done = warm.run("-c", script, source, output)
    assert done.stdout == f"cannot write {output}: File too large\n", done.stderr
    assert not output.exists()
    settings = TranslateSettings(preset="ultrafast", crf=1)
    report = Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings)
    assert report.resumed >= SEGMENT
    assert report.frames == len(LONG)
    assert names(tmp_path) == ["out.mp4", "source.mp4"]


def test_a_source_with_too_much_damage_leaves_no_file(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video(stamps=LONG, size=(96, 128), audio=False)
    data = bytearray(source.read_bytes())
    start, stop = data.index(b"mdat") + 1500, len(data) - 100
    random.seed(1)
    data[start:stop] = random.randbytes(stop - start)
    source.write_bytes(data)
    translator = Translator(None, device="cpu")
    with pytest.raises(FootageError, match="frames are damaged, too many to conceal"):
        translator.translate_video(source, tmp_path / "out.mp4", to="b", settings=FAST)
    assert names(tmp_path) == ["source.mp4"]


def test_ten_kills_change_nothing(make_video: MakeVideo, bundle: Bundle, tmp_path: Path) -> None:
    """The real command, killed at ten random moments of one conversion, then run to its end."""
    source = make_video(stamps=range(0, 8 * SEGMENT * 512, 512), size=(96, 128))
    save_bundle(bundle, tmp_path / "model")
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = ["--to", "b", "--smoothing", "--model", str(tmp_path / "model"), "--preset", "ultrafast"]
    options += ["--device", "cpu"]
    recycle = (*warm.RECYCLE, "translate", source)
    warm.run(*recycle, whole, *options, env=environment).check_returncode()
    command = (*recycle, output, *options)
    work, kills, rng = work_folder(output), 0, np.random.default_rng(0)
    while kills < 10 and not output.exists():
        process = warm.Process(*command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(list(work.glob("*.segment"))) if work.exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not _running(work, before, kills):
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.3)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills == 10
    assert not output.exists()
    done = warm.run(*command, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"{8 * SEGMENT} frames" in done.stdout
    assert "in an earlier run" in done.stdout
    assert frames_of(output) == frames_of(whole)
    assert names(tmp_path) == ["model", "out.mp4", "source.mp4", "whole.mp4"]


def _running(work: Path, before: int, kills: int) -> bool:
    """Whether a process is at work on a segment; in every other round, whether it has finished one more."""
    if not work.exists() or not (list(work.glob(".*.partial*"))):
        return False
    return kills % 2 == 0 or len(list(work.glob("*.segment"))) > before


def test_an_output_created_by_another_process_is_kept_with_the_work(make_video: MakeVideo, tmp_path: Path) -> None:
    source, output = make_video(stamps=LONG, size=(32, 32)), tmp_path / "out.mp4"
    translator = Translator(None, device="cpu")

    def another(event: Event) -> None:
        if isinstance(event, Progress) and event.done == SEGMENT:
            output.write_bytes(b"precious")

    with pytest.raises(OutputError, match="was created by another process meanwhile"):
        translator.translate_video(source, output, to="b", settings=FAST, job=Job(another))
    assert output.read_bytes() == b"precious"
    report = translator.translate_video(source, output, to="b", settings=FAST, overwrite=True)
    assert report.frames == report.resumed == len(LONG)
    assert len(frames_of(output)) == len(LONG)
