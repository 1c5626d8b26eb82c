"""A folder on a real Ray cluster of two workers."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from recycle.batch import cluster
from recycle.batch.cluster import ATTEMPTS, connect
from recycle.batch.engine import BatchReport
from recycle.batch.ledger import LEDGER
from recycle.batch.task import Folder, open_engine, translate_all
from recycle.batch.threads import Threads
from recycle.cli.entry import _with_addresses
from recycle.config import TranslateSettings
from recycle.errors import ConfigError
from recycle.events import Event, FileState, Job
from recycle.networks.bundle import Bundle, save_bundle
from recycle.rendering.parts import PART
from recycle.rendering.work import SEGMENT
from recycle.translation.translator import Translator
from recycle.video.codecs import CONTAINERS
from recycle.video.decode import VideoReader
from tests import warm
from tests.jobs import cancelled_from_outside
from tests.processes import PATIENCE
from tests.translation.conftest import MakeVideo

pytest.importorskip("ray")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A separate cluster with two cores, whose head outlives the commands."""
    script = Path(sys.executable).with_name("ray")
    port = 20000 + os.getpid() % 20000
    command = [script, "start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*map(str, command)], env=ENVIRONMENT, stdout=quiet, stderr=quiet) as head:
        deadline = time.monotonic() + PATIENCE
        while not answers(port) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
        head.terminate()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def start(*arguments: object) -> warm.Process:
    return warm.Process(*warm.RECYCLE, "translate", *arguments, "--to", "b", env=ENVIRONMENT)


def finish(process: warm.Process) -> tuple[int, str, str]:
    told, errors = process.communicate(timeout=200)
    assert "Traceback" not in errors, errors
    return process.wait(), told, errors


def entries(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / LEDGER).read_text(encoding="utf-8"))["files"]
    for entry in found.values():
        del entry["seconds"]
    return found


def check_same(one: Path, other: Path) -> None:
    """Require that two videos have the same frames at the same times."""
    with VideoReader(one) as a, VideoReader(other) as b:
        for x, y in zip(a, b, strict=True):
            assert (x.pts, x.time_base) == (y.pts, y.time_base)
            assert np.array_equal(x.pixels, y.pixels)


def workers() -> list[int]:
    """Processes of our workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes().replace(b"\0", b" ").strip()
        except OSError:
            continue
        if name.startswith(b"ray::Worker.translate"):
            found.append(int(folder.name))
    return found


def test_a_killed_worker_does_not_change_the_result(
    make_video: MakeVideo, tmp_path: Path, bundle: Bundle, address: str
) -> None:
    """Results and record of two workers, one killed during a file, equal those of one machine, also with masks."""
    folder, here, there = tmp_path / "in", tmp_path / "here", tmp_path / "there"
    (folder / "deep").mkdir(parents=True)
    long = make_video(stamps=range(0, 300 * 512, 512), size=(48, 64))
    for name in ("1.mp4", "2.mp4", "deep/3.mp4"):
        shutil.copy(long, folder / name)
    (folder / "zero.mp4").touch()
    (tmp_path / "masks" / "deep").mkdir(parents=True)
    for name in ("1.png", "2.png", "deep/3.png"):
        cv2.imwrite(
            str(tmp_path / "masks" / name), np.repeat(np.array([[0, 255]], np.uint8), 32, axis=1)
        )  # the right half
    save_bundle(bundle, tmp_path / "model")
    how = ["--model", tmp_path / "model", "--smoothing", "--mask", tmp_path / "masks"]
    local = start(folder, here, *how)
    code, told, errors = finish(local)
    assert (code, "3 translated, 0 already there, 1 failed" in told) == (1, True), errors

    process = start(folder, there, *how, "--cluster", address, "--at-once", 2)
    deadline = time.monotonic() + 120
    while not (list(there.rglob("000001.*.segment")) and workers()) and time.monotonic() < deadline:
        time.sleep(0.02)
    victims = workers()
    os.kill(victims[0], signal.SIGKILL)
    code, told, errors = finish(process)
    assert (code, "3 translated, 0 already there, 1 failed" in told) == (1, True), errors
    assert entries(there) == entries(here)
    names = sorted(path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file())
    assert names == ["1.mp4", "2.mp4", "deep/3.mp4", LEDGER]
    for name in names[:3]:
        check_same(here / name, there / name)
    with VideoReader(long) as a, VideoReader(there / "1.mp4") as b:
        left, right = np.split(np.abs(next(iter(a)).pixels.astype(int) - next(iter(b)).pixels), 2, axis=1)
        assert left.mean() < right.mean() / 3

    code, told, errors = finish(start(folder, there, *how))  # without a cluster
    assert (code, "0 translated, 3 already there, 1 failed" in told) == (1, True), errors


def test_a_long_file_is_split_between_workers(
    make_video: MakeVideo, tmp_path: Path, bundle: Bundle, address: str
) -> None:
    """Parts rendered concurrently, one by a worker that is killed, give the whole video."""
    folder, there = tmp_path / "in", tmp_path / "there"
    folder.mkdir()
    count = 2 * PART + 50
    make_video("in/long.mp4", stamps=range(0, count * 512, 512), size=(32, 32))
    save_bundle(bundle, tmp_path / "model")
    how = ["--model", tmp_path / "model", "--smoothing", "--preset", "ultrafast"]
    here = tmp_path / "here.mp4"
    code, told, errors = finish(start(folder / "long.mp4", here, *how))
    assert (code, f"{count} frames" in told) == (0, True), errors
    process = start(folder, there, *how, "--cluster", address, "--at-once", 2)
    work = there / ".long.recycle"
    deadline = time.monotonic() + 120

    def made(segment: int) -> bool:
        return bool(list(work.glob(f"{segment:06d}.*.json")))

    while not (made(PART // SEGMENT + 1) and made(1)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not made(PART // SEGMENT - 1)  # both at the same time
    os.kill(workers()[0], signal.SIGKILL)
    code, told, errors = finish(process)
    assert (code, "1 translated, 0 already there, 0 failed" in told) == (0, True), errors
    assert entries(there)["long.mp4"]["frames"] == count
    assert sorted(path.name for path in there.iterdir()) == ["long.mp4", LEDGER]
    check_same(here, there / "long.mp4")


_PROGRAM = """
import sys
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import numpy as np

