"""The whole road, on a very small street: footage, frames, model, translated video, scores, report."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from recycle.config import Pipeline, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import BundleError, FootageError
from recycle.evaluation import street_features
from recycle.run_folder import RunFolder
from recycle.runs.listing import run_info
from recycle.runs.outcome import model_lines
from recycle.runs.pipeline import open_pipeline, prepare_footage, run
from recycle.runs.scoring import score_model
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from tests.jobs import saying

pytestmark = pytest.mark.usefixtures("small_looks")

FIGURES = ("psnr", "ssim", "warp_error", "tof", "diversity", "collapse", "memorisation", "fid", "kid")
PROMISED = {f"{name}_{way}" for name in FIGURES for way in ("ab", "ba")}
PROMISED |= {"psnr_ab_input", "psnr_ba_input"}


def task(**train: object) -> Pipeline:
    return parse_pipeline(
        {
            "name": "small",
            "footage": {"street": {"width": 64, "height": 48, "fps": 8, "seconds": 4, "test_seconds": 1}},
            "extract": {"short_side": 48},
            "networks": {
                "generator": {"width": 4, "blocks": 1},
                "discriminator": {"width": 4, "layers": 2},
                "predictor": {"encoder": "tu-test_resnet", "width": 4, "depth": 3},
            },
            "train": {"size": [32, 32], "steps": 2, "device": "cpu", **train},
            "evaluate": {"features": "street", "device": "cpu"},
        },
        where="test",
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(street_features, "SCENES", 1)  # a feature network that is trained at once
        patch.setattr(street_features, "STEPS", 2)
        yield run(task(), tmp_path_factory.mktemp("run"))


def files(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_a_run_makes_all_that_it_promises(finished: RunFolder) -> None:
    files = {"config.json", "model.safetensors", "discriminators.safetensors"}
    assert {path.name for path in finished.model.iterdir()} == files
    names = {path.name for path in finished.translated.glob("*.mp4")}
    assert names == {"test_a_ab.mp4", "test_a_ab_back.mp4", "test_b_ba.mp4", "test_b_ba_back.mp4"}
    scores = json.loads(finished.metrics.read_text())
    assert scores.keys() >= PROMISED | {"step"}
    assert all(isinstance(value, float) and np.isfinite(value) for value in scores.values())
    page = finished.report.read_text()
    assert page.count("<video") >= 6
    assert page.count('nearest training frames"') == 2  # a picture for each direction
    assert "data:video/mp4;base64" in page


def test_translated_clips_have_the_frames_and_the_sound_of_their_source(finished: RunFolder) -> None:
    for source, output in (("test_a", "test_a_ab"), ("test_b", "test_b_ba")):
        stamps, packets = [], []
        for path in (finished.footage / f"{source}.mp4", finished.translated / f"{output}.mp4"):
            with VideoReader(path) as reader:
                stamps.append([frame.pts * frame.time_base for frame in reader])
            with av.open(str(path)) as container:
                packets.append([bytes(p) for p in container.demux(audio=0) if p.size])
        assert stamps[0] == stamps[1]
        assert packets[0] == packets[1] != []


def test_a_second_run_makes_nothing_anew(finished: RunFolder) -> None:
    before = files(finished.folder)
    run(task(), finished.folder)
    changed = {name for name, time in files(finished.folder).items() if before.get(name) != time}
    told = ("report.html", "pipeline.json", "logs")
    assert all(name.startswith(told) for name in changed), changed


def test_the_best_model_is_translated_scored_and_named(finished: RunFolder, tmp_path: Path) -> None:
    """More training translates and scores anew where it made a better model, and not where it made a worse one."""
    where = RunFolder(shutil.copytree(finished.folder, tmp_path / "run"))
    first, scores = files(where.translated), json.loads(where.metrics.read_text())
    assert scores["step"] == 2

    def train_on(steps: int, best: float) -> str:
        record = json.loads(where.validation.read_text())
        record["best"]["score"] = best
        where.validation.write_text(json.dumps(record))
        said: list[str] = []
        run(task(steps=steps), where.folder, job=saying(said), command="recycle run small")
        assert [json.loads((model / "config.json").read_text())["step"] for model in (where.model,)] == [steps]
        return "\n".join([*said, *model_lines(where)])

    told = train_on(3, best=-9.0)  # nothing is better than that
    assert files(where.translated) == first
    assert json.loads(where.metrics.read_text()) == scores
    assert f"model       {where.best}   <- from step 2, with a better validation score than the last" in told
    assert f"recycle translate INPUT OUTPUT --model {where.folder} --to b" in told
    page = where.report.read_text()
    assert "model-best: from step 2, with a better validation score than the last; model holds that, of step 3" in page
    assert '<pre class="command"><code>recycle run small</code></pre>' in page

    told = train_on(4, best=99.0)
    assert files(where.translated)["test_a_ab.mp4"] != first["test_a_ab.mp4"]
    again = json.loads(where.metrics.read_text())
    assert again["step"] == 4
    assert again["psnr_ab"] != scores["psnr_ab"]
    shutil.rmtree(where.best)
    assert f"model       {where.model}   <- the last model, from step 4" in model_lines(where)


def test_the_report_begins_with_the_verdict_and_tells_of_footage_and_time(finished: RunFolder) -> None:
    page = finished.report.read_text()
    head = page[page.index("<h1>") : page.index('id="videos-title"')]
    assert head.index('class="verdict') < head.index("<dt>date</dt>")
    assert re.search(r"<dd>20\d\d-\d\d-\d\d \d\d:\d\d ", head)
    assert re.search(r"<dt>duration of training</dt><dd>0:\d\d:\d\d for 2 steps</dd>", head)
    shots = {domain: find_shots(finished.frames / domain) for domain in "ab"}
    for domain in "ab":
        frames = sum(len(shot.files) for shot in shots[domain])
        assert frames == 32
        assert f"{finished.footage / domain}.mp4 (1 shot, 32 frames, 4 s)" in head or "shots, 32 frames, 4 s)" in head
        assert f"{finished.footage / f'test_{domain}.mp4'} (1 clip, 1 s)" in head
    assert re.search(r"2 steps cannot show .*; train for at least 1000 steps, about \d+:\d\d:\d\d at the speed", head)
    verdict = run_info(finished.folder).verdict
    assert verdict is not None
    assert verdict.headline in unescape(head)


def test_truth_scores_the_input_and_the_output_against_the_same_clip(finished: RunFolder) -> None:
    scores = json.loads(finished.metrics.read_text())
    assert scores["psnr_ab_input"] == pytest.approx(scores["psnr_ba_input"], abs=1e-3)  # day ↔ night of one clip


def test_footage_that_is_no_longer_given_is_no_longer_trained_on(finished: RunFolder, tmp_path: Path) -> None:
    one, other = finished.footage / "a.mp4", finished.footage / "test_a.mp4"
    seen = []
    for given in ([one, other], [one]):
        footage = parse_pipeline({"footage": {"a": given, "b": [other]}}, where="test")
        _, a, _ = prepare_footage(footage, RunFolder(tmp_path))
        seen.append({shot.files[0].parent.name.rpartition("-")[0] for shot in a})
    assert seen == [{"a", "test_a"}, {"a"}]
    assert len(list((tmp_path / "frames" / "a").iterdir())) == 2


def test_a_model_can_be_scored_by_itself(finished: RunFolder, tmp_path: Path) -> None:
    clip = {"test_a": finished.footage / "test_a.mp4", "truth_ab": finished.footage / "test_a.mp4"}
    task = parse_pipeline({"footage": clip, "evaluate": {"features": "none"}}, where="test")
    scores = score_model(task, "identity", tmp_path)
    assert scores["psnr_ab"] > 38  # the identity, encoded anew, against itself
    assert scores["psnr_ab_input"] == 100
    assert not any(name.startswith(("memorisation", "fid")) for name in scores)
    with pytest.raises(FootageError, match="no clips to evaluate"):
        score_model(Pipeline(), "identity", tmp_path)


def test_a_folder_of_test_videos_is_all_of_them(finished: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("test_a.mp4", "test_b.mp4"):
        shutil.copy(finished.footage / name, tmp_path / "clips")
    alone = parse_pipeline({"footage": {"test_a": tmp_path / "clips"}}, where="test")
    score_model(alone, "identity", tmp_path)
    assert {path.name for path in RunFolder(tmp_path).translated.glob("*_ab.mp4")} == {"test_a_ab.mp4", "test_b_ab.mp4"}
    short = {"test_a": tmp_path / "clips", "truth_ab": finished.footage / "test_b.mp4"}
    with pytest.raises(FootageError, match="2 test videos of domain a and 1 true counterparts"):
        score_model(parse_pipeline({"footage": short}, where="test"), "identity", tmp_path)


def test_a_model_that_returns_training_footage_is_found_out(finished: RunFolder, tmp_path: Path) -> None:
    """The identity, on footage that is itself the training footage of the domain that it translates to."""
    footage = {"a": finished.frames / "a", "b": finished.frames / "b"}
    clips = {"test_a": finished.footage / "b.mp4", "test_b": finished.footage / "test_b.mp4"}
    copying = parse_pipeline({"footage": {**footage, **clips}, "evaluate": {"max_frames": 16}}, where="test")
    said: list[str] = []
    scores = score_model(copying, "identity", tmp_path / "copying", job=saying(said))
    told = "\n".join(said)
    assert scores["memorisation_ab"] < 0.5 < scores["memorisation_ba"]
    assert "a → b: the output copies training frames" in told
    assert "b → a: the output copies" not in told
    assert "b → a: the translation is no closer to real frames of a than the untouched input" in told
    picture = cv2.imread(str(tmp_path / "copying" / "nearest_ab.png"))
    assert picture is not None
    above, below = picture[:120].astype(int), picture[120:].astype(int)
    assert np.abs(above - below).mean() < 6  # the same frames, but for their encoding

    stamp = (tmp_path / "copying" / "metrics.json").stat().st_mtime_ns
    said.clear()
    score_model(copying, "identity", tmp_path / "copying", job=saying(said))
    assert (tmp_path / "copying" / "metrics.json").stat().st_mtime_ns == stamp
    assert "copies training frames" in "\n".join(said)  # told every time
    swapped = {**copying.model_dump(), "footage": {**footage, **clips, "b": footage["a"]}}
    other = parse_pipeline(swapped, where="test")
    assert score_model(other, "identity", tmp_path / "copying")["memorisation_ab"] > 0.5


def test_training_frames_must_be_extracted(finished: RunFolder, tmp_path: Path) -> None:
    footage = {"b": finished.footage, "test_a": finished.footage / "test_a.mp4"}
    with pytest.raises(FootageError, match="holds no extracted footage"):
        score_model(parse_pipeline({"footage": footage}, where="test"), "identity", tmp_path)


def test_a_missing_test_clip_or_model_is_told_before_any_work(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    write_video(film, np.zeros((12, 48, 64, 3), np.uint8), fps=8)
    missing = {"a": film, "b": film, "test_a": tmp_path / "nosuch.mp4"}
    pipeline = parse_pipeline({"footage": missing, "extract": {"short_side": 48}}, where="test")
    with pytest.raises(FootageError, match=r"no file or folder .*nosuch\.mp4"):
        run(pipeline, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    with pytest.raises(FootageError, match=r"cannot read .*nosuch"):
        score_model(
            parse_pipeline({"footage": {"test_a": tmp_path / "nosuch.mp4"}}, where="test"), "identity", tmp_path
        )
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    RunFolder(unfinished).pipeline.touch()
    for model, words in (
        (tmp_path / "nosuch", f"there is no model {tmp_path / 'nosuch'}; give the folder of a run, such as runs/demo"),
        (unfinished, "has no model yet; train it with 'recycle train', or give the folder of a run"),
        (tmp_path, "is neither a run nor a model bundle: it has no config.json; give the folder of a run"),
    ):
        with pytest.raises(BundleError, match=re.escape(words)):
            score_model(parse_pipeline({"footage": {"test_a": film}}, where="test"), str(model), tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


def test_footage_of_the_command_line_takes_the_place_of_the_files(tmp_path: Path) -> None:
    opened = open_pipeline(Path("demo"), footage={"a": [tmp_path / "x"], "b": None}, train={"steps": 7, "device": None})
    assert opened.footage.street is None
    assert opened.footage.a == (tmp_path / "x",)
    assert opened.footage.b == ()
    assert (opened.train.steps, opened.train.device) == (7, "auto")


def test_bad_videos_are_told_and_skipped(tmp_path: Path) -> None:
    good = np.random.default_rng(0).integers(0, 255, (6, 48, 64, 3), dtype=np.uint8)
    for domain in "ab":
        (tmp_path / domain).mkdir()
        write_video(tmp_path / domain / "good.mp4", good, fps=8)
    (tmp_path / "a" / "bad.mp4").write_text("no video")
    pipeline = parse_pipeline(
        {"footage": {"a": tmp_path / "a", "b": tmp_path / "b"}, "extract": {"short_side": 48}}, where="test"
    )
    said: list[str] = []
    _, shots_a, shots_b = prepare_footage(pipeline, RunFolder(tmp_path / "run"), job=saying(said))
    assert sum(len(shot.files) for shot in shots_a) == sum(len(shot.files) for shot in shots_b) == 6
    bad = f"{tmp_path}{os.sep}a{os.sep}bad.mp4"
    assert sum(text.startswith(f"skipped {bad}: ") for text in said) == 1


def test_footage_and_truths_are_checked_before_any_work(finished: RunFolder, tmp_path: Path) -> None:
    a, test_a = finished.footage / "a.mp4", finished.footage / "test_a.mp4"
    with pytest.raises(FootageError, match="there is no footage for domain b; give --b"):
        prepare_footage(parse_pipeline({"footage": {"a": [a]}}, where="test"), RunFolder(tmp_path))
    missing = {"footage": {"a": [a], "b": [tmp_path / "nosuch.mp4"]}}
    with pytest.raises(FootageError, match=r"there is no file or folder .*nosuch"):
        prepare_footage(parse_pipeline(missing, where="test"), RunFolder(tmp_path))
    write_video(tmp_path / "other.mp4", iter([np.zeros((80, 40, 3), np.uint8)] * 24), fps=24)
    truth = {"footage": {"a": [a], "b": [a], "test_a": [test_a], "truth_ab": [tmp_path / "other.mp4"]}}
    with pytest.raises(FootageError, match="truth is 40×80 pixels and the source"):
        run(parse_pipeline(truth, where="test"), tmp_path / "run")
    assert not list(tmp_path.glob("**/*.jpg"))
