"""Extraction writes the right frames, complete folders or none, and keeps the user's changes."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recycle.config import ExtractSettings
from recycle.dataset.extract import ExtractReport, extract
from recycle.dataset.selection import RateSelector
from recycle.errors import FootageError, OutputError
from recycle.events import Event, Job, Progress
from recycle.system.workers import run_all
from recycle.video.image_file import read_image
from tests import warm
from tests.video.conftest import overwrite_quarter, raw_video

Pixels = NDArray[np.uint8]
Frames = Callable[..., list[Pixels]]
Make = Callable[..., Path]
WHOLE = ExtractSettings(short_side=None, format="png")


def manifests(out: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Finished folders and their manifests."""
    paths = sorted(path for path in out.glob("*/manifest.json") if not path.parent.name.startswith("."))
    return [(path.parent, json.loads(path.read_text())) for path in paths]


def hidden(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if path.name.startswith(".")]


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture
def video(tmp_path: Path, make_video: Make, moving_frames: Frames) -> Path:
    return make_video(tmp_path / "clip.mp4", moving_frames(20))


def test_frames_and_manifest(tmp_path: Path, video: Path, moving_frames: Frames) -> None:
    report = extract([video], tmp_path / "out", WHOLE)
    assert (report.done, report.skipped, report.failed, report.frames) == ([video], [], [], 20)
    ((folder, manifest),) = manifests(tmp_path / "out")
    assert folder.name == f"clip-{manifest['fingerprint'][:8]}"
    assert manifest["frames"][3] == {"file": "000003.png", "shot": 0, "pts": 3 * 512}
    assert (manifest["width"], manifest["height"], manifest["rotation"]) == (64, 48, 0)
    assert manifest["time_base"] == "1/12800"
    assert ExtractSettings.model_validate(manifest["settings"]) == WHOLE
    assert sorted(p.name for p in folder.iterdir()) == [f"{i:06d}.png" for i in range(20)] + ["manifest.json"]
    for row, pixels in zip(manifest["frames"], moving_frames(20), strict=True):
        assert np.abs(read_image(folder / row["file"]).astype(int) - pixels).mean() < 3


def test_a_turned_wide_pixel_video_is_cropped_and_shrunk(
    tmp_path: Path, make_video: Make, moving_frames: Frames
) -> None:
    video = make_video(tmp_path / "a.mp4", moving_frames(3, 128, 96), turn=(90, False, False), aspect=Fraction(2))
    extract([video], tmp_path / "whole", WHOLE)
    ((_, manifest),) = manifests(tmp_path / "whole")
    assert (manifest["width"], manifest["height"], manifest["rotation"]) == (48, 128, 90)
    settings = ExtractSettings(crop=(8, 28, 40, 100), short_side=20)
    extract([video], tmp_path / "out", settings)
    ((folder, manifest),) = manifests(tmp_path / "out")
    assert (manifest["width"], manifest["height"]) == (20, 50)
    assert read_image(folder / "000000.jpg").shape == (50, 20, 3)
    with pytest.raises(FootageError, match=r"a\.mp4: the crop of 64×90 at \(0, 0\) .* 48×128"):
        extract([video], tmp_path / "no", ExtractSettings(crop=(0, 0, 64, 90)))


def test_small_frames_are_not_enlarged(tmp_path: Path, video: Path) -> None:
    report = extract([video], tmp_path / "out", ExtractSettings(short_side=286))
    ((_, manifest),) = manifests(tmp_path / "out")
    assert (manifest["width"], manifest["height"]) == (64, 48)
    assert "64×48" in report.notices[0]


def test_jpeg_keeps_colour_detail(tmp_path: Path) -> None:
    """Red and blue columns of one pixel survive only without chroma subsampling."""
    (tmp_path / "images").mkdir()
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 200, 200
    cv2.imwrite(str(tmp_path / "images" / "0.png"), stripes[..., ::-1])
    extract([tmp_path / "images"], tmp_path / "out", ExtractSettings(short_side=None))
    ((folder, _),) = manifests(tmp_path / "out")
    assert np.abs(read_image(folder / "000000.jpg").astype(int) - stripes).mean() < 6


