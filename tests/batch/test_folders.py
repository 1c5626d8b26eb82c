"""Folders on real disks: odd entries, odd names, full disks and concurrent runs."""

import json
import os
import shutil
import signal
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
from PIL import Image

from recycle.batch.engine import BatchReport
from recycle.batch.folder import survey
from recycle.batch.ledger import LEDGER, Entry, Ledger
from recycle.batch.task import Folder, translate_all
from recycle.batch.threads import Threads
from recycle.config import TranslateSettings
from recycle.errors import OutputError
from recycle.system.lock import LOCK, Busy
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.probe import probe
from tests.translation.conftest import MakeVideo

FAST = TranslateSettings(preset="ultrafast")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
LATIN = os.fsdecode(b"caf\xe9.mp4")


def command(*arguments: object) -> list[str]:
    """As a user without access to everything, even if the tests run as root."""
    usual = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    return [*usual, sys.executable, "-m", "recycle", *map(str, arguments)]


def recycle(*arguments: object) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=300, env=ENVIRONMENT, stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def record(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / LEDGER).read_text(encoding="utf-8"))
    return found


def states(out: Path) -> dict[str, str]:
    return {name: entry["state"] for name, entry in record(out)["files"].items()}


def folder_of(tmp_path: Path, *, settings: TranslateSettings = FAST) -> Folder:
    return Folder(tmp_path / "in", tmp_path / "out", Translator(None, device="cpu"), "b", settings)


def run(task: Folder, *, overwrite: bool = False, retry_failed: bool = False) -> BatchReport:
    engine = Threads(task.translator, task.to, task.settings, overwrite)
    return translate_all(task, engine=engine, overwrite=overwrite, retry_failed=retry_failed)


def images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:03d}.png"), np.full((48, 64, 3), 20 * number, np.uint8))


@pytest.fixture
def video(make_video: MakeVideo, tmp_path: Path) -> Path:
    """A video in its own folder."""
    (tmp_path / "in").mkdir()
    return make_video("in/good.mp4", stamps=range(0, 10 * 512, 512))


def test_odd_entries_are_reported_and_skipped(video: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "second.mp4").symlink_to("good.mp4")
    (folder / "notes.txt").write_text("no video")
    shutil.copy(video, folder / LATIN)
    shutil.copy(video, folder / "caf\\udce9.mp4")  # the name that the other one is shown by
    images(folder / "frames", 3)
    shutil.copy(video, folder / "frames" / "preview.mp4")
    (folder / "lost+found").mkdir()
    if os.getuid() == 0:
        os.chown(folder / "lost+found", 65534, 65534)
    (folder / "lost+found").chmod(0o700 if os.getuid() == 0 else 0)
    how = [folder, out, "--model", "identity", "--to", "b", "--preset", "ultrafast", "--join-images"]
    notices = [
        "frames holds numbered images and videos: the images count as one video, and the videos are included too",
        "left out: linked (a link to a folder, which is not followed)",
        "left out: loop.mp4 (a link that leads in a circle)",
        "left out: notes.txt (not a video)",
        "left out: pipe.mp4 (a named pipe)",
    ]

    planned = recycle("translate", *how, "--dry-run").stdout.splitlines()
    assert not out.exists()
    assert set(notices) <= set(planned)
    assert f"translate frames -> {out / 'frames.mp4'}" in planned
    assert "fail      lost+found: cannot be read: Permission denied" in planned
    assert planned[-1].startswith("6 to translate, 0 to skip, 1 to fail; ")

    first = recycle("translate", *how)
    assert (first.returncode, first.stdout.splitlines()[:-1]) == (1, notices)
    assert first.stdout.splitlines()[-1] == f"6 translated, 0 already there, 1 failed: {out / LEDGER}"
    assert "error: lost+found: cannot be read: Permission denied" in first.stderr.splitlines()
    found = record(out)
    assert {entry["state"] for entry in found["files"].values()} == {"done"}
    outputs = {"caf\\udce9.mp4": LATIN, "caf\\\\udce9.mp4": "caf\\udce9.mp4", "frames": "frames.mp4"}
    outputs |= {name: name for name in ("frames/preview.mp4", "good.mp4", "second.mp4")}
    assert set(found["files"]) == set(outputs)
    for output in outputs.values():
        with VideoReader(out / output) as reader:
            assert sum(1 for _ in reader.read()) == (3 if output == "frames.mp4" else 10)
    assert found["left_out"]["a named pipe"] == {"count": 1, "names": ["pipe.mp4"]}
    assert found["left_out"]["cannot be read: Permission denied"]["names"] == ["lost+found"]

    second = recycle("translate", *how)
    assert "0 translated, 6 already there, 1 failed" in second.stdout
    assert record(out) == found


