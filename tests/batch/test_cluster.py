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
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recycle.batch import cluster
from recycle.batch.cluster import ATTEMPTS, connect
from recycle.batch.ledger import LEDGER
from recycle.cli.entry import _with_addresses
from recycle.config import TranslateSettings
from recycle.errors import ConfigError
from recycle.networks.bundle import Bundle, save_bundle
from recycle.rendering.parts import PART
from recycle.rendering.work import SEGMENT
from recycle.video.decode import VideoReader
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
        deadline = time.monotonic() + 60
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


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "recycle", "translate", *map(str, arguments), "--to", "b"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    told, errors = process.communicate(timeout=200)
    assert "Traceback" not in errors, errors
    return process.returncode, told, errors


def entries(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / LEDGER).read_text(encoding="utf-8"))["files"]
    for entry in found.values():
        del entry["seconds"]
    return found


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
    """Results and record of two workers, one killed during a file, equal those of one machine."""
    folder, here, there = tmp_path / "in", tmp_path / "here", tmp_path / "there"
    (folder / "deep").mkdir(parents=True)
    long = make_video(stamps=range(0, 500 * 512, 512), size=(48, 64))
    for name in ("1.mp4", "2.mp4", "deep/3.mp4"):
        shutil.copy(long, folder / name)
    (folder / "zero.mp4").touch()
    save_bundle(bundle, tmp_path / "model")
    how = ["--model", tmp_path / "model", "--smoothing"]
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
        with VideoReader(here / name) as a, VideoReader(there / name) as b:
            for x, y in zip(a, b, strict=True):
                assert (x.pts, x.time_base) == (y.pts, y.time_base)
                assert np.array_equal(x.pixels, y.pixels)

    code, told, errors = finish(start(folder, there, *how, "--cluster", address))
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
    with VideoReader(here) as a, VideoReader(there / "long.mp4") as b:
        for x, y in zip(a, b, strict=True):
            assert (x.pts, x.time_base) == (y.pts, y.time_base)
            assert np.array_equal(x.pixels, y.pixels)


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


def test_ctrl_c_leaves_a_state_to_continue(make_video: MakeVideo, tmp_path: Path, address: str) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    long = make_video(stamps=range(0, 3000 * 512, 512), size=(96, 128))
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
    assert re.search(r"error: stopped; \d files are left: run the same command again to continue", errors)
    assert {entry["state"] for entry in entries(out).values()} <= {"waiting", "done"}
    code, _, errors = finish(start(folder, out, *how))
    assert code == 0, errors
    assert {entry["state"] for entry in entries(out).values()} == {"done"}
    assert sorted(path.name for path in out.iterdir()) == ["1.mp4", "2.mp4", "3.mp4", LEDGER]


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