from recycle.batch.task import Folder, open_engine, translate_all
from recycle.config import TranslateSettings, parse_settings
from recycle.translation.translator import Translator
from recycle.video.codecs import Encoder, add_codec
from recycle.video.frame import LazyFrame, StreamInfo
from recycle.video.source import USUAL, Reading, Source, add_source, numbers

class ArrayOfFrames(Source):
    kind = "array of frames"

    def __init__(self, path: Path, reading: Reading = USUAL) -> None:
        super().__init__(path, reading)
        self.frames = np.load(path)
        count, height, width, _ = self.frames.shape
        self.info = StreamInfo(width, height, Fraction(1, 25), average_rate=Fraction(25), frame_count=count)

    @classmethod
    def takes(cls, path: Path) -> bool:
        return path.suffix == ".npy"

    def read(self, *, start=None, end=None, entry=None) -> Generator[LazyFrame]:
        for number in numbers(len(self.frames), start, end):
            yield LazyFrame.of(np.array(self.frames[number]), number, self.info.time_base)

add_source(ArrayOfFrames)
add_codec("stills", Encoder("png", {8: "rgb24"}, None, options=(("pred", "paeth"),)), options=["pred"])
source, out, cluster = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
settings = parse_settings(TranslateSettings, {"codec": "stills", "options": {"pred": "up"}})
task = Folder(source, out, Translator(None, device="cpu"), "b", settings)
with open_engine(task, overwrite=False, at_once=1, cluster=cluster) as engine:
    report = translate_all(task, engine=engine, overwrite=False, retry_failed=False)
print(report.done, report.failed)
"""


def test_workers_learn_the_inputs_and_codecs_that_the_program_added(tmp_path: Path) -> None:
    """Both are defined in the program's own script, so that no worker can import them."""
    films = tmp_path / "in"
    films.mkdir()
    frames = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    np.save(films / "noise.npy", frames)
    (tmp_path / "program.py").write_text(_PROGRAM)
    command = [sys.executable, "program.py", str(films), str(tmp_path / "out"), "local"]
    told = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert told.stdout.splitlines()[-1:] == ["['noise.npy'] []"], told.stderr
    (written,) = [path for path in (tmp_path / "out").iterdir() if path.suffix in CONTAINERS]
    with VideoReader(written) as reader:
        assert np.array_equal(np.stack([frame.pixels for frame in reader]), frames)


def test_urls_are_fetched_and_uploaded(make_video: MakeVideo, tmp_path: Path, address: str) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(make_video(), folder / "1.mp4")
    shutil.copy(make_video("m.avi", audio=False), folder / "2.avi")
    how = ["--model", "identity", "--preset", "ultrafast", "--cluster", address]
    code, told, errors = finish(start(f"file://{folder}", f"file://{out}", *how))
    assert (code, "2 translated, 0 already there, 0 failed" in told) == (0, True), errors
    assert sorted(path.name for path in out.iterdir()) == ["1.mp4", "2.mp4", LEDGER]
    with VideoReader(folder / "1.mp4") as a, VideoReader(out / "1.mp4") as b:
        assert [f.seconds for f in a] == [f.seconds for f in b]