def test_a_cut_starts_a_new_shot(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    bright = [np.full_like(f, 255) - f // 4 for f in moving_frames(10)]
    dark = [f // 4 for f in moving_frames(10)]
    extract([make_video(tmp_path / "a.mp4", dark + bright)], tmp_path / "out", ExtractSettings(fps=12.5))
    ((_, manifest),) = manifests(tmp_path / "out")
    assert [row["shot"] for row in manifest["frames"]] == [0] * 5 + [1] * 5
    assert [row["pts"] for row in manifest["frames"]] == [i * 1024 for i in range(10)]


def test_duplicates_are_dropped_within_a_shot(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    frames = list(itertools.chain.from_iterable([f] * 3 for f in moving_frames(8)))
    video = make_video(tmp_path / "a.mp4", frames)
    extract([video], tmp_path / "out", ExtractSettings(short_side=None, drop_duplicates=0.7))
    ((_, manifest),) = manifests(tmp_path / "out")
    assert [row["pts"] // 512 for row in manifest["frames"]] == list(range(0, 24, 3))
    assert {row["shot"] for row in manifest["frames"]} == {0}


def test_a_second_run_skips_and_deleted_frames_stay_deleted(tmp_path: Path, video: Path) -> None:
    extract([video], tmp_path / "out", WHOLE)
    ((folder, _),) = manifests(tmp_path / "out")
    (folder / "000005.png").unlink()
    report = extract([video], tmp_path / "out", WHOLE)
    assert (report.done, report.skipped, report.frames) == ([], [video], 0)
    assert not (folder / "000005.png").exists()


def test_other_settings_replace_an_untouched_folder(tmp_path: Path, video: Path) -> None:
    extract([video], tmp_path / "out", WHOLE)
    report = extract([video], tmp_path / "out", ExtractSettings(fps=5))
    assert report.frames == 4
    ((folder, _),) = manifests(tmp_path / "out")
    assert sorted(p.suffix for p in folder.iterdir()) == [".jpg"] * 4 + [".json"]


@pytest.mark.parametrize(
    ("change", "reason"), [("delete", "deleted by hand"), ("add", "did not write"), ("edit", "changed")]
)
def test_a_folder_that_a_person_edited_is_not_replaced(tmp_path: Path, video: Path, change: str, reason: str) -> None:
    extract([video], tmp_path / "out", WHOLE)
    ((folder, _),) = manifests(tmp_path / "out")
    if change == "delete":
        (folder / "000005.png").unlink()
    elif change == "add":
        (folder / "mine.txt").write_text("precious")
    else:
        os.utime(folder / "000005.png", (time.time() + 60, time.time() + 60))
    before = content(tmp_path / "out")
    with pytest.raises(FootageError, match=reason):
        extract([video], tmp_path / "out", ExtractSettings(fps=5))
    assert content(tmp_path / "out") == before


def test_a_foreign_folder_is_not_changed(tmp_path: Path, video: Path) -> None:
    extract([video], tmp_path / "out", WHOLE)
    ((folder, _),) = manifests(tmp_path / "out")
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(FootageError, match="is not extracted footage"):
        extract([video], tmp_path / "out", WHOLE)


def test_a_changed_source_gets_its_own_folder(
    tmp_path: Path, video: Path, make_video: Make, moving_frames: Frames
) -> None:
    extract([video], tmp_path / "out", WHOLE)
    make_video(video, moving_frames(7, shift=30))
    report = extract([video], tmp_path / "out", WHOLE)
    assert report.frames == 7
    assert "changed after" in report.notices[0]
    assert len(manifests(tmp_path / "out")) == 2


def test_equal_names_do_not_collide(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    for name, count in (("x", 3), ("y", 4)):
        (tmp_path / name).mkdir()
        make_video(tmp_path / name / "clip.mp4", moving_frames(count))
    (tmp_path / "z").mkdir()
    shutil.copy(tmp_path / "x" / "clip.mp4", tmp_path / "z" / "clip.mp4")  # the same again: extracted once
    report = extract([tmp_path / "x", tmp_path / "y", tmp_path / "z"], tmp_path / "out", WHOLE, workers=1)
    assert report.frames == 7
    assert len(manifests(tmp_path / "out")) == 2


def names(report: ExtractReport) -> tuple[list[str], list[str]]:
    """Of the sources that were extracted and skipped."""
    return [str(Path(*path.parts[-2:])) for path in report.done], [
        str(Path(*path.parts[-2:])) for path in report.skipped
    ]


def test_sources_that_differ_where_the_fingerprint_does_not_read_are_all_extracted_once(tmp_path: Path) -> None:
    """In any order of the arguments, and if some are added later."""
    a, b, c = (raw_video(tmp_path / name / "r.avi") for name in "abc")
    overwrite_quarter(b, 1, seconds=0)
    overwrite_quarter(c, 2)
    out, small = tmp_path / "out", ExtractSettings(short_side=48, fps=5)
    first = extract([a, b], out, small, workers=1)
    assert (names(first), first.failed, first.notices) == ((["a/r.avi", "b/r.avi"], []), [], [])
    assert sorted(manifest["source"] for _, manifest in manifests(out)) == [str(a), str(b)]
    before = content(out)
    assert names(extract([b, a], out, small, workers=1)) == ([], ["b/r.avi", "a/r.avi"])
    assert names(extract([b], out, small, workers=1)) == ([], ["b/r.avi"])
    assert content(out) == before
    assert names(extract([c, b, a], out, small, workers=1)) == (["c/r.avi"], ["b/r.avi", "a/r.avi"])
    by_source = {manifest["source"]: folder for folder, manifest in manifests(out)}
    assert len(by_source) == 3
    shutil.rmtree(by_source[str(a)])
    assert names(extract([c, b], out, small, workers=1)) == ([], ["c/r.avi", "b/r.avi"]), "names of folders stay"


def test_equal_copies_are_counted_once_and_named(tmp_path: Path) -> None:
    videos = [raw_video(tmp_path / "a" / "r.avi")]
    for name in "bcd":
        (tmp_path / name).mkdir()
        videos.append(Path(shutil.copy(videos[0], tmp_path / name / "r.avi")))
    overwrite_quarter(videos[3])
    small = ExtractSettings(short_side=48, fps=5)
    taken, nothing = ["a/r.avi", "d/r.avi"], list[str]()
    for expected in ((taken, nothing), (nothing, taken)):
        report = extract(videos, tmp_path / "out", small, workers=1)
        assert names(report) == expected
        assert report.notices == [f"left out: {videos[1]}, {videos[2]} (same content as {videos[0]})"]
        assert len(report.folders) == 2
    assert names(extract(videos[1:2], tmp_path / "out", small)) == ([], ["b/r.avi"]), "its frames are there"


def test_equal_copies_that_fail_are_one_failure(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.mp4").write_text("no video")
    with pytest.raises(FootageError, match=r"a/1\.mp4 is not a readable video"):
        extract([tmp_path / "a", tmp_path / "b"], tmp_path / "out", WHOLE, workers=1)


def test_folders_of_images_of_equal_names_sizes_and_times_are_compared(tmp_path: Path) -> None:
    for name, value in (("a", 10), ("b", 200), ("c", 10)):
        (tmp_path / name / "shot").mkdir(parents=True)
        for number in range(3):
            image = tmp_path / name / "shot" / f"{number}.bmp"
            cv2.imwrite(str(image), np.full((48, 64, 3), value + number, np.uint8))
            os.utime(image, (1_700_000_000, 1_700_000_000))
    report = extract([tmp_path / name / "shot" for name in "abc"], tmp_path / "out", WHOLE, workers=1)
    assert names(report) == (["a/shot", "b/shot"], [])
    assert report.notices == [f"left out: {tmp_path}/c/shot (same content as {tmp_path}/a/shot)"]


def test_a_source_that_was_changed_in_place_is_extracted_again(tmp_path: Path) -> None:
    video, out, small = raw_video(tmp_path / "in" / "r.avi"), tmp_path / "out", ExtractSettings(short_side=48, fps=5)
    original = Path(shutil.copy2(video, tmp_path / "original"))
    extract([video], out, small)
    ((folder, _),) = manifests(out)
    os.utime(video, (1, 1))
    assert names(extract([video], out, small)) == ([], ["in/r.avi"]), "only its time changed"
    overwrite_quarter(video)
    report = extract([video], out, small)
    assert names(report) == (["in/r.avi"], [])
    assert report.notices == [
        f"{video} changed after its frames were extracted to {folder}; delete that folder if you no longer need it"
    ]
    before = content(out)
    assert names(extract([video], out, small)) == ([], ["in/r.avi"])
    shutil.copyfile(original, video)
    assert names(extract([video], out, small)) == ([], ["in/r.avi"]), "the frames of the original are there, too"
    assert content(out) == before


def test_a_manifest_of_an_earlier_version_is_read(tmp_path: Path, video: Path) -> None:
    extract([video], tmp_path / "out", WHOLE)
    ((folder, manifest),) = manifests(tmp_path / "out")
    assert (manifest.pop("modified"), len(manifest.pop("content"))) == (video.stat().st_mtime_ns, 64)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    os.utime(video, (1, 1))
    assert extract([video], tmp_path / "out", WHOLE).skipped == [video]


def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    (tmp_path / "in").mkdir()
    for index, length in enumerate((4, 20, 6)):  # the longest is taken first, and what is told has their order
        make_video(tmp_path / "in" / f"{index}.mp4", moving_frames(length, shift=index))
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    seen: list[Event] = []
    report = extract([tmp_path / "in"], tmp_path / "out", WHOLE, workers=2, job=Job(seen.append))
    assert [path.name for path in report.done] == ["0.mp4", "1.mp4", "2.mp4"]
    assert [(path.name, "not a readable video" in why) for path, why in report.failed] == [("bad.mp4", True)]
    assert report.frames == 30
    assert seen[-1] == Progress("extracting", 30, 30)
    counts = [event.done for event in seen if isinstance(event, Progress)]
    assert counts == sorted(counts)


def test_if_all_fail_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.mp4").write_text("no video")
    with pytest.raises(FootageError, match=r"1\.mp4 is not a readable video"):
        extract([tmp_path / "1.mp4"], tmp_path / "out", WHOLE)
    (tmp_path / "2.mp4").write_text("no video, too")
    with pytest.raises(FootageError, match=r"none of 2 sources could be extracted; the first error: .*1\.mp4 is not"):
        extract([tmp_path / "1.mp4", tmp_path / "2.mp4"], tmp_path / "out", WHOLE, workers=1)


def test_an_output_that_cannot_be_made(tmp_path: Path, video: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to"):
        extract([video], tmp_path / "file" / "out", WHOLE)


def test_the_output_is_another_folder_than_the_input(tmp_path: Path, video: Path) -> None:
    with pytest.raises(OutputError, match="is the input itself; give another folder for the frames"):
        extract([video.parent], video.parent / ".", ExtractSettings())
    with pytest.raises(OutputError, match="is a file; give a folder for the frames"):
        extract([video], video, ExtractSettings())
    assert not list(video.parent.glob("**/*.jpg"))


def test_workers_give_the_same_files_as_one_process(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    videos = [make_video(tmp_path / f"{i}.mp4", moving_frames(6, shift=i)) for i in range(2)]
    extract(videos, tmp_path / "one", WHOLE, workers=1)
    extract(videos, tmp_path / "two", WHOLE, workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def _double_or_die(item: int, count: Callable[[int], None]) -> int:
    if item == 3:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    count(1)
    return 2 * item


def test_a_dying_worker_loses_only_its_own_item() -> None:
    counted: list[int] = []
    results = run_all(_double_or_die, [1, 2, 3, 4], workers=2, crashed=-1, report=counted.append)
    assert results == [2, 4, -1, 8]


def test_killed_and_run_again_equals_an_uninterrupted_run(
    tmp_path: Path, make_video: Make, moving_frames: Frames
) -> None:
    (tmp_path / "in").mkdir()
    for index in range(4):
        make_video(tmp_path / "in" / f"{index}.mp4", moving_frames(60, 160, 120, shift=index * 9))
    script = (
        "from pathlib import Path; import sys; from recycle.config import ExtractSettings\n"
        "from recycle.dataset.extract import extract\n"
        "if __name__ == '__main__':\n"
        "    settings = ExtractSettings(format='png', short_side=None)\n"
        "    extract([Path(sys.argv[1])], Path(sys.argv[2]), settings)\n"
    )
    (tmp_path / "run.py").write_text(script)
    call = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "in")]
    out = tmp_path / "out"
    with subprocess.Popen([*call, str(out)], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (out.exists() and manifests(out) and hidden(out)) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    finished = {folder: (folder / "manifest.json").stat().st_mtime_ns for folder, _ in manifests(out)}
    assert 1 <= len(finished) < 4
    time.sleep(1)  # the workers end with their parent
    done = extract([tmp_path / "in"], out, WHOLE, workers=1)
    assert len(done.skipped) >= len(finished)
    assert done.done
    assert hidden(out) == []
    for folder, moment in finished.items():
        assert (folder / "manifest.json").stat().st_mtime_ns == moment
    extract([tmp_path / "in"], tmp_path / "reference", WHOLE, workers=1)
    assert content(out) == content(tmp_path / "reference")


def test_the_files_of_a_running_process_are_kept(tmp_path: Path, video: Path) -> None:
    (tmp_path / "out").mkdir()
    with subprocess.Popen(["sleep", "30"]) as other:
        (tmp_path / "out" / f".a.{other.pid}.partial").mkdir()
        (tmp_path / "out" / ".a.999999999.partial").mkdir()
        extract([video], tmp_path / "out", WHOLE)
        left = hidden(tmp_path / "out")
        other.kill()
    assert left == [f".a.{other.pid}.partial"]


def times(steps: list[int]) -> Iterator[Fraction]:
    return (Fraction(t, 1000) for t in itertools.accumulate(steps, initial=0))


STEPS = st.lists(st.integers(1, 400), max_size=80)


@given(STEPS, st.floats(0.5, 120))
def test_a_rate_is_never_exceeded(steps: list[int], fps: float) -> None:
    selector = RateSelector(fps, source_rate=None)
    kept = [t for t in times(steps) if selector.keeps(t)]
    period = 1 / Fraction(fps).limit_denominator(100_000)
    cells = [t // period for t in kept]
    assert len(set(cells)) == len(cells)
    assert kept[0] == 0


@given(STEPS, st.floats(0.5, 120))
def test_no_period_has_no_frames(steps: list[int], fps: float) -> None:
    selector = RateSelector(fps, source_rate=None)
    kept = Fraction(0)
    for t in times(steps):
        if selector.keeps(t):
            kept = t
        assert t - kept < 1 / Fraction(fps).limit_denominator(100_000)


@given(st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(24)]), st.floats(1, 4))
def test_rates_above_the_source_keep_every_frame(rate: Fraction, factor: float) -> None:
    """Timestamps rounded to milliseconds, as in Matroska, included."""
    selector = RateSelector(float(rate) * factor, source_rate=rate)
    assert all(selector.keeps(Fraction(round(i / rate * 1000), 1000)) for i in range(200))


@pytest.mark.parametrize(("source", "wanted", "every"), [(60, 15, 4), (30, 15, 2), (50, 25, 2), (60, 20, 3)])
def test_whole_fractions_of_the_rate_are_regular(source: int, wanted: int, every: int) -> None:
    selector = RateSelector(wanted, source_rate=Fraction(source))
    kept = [i for i in range(120) if selector.keeps(Fraction(i, source))]
    assert kept == list(range(0, 120, every))


def test_real_footage(tmp_path: Path, real_footage: Path) -> None:
    awkward = real_footage / "awkward"
    names = ["sideways movie.mov", "bear-vp9-odd-dimensions.webm", "broken.mp4", "te[s]t_ video ' _ .flv"]
    report = extract([awkward / name for name in names], tmp_path, ExtractSettings(short_side=100))
    assert [path.name for path in report.done] == [names[0], names[1], names[3]]
    assert [path.name for path, _ in report.failed] == ["broken.mp4"]
    sizes = {folder.name[:4]: (m["width"], m["height"]) for folder, m in manifests(tmp_path)}
    assert sizes == {"side": (100, 133), "bear": (133, 100), "te[s": (133, 100)}


def test_links_are_extracted_once_and_odd_names_are_recorded(tmp_path: Path, video: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(video, folder / os.fsdecode(b"caf\xe9.mp4"))
    (folder / "second.mp4").symlink_to(os.fsdecode(b"caf\xe9.mp4"))
    (folder / "notes.txt").write_text("no video")
    report = extract([folder], tmp_path / "out", WHOLE, workers=1)
    assert (len(report.done), report.frames, report.failed) == (1, 20, [])
    assert report.notices == [
        f"left out: {folder}/notes.txt (not a video)",
        f"left out: {folder}/second.mp4 (another name of a file that is included)",
    ]
    ((made, manifest),) = manifests(tmp_path / "out")
    assert made.name == f"caf\\udce9-{manifest['fingerprint'][:8]}"
    assert manifest["source"] == f"{folder}/caf\\udce9.mp4"
    assert len(extract([folder], tmp_path / "out", WHOLE, workers=1).skipped) == 1


def test_images_beside_videos_are_extracted_too(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(moving_frames(3)):
        cv2.imwrite(str(tmp_path / "in" / f"{number}.png"), pixels)
    make_video(tmp_path / "in" / "preview.mp4", moving_frames(5, shift=9))
    out = tmp_path / "in" / "frames"  # within the input: its frames are not footage of the second run
    report = extract([tmp_path / "in"], out, WHOLE, workers=1)
    assert report.frames == 8
    assert report.notices == [
        f"{tmp_path / 'in'} holds numbered images and videos: the images count as one video, and the videos are "
        "included too"
    ]
    report = extract([tmp_path / "in"], out, WHOLE, workers=1)
    assert (len(report.skipped), report.done) == (2, [])


def test_a_second_extraction_into_one_folder_is_refused(
    tmp_path: Path, make_video: Make, moving_frames: Frames
) -> None:
    video, out = make_video(tmp_path / "a.mp4", moving_frames(200, 160, 120)), tmp_path / "out"
    command = (*warm.RECYCLE, "extract", video, "--out", out, "--format", "png")
    with warm.Process(*command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(out.glob(".*.partial")) and time.monotonic() < deadline:
            time.sleep(0.005)
        try:
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(
                OutputError, match=r"another recycle process is extracting into .*out; wait for it, or stop it"
            ):
                extract([video], out, WHOLE, workers=1)
            assert len(list(out.glob(".*.partial"))) == 1
        finally:
            process.send_signal(signal.SIGCONT)  # also where an assertion fails: a stopped process never ends
        told, _ = process.communicate(timeout=120)
    assert "1 extracted, 0 already there, 0 failed: 200 new frames" in told
    assert hidden(out) == []
    assert len(manifests(out)) == 1