def test_naming_a_special_file_is_a_one_line_error(video: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    shutil.copy(video, tmp_path / LATIN)
    told = recycle("probe", tmp_path / "pipe.mp4", tmp_path / LATIN, "--json", "--no-cuts")
    assert told.returncode == 1
    assert (
        told.stderr == f"error: {tmp_path}/pipe.mp4 is a named pipe, not a file; copy its content into a file first\n"
    )
    assert json.loads(told.stdout)["path"] == f"{tmp_path}/caf\\udce9.mp4"
    assert probe(tmp_path / LATIN, cuts=False).path == json.loads(told.stdout)["path"]
    told = recycle("translate", tmp_path / "pipe.mp4", tmp_path / "o.mp4", "--model", "identity", "--to", "b")
    assert (told.returncode, told.stderr.count("is a named pipe, not a file")) == (1, 1)


def test_names_of_outputs_are_unique_and_stable(make_video: MakeVideo, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    images(folder, 2)
    images(folder / "x", 2)
    images(folder / "in", 2)
    for name in ("x.mp4", "x.avi.mp4", "in.mp4", "1.mp4", "clip.one", "clip.two"):
        shutil.copy(make_video(stamps=range(0, 2 * 512, 512)), folder / name)
    shutil.copy(make_video("x.avi", audio=False, stamps=range(0, 2 * 512, 512)), folder / "x.avi")
    jobs = survey(folder, out, FAST, join_images=True).jobs
    assert len(jobs) == 10
    assert len({job.name for job in jobs}) == len({job.output.with_suffix("") for job in jobs}) == 10
    task = replace(folder_of(tmp_path), join_images=True)
    assert len(run(task).done) == 10
    shutil.copy(make_video("1.mov", stamps=range(0, 2 * 512, 512)), folder / "1.mov")  # comes before 1.mp4
    report = run(task)
    assert (report.done, len(report.skipped), report.failed) == (["1.mov"], 10, [])


def animation(path: Path, *levels: int) -> None:
    pictures = [Image.fromarray(np.full((48, 64, 3), level, np.uint8)) for level in levels]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)


def test_names_that_look_like_patterns_are_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("50%discount.jpg", "scan%03d.png", "plain.jpg"):
        cv2.imwrite(str(tmp_path / "in" / name), np.full((48, 64, 3), 90, np.uint8))
    animation(tmp_path / "in" / "wave%d.gif", 20, 120, 220)
    report = run(folder_of(tmp_path))
    assert (len(report.done), report.failed) == (4, [])
    made = {path.name for path in (tmp_path / "out").iterdir()} - {LEDGER, LOCK}
    assert made == {"50%discount.jpg", "scan%03d.png", "plain.jpg", "wave%d.gif"}
    with Image.open(tmp_path / "out" / "wave%d.gif") as moving:
        assert getattr(moving, "n_frames", 1) == 3


def test_animations_and_a_video_of_one_stem_are_made_at_once(make_video: MakeVideo, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = [f"sticker{suffix}" for suffix in (".gif", ".webp", ".png")]
    for name in names:
        animation(tmp_path / "in" / name, *range(0, 250, 10))
    shutil.copy(make_video(), tmp_path / "in" / "sticker.mp4")
    task = folder_of(tmp_path)
    engine = Threads(task.translator, task.to, task.settings, False, at_once=4)
    report = translate_all(task, engine=engine, overwrite=False, retry_failed=False)
    assert (len(report.done), report.failed) == (4, [])
    assert all((tmp_path / "out" / name).exists() for name in (*names, "sticker.mp4"))
    assert not list((tmp_path / "out").glob(".sticker*"))


def test_outputs_keep_the_case_of_their_suffix(make_video: MakeVideo, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("IMG_0001.JPG", "b.JPG", "b.jpg", "d.Tif"):
        (tmp_path / "in" / name).write_bytes(
            cv2.imencode(name[-4:].lower(), np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        )
    video = make_video()
    for name in ("CLIP.MP4", "M.Mkv"):
        shutil.copy(video, tmp_path / "in" / name)
    run(folder_of(tmp_path))
    names = {path.name for path in (tmp_path / "in").iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} - {LEDGER, LOCK} == names


def test_a_video_with_the_suffix_of_an_image_becomes_a_video(make_video: MakeVideo, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    video = make_video()
    for name in ("film.jpg", "film.png", "other.tif"):
        shutil.copy(video, tmp_path / "in" / name)
    animation(tmp_path / "in" / "moving.gif", 20, 120)
    (tmp_path / "in" / "moving.gif").rename(tmp_path / "in" / "moving.jpg")
    report = run(folder_of(tmp_path))
    assert not report.failed
    made = [path for path in (tmp_path / "out").iterdir() if path.name not in (LEDGER, LOCK)]
    assert len(made) == 4
    assert {path.suffix for path in made} == {".mp4"}


def test_earlier_translations_inside_the_folder_are_left_out(make_video: MakeVideo, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(make_video(), tmp_path / "in" / "clip.mp4")
    first = replace(folder_of(tmp_path), out=tmp_path / "in" / "night")
    assert run(first).done == ["clip.mp4"]
    second = replace(folder_of(tmp_path), out=tmp_path / "in" / "winter")
    assert run(second).done == ["clip.mp4"]
    assert sorted(path.name for path in (tmp_path / "in" / "winter").glob("**/*.mp4")) == ["clip.mp4"]
    left_out = second.survey(Ledger(second.out)).notices()
    assert "left out: night/clip.mp4 (a translation by recycle, by its translate.json)" in left_out


def test_only_translations_are_left_out_of_a_folder_with_a_record(make_video: MakeVideo, tmp_path: Path) -> None:
    """Originals beside them, and files beside another program's translate.json, are taken."""
    day = tmp_path / "in" / "films" / "day"
    day.mkdir(parents=True)
    shutil.copy(make_video(), day / "clip.mp4")
    assert run(Folder(day, day.parent, Translator(None, device="cpu"), "b", FAST)).done == ["clip.mp4"]
    shutil.copy(day / "clip.mp4", day.parent / "other.mp4")
    (day / LEDGER).write_text("{}")
    jobs = survey(tmp_path / "in", tmp_path / "out", FAST).jobs
    assert [job.name for job in jobs] == ["films/day/clip.mp4", "films/other.mp4"]


def test_a_record_cannot_write_outside_the_output_folder(video: Path, tmp_path: Path) -> None:
    for evil in ("../evil.mp4", "/tmp/evil.mp4", "sub/../../evil.mp4"):
        jobs = survey(tmp_path / "in", tmp_path / "out", FAST, known={"good.mp4": evil}.__getitem__).jobs
        assert [job.output for job in jobs] == [tmp_path / "out" / "good.mp4"]


def test_a_second_run_is_refused_and_the_first_is_not_disturbed(make_video: MakeVideo, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    long = make_video(stamps=range(0, 400 * 512, 512), size=(96, 128))
    for number in range(3):
        shutil.copy(long, tmp_path / "in" / f"{number}.mp4")
    task = folder_of(tmp_path)
    how = [task.source, task.out, "--model", "identity", "--to", "b", "--preset", "ultrafast", "--at-once", "1"]
    with subprocess.Popen(command("translate", *how), stderr=subprocess.PIPE, env=ENVIRONMENT) as first:
        deadline = time.monotonic() + 120
        while not list(task.out.glob(".*.recycle")) and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            first.send_signal(signal.SIGSTOP)  # it cannot be done before the second has begun
            before = (task.out / LEDGER).read_bytes()
            second = recycle("translate", *how, "--retry-failed")
            refusal = f"error: another recycle process is translating into {task.out}; wait for it, or stop it\n"
            assert (second.returncode, second.stdout, second.stderr) == (1, "", refusal)
            with pytest.raises(Busy, match="another recycle process is translating into"):
                run(task)
            assert (task.out / LEDGER).read_bytes() == before
            first.send_signal(signal.SIGCONT)
            while "done" not in states(task.out).values() and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            first.kill()  # also where an assertion fails: a stopped process never ends
            first.wait()
    assert (task.out / LOCK).exists()
    assert "failed" not in states(task.out).values()
    report = run(task)
    assert (report.failed, len(report.done + report.skipped)) == ([], 3)
    assert report.skipped
    assert sorted(path.name for path in task.out.iterdir()) == ["0.mp4", "1.mp4", "2.mp4", LEDGER]


def test_a_wrong_record_of_an_old_version_is_repaired_on_request(video: Path, tmp_path: Path) -> None:
    """Concurrent runs recorded finished outputs as 'failed'."""
    task = folder_of(tmp_path)
    run(task)
    done = Ledger(task.out).get("good.mp4")
    moment = (task.out / "good.mp4").stat().st_mtime_ns
    reason = f"another recycle process is writing {task.out / 'good.mp4'}; wait for it, or stop it"
    Ledger(task.out).set({"good.mp4": Entry(state="failed", key=done.key, reason=reason)})
    assert [why for _, why in run(task).failed] == [
        f"{task.out / 'good.mp4'} exists and is not recorded as an output; give --overwrite to replace it"
    ]
    report = run(task, retry_failed=True)
    assert (report.skipped, report.failed) == (["good.mp4"], [])
    assert Ledger(task.out).get("good.mp4").model_copy(update={"seconds": done.seconds}) == done
    assert (task.out / "good.mp4").stat().st_mtime_ns == moment

    Ledger(task.out).set({"good.mp4": Entry(state="failed", key=done.key, reason=reason)})
    (task.out / "good.mp4").write_bytes(b"a file of the user's")
    assert len(run(task, retry_failed=True).failed) == 1
    assert (task.out / "good.mp4").read_bytes() == b"a file of the user's"


def test_done_is_not_replaced_by_failed(video: Path, make_video: MakeVideo, tmp_path: Path) -> None:
    task, whole = folder_of(tmp_path), video.read_bytes()
    run(task)
    done, output = Ledger(task.out).get("good.mp4"), (task.out / "good.mp4").read_bytes()

    (task.out / "good.mp4").write_bytes(b"changed by a person")
    assert len(run(task).failed) == 1
    assert Ledger(task.out).get("good.mp4") == done
    (task.out / "good.mp4").write_bytes(output)
    assert run(task).skipped == ["good.mp4"]

    video.write_bytes(whole[:200])  # damaged, and to be replaced
    assert len(run(task, overwrite=True).failed) == 1
    assert Ledger(task.out).get("good.mp4").state == "failed"
    assert (task.out / "good.mp4").read_bytes() == output
    video.write_bytes(whole)
    assert run(task).skipped == ["good.mp4"], "the finished output is still known"
    written = {"seconds": done.seconds, "modified": done.modified}
    assert Ledger(task.out).get("good.mp4").model_copy(update=written) == done

    video.unlink()
    video.symlink_to("gone.mp4")
    make_video("in/other.mp4")
    assert run(task).done == ["other.mp4"]
    assert states(task.out) == {"good.mp4": "done", "other.mp4": "done"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB at the output folder."""
    folder = tmp_path / "out"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_the_folder_and_the_same_command_continues(
    make_video: MakeVideo, tmp_path: Path, small_disk: Path
) -> None:
    (tmp_path / "in").mkdir()
    small = make_video(stamps=range(0, 3 * 512, 512))
    large = make_video("large.mp4", stamps=range(0, 60 * 512, 512), size=(256, 256))
    shutil.copy(small, tmp_path / "in" / "1.mp4")
    for name in ("2.mp4", "3.mp4", "4.mp4"):
        shutil.copy(large, tmp_path / "in" / name)
    (small_disk / "filler").write_bytes(bytes((2 << 20) - (128 << 10)))
    task = replace(folder_of(tmp_path), settings=TranslateSettings(preset="ultrafast", crf=0))
    report = run(task)
    assert (report.done, [name for name, _ in report.failed]) == (["1.mp4"], ["2.mp4"])
    assert report.failed[0][1].endswith("No space left on device")
    reason = "stopped because the disk is full or failed; 3 files are left"
    assert report.stopped == f"{reason}: make room, then run the same command again"
    assert states(small_disk)["1.mp4"] == "done"
    assert set(states(small_disk).values()) <= {"done", "waiting", "running"}
    assert not list(small_disk.rglob("*.partial*"))

    (small_disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    report = run(task)
    assert (report.done, report.skipped, report.failed) == (["2.mp4", "3.mp4", "4.mp4"], ["1.mp4"], [])
    assert set(states(small_disk).values()) == {"done"}

    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    shutil.copy(small, tmp_path / "in" / "5.mp4")
    with pytest.raises(OutputError, match=r"cannot write to .*out: Read-only file system"):
        run(task)