def test_ctrl_c_leaves_files_done_or_waiting(make_video: MakeVideo, tmp_path: Path, address: str) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    long = make_video(stamps=range(0, 1200 * 512, 512), size=(64, 96))
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        shutil.copy(long, folder / name)
    how = ["--model", "identity", "--preset", "ultrafast", "--cluster", address, "--at-once", 2]
    process = start(folder, out, *how)
    deadline = time.monotonic() + 120
    while not list(out.glob(".*/*.segment")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, _, errors = finish(process)
    assert code == 130
    assert re.search(r"error: stopped; \d files? (is|are) left: run the same command again to continue", errors)
    assert {entry["state"] for entry in entries(out).values()} <= {"waiting", "done"}


def test_a_batch_is_cancelled_from_another_thread_and_goes_on_to_the_uninterrupted_result(
    make_video: MakeVideo, tmp_path: Path, bundle: Bundle, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    (tmp_path / "in").mkdir()
    long = make_video(stamps=range(0, 260 * 512, 512), size=(48, 64))
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        shutil.copy(long, tmp_path / "in" / name)
    settings = TranslateSettings(preset="ultrafast", device="cpu")
    whole = Folder(tmp_path / "in", tmp_path / "whole", Translator(bundle, device="cpu"), "b", settings)
    translate_all(
        whole,
        engine=Threads(whole.translator, "b", settings, at_once=1),
        overwrite=False,
        retry_failed=False,
    )
    task = replace(whole, out=tmp_path / "out")

    def work(job: Job) -> BatchReport:
        with open_engine(task, overwrite=False, at_once=2, cluster=address) as engine:
            return translate_all(task, engine=engine, overwrite=False, retry_failed=False, job=job)

    seen, outcome = cancelled_from_outside(
        work, lambda event: isinstance(event, FileState) and event.state == "running" and event.done > SEGMENT
    )
    assert len(outcome) == 1
    left = re.fullmatch(r"stopped; (\d) files? (?:is|are) left: run the same command again to continue", outcome[0])
    assert left
    states = [entry["state"] for entry in entries(task.out).values()]
    assert states.count("waiting") == int(left[1]) >= 1
    assert set(states) <= {"waiting", "done"}
    assert list(task.out.glob(".*/*.segment"))  # what was finished of a file is kept
    assert [event.total for event in seen if isinstance(event, FileState) and event.state == "waiting"][:3] == [260] * 3

    events: list[Event] = []
    report = work(Job(events.append))
    assert (len(report.done) + len(report.skipped), report.failed) == (3, [])
    assert sorted(path.name for path in task.out.iterdir()) == ["1.mp4", "2.mp4", "3.mp4", LEDGER]
    assert entries(task.out) == entries(whole.out)
    begun = next(event.name for event in seen if isinstance(event, FileState) and event.done > SEGMENT)
    own = [event.done for event in events if isinstance(event, FileState) and event.name == begun and event.done]
    assert own[0] >= SEGMENT  # and is not made again
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        check_same(whole.out / name, task.out / name)


def test_a_worker_with_two_places_translates_two_files_at_a_time(
    make_video: MakeVideo, tmp_path: Path, bundle: Bundle, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine of a GPU, on a CPU: one process and one model; both files are begun before one is done."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setattr(cluster, "_share", lambda settings, at_once: cluster._Share(1, 2, 1))
    (tmp_path / "in").mkdir()
    long = make_video(stamps=range(0, 300 * 512, 512), size=(48, 64), audio=False)
    for name in ("1.mp4", "2.mp4"):
        shutil.copy(long, tmp_path / "in" / name)
    settings = TranslateSettings(preset="ultrafast", device="cpu", precision="fp32")
    task = Folder(tmp_path / "in", tmp_path / "out", Translator(bundle, device="cpu"), "b", settings)
    events: list[Event] = []
    with open_engine(task, overwrite=False, at_once=None, cluster=address) as engine:
        report = translate_all(task, engine=engine, overwrite=False, retry_failed=False, job=Job(events.append))
        assert len(engine.workers) == 1  # type: ignore[attr-defined]
    assert report.done == ["1.mp4", "2.mp4"]
    states = [(event.name, event.state) for event in events if isinstance(event, FileState)]
    done = min(states.index((name, "done")) for name in report.done)
    assert {("1.mp4", "running"), ("2.mp4", "running")} <= set(states[:done])
    exact = Translator(bundle, device="cpu", precision="fp32")
    exact.translate_video(long, tmp_path / "here.mp4", to="b", settings=settings)
    check_same(tmp_path / "here.mp4", tmp_path / "out" / "2.mp4")


def test_a_missing_cluster_is_a_one_line_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"there is no Ray cluster at '127.0.0.1:9': .*'ray start --head' starts one"),
        connect("127.0.0.1:9", None, to="b", settings=TranslateSettings(), out=tmp_path),
    ):
        pass
    assert ATTEMPTS > 1


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ray", None)
    with (
        pytest.raises(ConfigError, match=r"a cluster needs Ray; run: pip install 'recycle\[cluster\]'"),
        connect("auto", None, to="b", settings=TranslateSettings(), out=tmp_path),
    ):
        pass


def test_the_address_may_be_left_out() -> None:
    assert _with_addresses(["a", "--cluster", "b"]) == ["a", "--cluster", "auto", "b"]
    assert _with_addresses(["a", "b", "--cluster"]) == ["a", "b", "--cluster", "auto"]
    assert _with_addresses(["--cluster", "node:6379", "b"]) == ["--cluster", "node:6379", "b"]
    assert _with_addresses(["--cluster", "local", "b"]) == ["--cluster", "local", "b"]
