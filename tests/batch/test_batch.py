"""A folder of videos: every readable file is translated once, and the record is correct."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recycle.batch.engine import BatchReport
from recycle.batch.folder import survey
from recycle.batch.ledger import LEDGER, Entry, Ledger, open_ledger
from recycle.batch.plan import plan
from recycle.batch.task import Folder, translate_all
from recycle.batch.threads import Threads
from recycle.config import TranslateSettings
from recycle.errors import FootageError, OutputError
from recycle.rendering.work import SEGMENT
from recycle.system.lock import Busy
from recycle.system.places import place
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from tests import warm
from tests.translation.conftest import MakeVideo
from tests.video.conftest import overwrite_quarter, raw_video

FAST = TranslateSettings(preset="ultrafast")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TRANSLATE = (*warm.RECYCLE, "translate")
CHOSEN = ("--model", "identity", "--to", "b", "--preset", "ultrafast")
HOSTILE = "-te[s]t ' \" _ ü $(x).mp4"


def recycle(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return warm.run(*TRANSLATE, *arguments, *CHOSEN, env=ENVIRONMENT)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def entries(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / LEDGER).read_text(encoding="utf-8"))["files"]
    return found


@pytest.fixture
def tree(make_video: MakeVideo, tmp_path: Path) -> Path:
    """Twelve files: two broken, one empty, one with a hostile name, two with one stem, one not a video."""
    folder = tmp_path / "in"
    (folder / "deep" / "er").mkdir(parents=True)
    good = make_video()
    for name in ("1.mp4", "2.mp4", "10.mp4", "deep/3.mp4", "deep/er/4.mp4", HOSTILE):
        shutil.copy(good, folder / name)
    shutil.copy(make_video("m.mkv"), folder / "deep" / "5.mkv")
    shutil.copy(make_video("m.mov"), folder / "1.mov")
    shutil.copy(make_video("m.avi", audio=False), folder / "6.avi")
    (folder / "broken.mp4").write_bytes(good.read_bytes()[:300])
    (folder / "text.mkv").write_text("no video")
    (folder / "zero.mp4").touch()
    (folder / "notes.txt").write_text("not taken")
    return folder


GOOD = sorted(["1.mov", "1.mp4.mp4", "2.mp4", "10.mp4", "6.mp4", "deep/3.mp4", "deep/er/4.mp4", "deep/5.mkv", HOSTILE])


def test_a_folder_with_bad_files_among_the_good(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = recycle(tree, out)
    assert first.returncode == 1, first.stderr
    assert f"9 translated, 0 already there, 3 failed: {out / LEDGER}" in first.stdout
    assert files_of(out) == sorted([*GOOD, LEDGER])
    record = entries(out)
    assert {name for name, entry in record.items() if entry["state"] == "failed"} == {
        "broken.mp4",
        "text.mkv",
        "zero.mp4",
    }
    assert record["zero.mp4"]["reason"].endswith("zero.mp4 is empty (0 bytes)")
    done = {name: entry for name, entry in record.items() if entry["state"] == "done"}
    assert sorted(entry["output"] for entry in done.values()) == GOOD
    for name, entry in done.items():
        assert entry["size"] == (out / entry["output"]).stat().st_size
        with VideoReader(tree / name) as before, VideoReader(out / entry["output"]) as after:
            assert sum(1 for _ in before) == sum(1 for _ in after) == entry["frames"] == 20
    for name in ("broken.mp4", "text.mkv", "zero.mp4"):
        assert sum(line.startswith(f"error: {name}: ") for line in first.stderr.splitlines()) == 1
    assert "Traceback" not in first.stderr

    times = {name: (out / name).stat().st_mtime_ns for name in GOOD}
    second = recycle(tree, out)
    assert second.returncode == 1
    assert "0 translated, 9 already there, 3 failed" in second.stdout
    assert {name: (out / name).stat().st_mtime_ns for name in GOOD} == times
    assert entries(out) == record

    shutil.copy(tree / "2.mp4", tree / "zero.mp4")  # what changed is tried again, without being asked
    third = recycle(tree, out)
    assert "1 translated, 9 already there, 2 failed" in third.stdout
    assert entries(out)["zero.mp4"]["state"] == "done"


def test_other_settings_replace_outputs_only_with_overwrite(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recycle(tree, out, "--include", "2.mp4")
    assert files_of(out) == ["2.mp4", LEDGER]
    old = (out / "2.mp4").read_bytes()
    refused = recycle(tree, out, "--include", "2.mp4", "--crf", "40")
    assert refused.returncode == 1
    assert "was made from another source, model or settings; give --overwrite to replace it" in refused.stderr
    assert (out / "2.mp4").read_bytes() == old
    replaced = recycle(tree, out, "--include", "2.mp4", "--crf", "40", "--overwrite")
    assert replaced.returncode == 0, replaced.stderr
    assert (out / "2.mp4").stat().st_size < len(old)


def test_a_file_of_the_user_is_replaced_only_with_overwrite(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "2.mp4").write_bytes(b"precious")
    done = recycle(tree, out, "--include", "2.mp4")
    assert done.returncode == 1
    assert "exists and is not recorded as an output" in done.stderr
    assert (out / "2.mp4").read_bytes() == b"precious"


def test_settings_given_by_mistake_do_not_spoil_the_record(make_video: MakeVideo, tmp_path: Path) -> None:
    task = Folder(make_video().parent, tmp_path / "out", Translator(None, device="cpu"), "b", FAST)
    assert run_folder(task).done == ["source.mp4"]
    record = entries(task.out)
    mistaken = run_folder(replace(task, settings=TranslateSettings(preset="ultrafast", crf=40)))
    assert [name for name, _ in mistaken.failed] == ["source.mp4"]
    assert entries(task.out) == record
    assert run_folder(task).skipped == ["source.mp4"]


def test_a_file_that_was_finished_and_not_yet_recorded(make_video: MakeVideo, tmp_path: Path) -> None:
    """The process was killed between both; the state 'running' identifies the output."""
    task = Folder(make_video().parent, tmp_path / "out", Translator(None, device="cpu"), "b", FAST)
    run_folder(task)
    ledger = Ledger(task.out)
    done = ledger.get("source.mp4")
    ledger.set({"source.mp4": Entry(state="running", key=done.key)})
    again = run_folder(task)
    assert (again.skipped, again.done, again.failed) == (["source.mp4"], [], [])
    assert Ledger(task.out).get("source.mp4").model_copy(update={"seconds": done.seconds}) == done


def test_a_foreign_file_is_not_mistaken_for_a_waiting_output(make_video: MakeVideo, tmp_path: Path) -> None:
    task = Folder(make_video().parent, tmp_path / "out", Translator(None, device="cpu"), "b", FAST)
    run_folder(task)
    done = Ledger(task.out).get("source.mp4")
    Ledger(task.out).set({"source.mp4": Entry(key=done.key)})
    assert [name for name, _ in run_folder(task).failed] == ["source.mp4"]
    assert "is not recorded as an output" in entries(task.out)["source.mp4"]["reason"]


def test_copies_of_one_file_do_not_interfere(make_video: MakeVideo, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("x", "y", "z"):
        (folder / name).mkdir(parents=True)
        shutil.copy(make_video(stamps=range(0, 300 * 512, 512)), folder / name / "clip.mp4")
    task = Folder(place(f"file://{folder}"), place(f"file://{out}"), Translator(None, device="cpu"), "b", FAST)
    report = run_folder(task, at_once=3)
    assert report.failed == []
    assert files_of(out) == [LEDGER, "x/clip.mp4", "y/clip.mp4", "z/clip.mp4"]


def test_a_finished_source_that_was_changed_in_place_is_no_longer_finished(tmp_path: Path) -> None:
    """Its size and fingerprint stay the same."""
    task = Folder(tmp_path / "in", tmp_path / "out", Translator(None, device="cpu"), "b", FAST)
    video = raw_video(tmp_path / "in" / "r.avi")
    original = Path(shutil.copy2(video, tmp_path / "original"))
    assert run_folder(task).done == ["r.avi"]
    done, output = entries(task.out)["r.avi"], (task.out / "r.mp4").read_bytes()
    assert done["modified"] == video.stat().st_mtime_ns
    assert done["content"] == hashlib.sha256(video.read_bytes()).hexdigest()

    os.utime(video, (1, 1))
    assert run_folder(task).skipped == ["r.avi"], "only its time changed"
    assert entries(task.out)["r.avi"] == done | {"modified": 10**9}

    overwrite_quarter(video)
    for _ in range(2):
        ((name, reason),) = run_folder(task).failed
        assert (name, "was made from another source, model or settings; give --overwrite" in reason) == ("r.avi", True)
        assert (task.out / "r.mp4").read_bytes() == output
    killed = plan(task.survey(Ledger(task.out)).jobs, Ledger(task.out), task.key(), overwrite=True)[0].entry
    Ledger(task.out).set({"r.avi": killed})  # before the first frame: what is there is not made of the new source
    assert len(run_folder(task).failed) == 1
    assert run_folder(task, overwrite=True).done == ["r.avi"]
    assert (task.out / "r.mp4").read_bytes() != output
    assert run_folder(task).skipped == ["r.avi"]

    shutil.copy2(original, video)
    assert len(run_folder(task).failed) == 1
    (task.out / "r.mp4").unlink()
    assert run_folder(task).done == ["r.avi"]
    assert (task.out / "r.mp4").read_bytes() == output


def test_a_change_in_place_is_detected_after_other_settings_were_tried(tmp_path: Path) -> None:
    task = Folder(tmp_path / "in", tmp_path / "out", Translator(None, device="cpu"), "b", FAST)
    video = raw_video(tmp_path / "in" / "r.avi")
    run_folder(task)
    done = entries(task.out)["r.avi"]
    other = replace(task, settings=TranslateSettings(preset="ultrafast", crf=40))
    for change, skipped in ((False, ["r.avi"]), (True, [])):
        if change:
            overwrite_quarter(video)
        ledger = Ledger(task.out)
        begun = plan(other.survey(ledger).jobs, ledger, other.key(), overwrite=True)[0].entry
        ledger.set({"r.avi": begun})  # and killed
        assert run_folder(task).skipped == skipped
    assert entries(task.out)["r.avi"]["content"] == done["content"]


def test_a_record_of_an_earlier_version_counts_as_before(tmp_path: Path) -> None:
    task = Folder(tmp_path / "in", tmp_path / "out", Translator(None, device="cpu"), "b", FAST)
    video = raw_video(tmp_path / "in" / "r.avi")
    run_folder(task)
    old = Ledger(task.out).get("r.avi").model_copy(update={"modified": 0, "content": ""})
    Ledger(task.out).set({"r.avi": old})
    os.utime(video, (1, 1))
    assert run_folder(task).skipped == ["r.avi"]
    assert Ledger(task.out).get("r.avi") == old


def test_a_failed_source_that_was_repaired_in_place_is_retried(tmp_path: Path) -> None:
    task = Folder(tmp_path / "in", tmp_path / "out", Translator(None, device="cpu"), "b", FAST)
    video = raw_video(tmp_path / "in" / "r.avi")
    run_folder(task)
    (task.out / "r.mp4").unlink()
    facts = {"state": "failed", "reason": "damaged"}
    Ledger(task.out).set({"r.avi": Ledger(task.out).get("r.avi").model_copy(update=facts)})
    assert [reason for _, reason in run_folder(task).failed] == [
        "damaged (in an earlier run; give --retry-failed to try again)"
    ]
    overwrite_quarter(video)
    assert run_folder(task).done == ["r.avi"]


def run_folder(task: Folder, *, at_once: int = 1, overwrite: bool = False) -> BatchReport:
    engine = Threads(task.translator, task.to, task.settings, overwrite, at_once=at_once)
    return translate_all(task, engine=engine, overwrite=overwrite, retry_failed=False)


def test_a_dry_run_reports_and_writes_nothing(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = recycle(tree, out, "--dry-run", "--exclude", "deep/*")
    assert told.returncode == 1, told.stderr  # as the run itself
    assert not out.exists()
    lines = told.stdout.splitlines()
    assert f"translate 6.avi -> {out / '6.mp4'}" in lines
    assert any(line.startswith("fail      zero.mp4 -> ") and "zero.mp4 is empty" in line for line in lines)
    assert not any("deep" in line for line in lines)
    assert re.fullmatch(r"6 to translate, 0 to skip, 3 to fail; \d+ frames; time needed: about 0:\d\d:\d\d", lines[-1])


def test_a_killed_batch_continues(make_video: MakeVideo, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(make_video(), folder / "1.mp4")
    shutil.copy(make_video(stamps=range(0, 6 * SEGMENT * 512, 512), size=(96, 128)), folder / "2.mp4")
    command = (*TRANSLATE, folder, out, *CHOSEN, "--at-once", 1)
    process = warm.Process(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while not list(out.glob(".2.recycle/*.segment")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    record = entries(out)
    assert (record["1.mp4"]["state"], record["2.mp4"]["state"]) == ("done", "running")
    assert Ledger(out).get("2.mp4").state == "waiting"
    done = warm.run(*command, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "1 translated, 1 already there, 0 failed" in done.stdout
    assert entries(out)["2.mp4"]["frames"] == 6 * SEGMENT
    assert files_of(out) == ["1.mp4", "2.mp4", LEDGER]


def test_ctrl_c_stops_several_files_in_a_state_to_continue(make_video: MakeVideo, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    long = make_video(stamps=range(0, 6 * SEGMENT * 512, 512), size=(96, 128))
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        shutil.copy(long, folder / name)
    command = (*TRANSLATE, folder, out, *CHOSEN, "--at-once", 2)
    process = warm.Process(*command, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while len({path.parent for path in out.glob(".*/*.segment")}) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "error: stopped; 3 files are left: run the same command again to continue"
    assert {entry["state"] for entry in entries(out).values()} <= {"waiting"}
    done = warm.run(*command, env=ENVIRONMENT)
    assert "3 translated, 0 already there, 0 failed" in done.stdout, done.stderr
    assert files_of(out) == ["1.mp4", "2.mp4", "3.mp4", LEDGER]


def test_a_watched_folder_takes_complete_files_only(make_video: MakeVideo, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    content = make_video().read_bytes()
    process = warm.Process(*TRANSLATE, folder, out, *CHOSEN, "--watch")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("watching")
        with pytest.raises(Busy), open_ledger(out):
            pass
        with (folder / "slow.mp4").open("wb") as file:  # arrives in pieces for longer than a file must be at rest
            for piece in range(6):
                file.write(content[piece * len(content) // 6 : (piece + 1) * len(content) // 6])
                file.flush()
                time.sleep(1)
                assert not (out / "slow.mp4").exists()
        deadline = time.monotonic() + 60
        while not (out / "slow.mp4").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
    finally:
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=30)
    assert "1 translated, 0 already there, 0 failed" in told, errors
    assert entries(out)["slow.mp4"]["state"] == "done"


def test_names_and_patterns(tree: Path, tmp_path: Path) -> None:
    jobs = survey(tree, tree / "out", FAST).jobs
    assert [job.name for job in jobs][:4] == ["1.mov", "1.mp4", "2.mp4", "6.avi"]
    assert len({job.output.with_suffix("") for job in jobs}) == len(jobs) == 12
    only = survey(tree, tmp_path / "out", FAST, include=["deep/*"], exclude=["5.*"]).jobs
    assert [job.name for job in only] == ["deep/3.mp4", "deep/er/4.mp4"]
    (tree / "out").mkdir()
    shutil.copy(tree / "2.mp4", tree / "out")
    assert len(survey(tree, tree / "out", FAST).jobs) == 12
    with pytest.raises(FootageError, match="holds no video that matches the patterns"):
        survey(tree, tmp_path / "out", FAST, include=["*.xyz"])
    with pytest.raises(OutputError, match="is the input itself"):
        survey(tree, tree, FAST)


def test_a_ledger_is_written_immediately(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.set({"b": Entry(state="done", frames=3)})
    ledger.set({"a": Entry(state="failed", reason="why")})
    again = Ledger(tmp_path)
    assert again.get("b") == Entry(state="done", frames=3)
    assert again.get("a").reason == "why"
    assert again.get("c") == Entry()
    assert list(entries(tmp_path)) == ["a", "b"]
