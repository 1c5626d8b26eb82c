"""A training on a full disk ends with a one-line error, loses nothing, and can be continued."""

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from recycle.errors import OutputError
from recycle.evaluation.curves import read_scalars
from recycle.training.checkpoint import load_checkpoint
from recycle.training.logs import Logs
from recycle.training.trackers import Tracked
from tests.jobs import saying
from tests.training.test_loop import footage, run, same_run
from tests.training.test_memory import small

pytestmark = pytest.mark.usefixtures("small_looks")

__all__ = ["footage"]

INSIDE = """
import shutil, subprocess, sys
from pathlib import Path
import torch
from recycle.errors import OutputError
from recycle.training.checkpoint import load_checkpoint
from tests.training.test_loop import run, same_run
from tests.training.test_memory import small
disk, other, *footage = map(Path, sys.argv[1:])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=True)
begun, whole = other / "begun", other / "whole"
def go(steps, folder):
    run(small(steps=steps, preview_every=3, checkpoint_every=100), footage, folder)

go(2, begun)
shutil.copytree(begun, whole)
go(4, whole)
for room in map(int, sys.stdin.read().split()):
    folder = disk / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(begun, folder)
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - room * 1024))
    try:
        go(4, folder)
    except OutputError as error:
        print(room, error, flush=True)
        assert load_checkpoint(folder / "checkpoint.pt")["step"] == 2
        assert not list(folder.rglob("*.partial*"))
    filler.unlink()
    go(4, folder)
    same_run(folder, whole)
    assert len(list((folder / "previews").iterdir())) == 6
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
try:
    go(5, folder)
except OutputError as error:
    print("read-only", error)
"""
"""Trains on a separate small disk, with a given number of KiB left for the second part of a run."""


@pytest.fixture(scope="module")
def may_mount() -> None:
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        pytest.skip("this user may not mount a disk of its own")


@pytest.mark.usefixtures("may_mount")
def test_a_full_disk_names_the_file_and_the_run_can_be_continued(footage: tuple[Path, Path], tmp_path: Path) -> None:
    rooms = [0, 60, 700]
    (tmp_path / "disk").mkdir()
    command = ["unshare", "-rm", sys.executable, "-c", INSIDE, *map(str, (tmp_path / "disk", tmp_path, *footage))]
    done = subprocess.run(
        command, input=" ".join(map(str, rooms)), capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert list(told) == [*map(str, rooms), "read-only"]
    assert re.match(
        "cannot write .*/run: the file system is read-only; make it writable and run", told.pop("read-only")
    )
    files = set()
    for text in told.values():
        match = re.fullmatch(
            r"cannot write .*/disk/run/(.*): no space left on the disk; make room and run the same command again", text
        )
        assert match, text
        files.add(match[1])
    assert {name.split("/")[0] for name in files} >= {"pipeline.json", "previews", "checkpoint.pt"}, told


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_size_limit_names_the_file_and_the_run_can_be_continued(
    footage: tuple[Path, Path], tmp_path: Path
) -> None:
    """As with a system limit, or on a file system for small files; the checkpoint is the largest file."""
    folder, whole = tmp_path / "run", tmp_path / "whole"
    for out in (folder, whole):
        run(small(steps=2), footage, out)
    size = (folder / "checkpoint.pt").stat().st_size
    for limit, name in ((size - 1000, "checkpoint.pt"), (5000, r"(model/model\.safetensors|previews/.*)")):
        with files_of_at_most(limit), pytest.raises(OutputError, match=f"^cannot write .*/{name}: the file is larger"):
            run(small(steps=4), footage, folder)
        assert 2 <= load_checkpoint(folder / "checkpoint.pt")["step"] < 4
    for out in (folder, whole):
        run(small(steps=4), footage, out)
    same_run(folder, whole)


def test_unwritable_logs_are_reported_once_and_training_continues(
    footage: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    tracked = Tracked("run", tmp_path / "logs", {})
    with Logs(tracked, job=saying(said)) as logs:
        logs.add_scalars({"loss/cycle": 0.5}, 1)
        with files_of_at_most(300):
            for step in range(2, 200):
                logs.add_scalars({"loss/cycle": 1 / step}, step)
        logs.add_scalars({"loss/cycle": 0.0}, 200)
    time.sleep(1.1)  # TensorBoard orders files by their second
    with Logs(replace(tracked, repeated=100), job=saying(said)) as logs:
        logs.add_scalars({"loss/cycle": 0.25}, 100)
    assert [text.split(": ")[0] for text in said] == [f"cannot write {tmp_path / 'logs'}"]
    assert "training continues without these curves" in said[0]
    assert read_scalars(tmp_path / "logs")["loss/cycle"][-1] == (100, 0.25)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "logs").touch()  # in the way of the folder
    report = run(small(steps=1), footage, tmp_path / "run")
    assert report.step == 1
    assert len([text for text in report.notices if "training continues without these curves" in text]) == 1
    assert "Traceback" not in capfd.readouterr().err
