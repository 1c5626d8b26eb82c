"""Real runs, finished and not, on one page."""

import base64
import html
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from recycle.cli import main
from recycle.config import Pipeline, StreetSettings, TranslateSettings, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import BundleError, ConfigError, FootageError, OutputError, RecycleError
from recycle.evaluation import page as pages
from recycle.evaluation.ranking import rank
from recycle.events import Step
from recycle.run_folder import RunFolder
from recycle.runs.compare import compare, unique_names
from recycle.runs.pipeline import learn, make_street, prepare_footage, run
from recycle.training.loop import train
from recycle.translation.translator import Translator
from recycle.video.encode import write_video
from recycle.video.kinds import open_source
from tests.evaluation.conftest import Page
from tests.jobs import saying, stepping

pytestmark = pytest.mark.usefixtures("small_looks")


def task(*, steps: int = 2, cycle: float = 0.0) -> Pipeline:
    return parse_pipeline(
        {
            "name": "small",
            "footage": {"street": {"width": 64, "height": 48, "fps": 8, "seconds": 2, "test_seconds": 0.5}},
            "extract": {"short_side": 48},
            "networks": {
                "generator": {"width": 4, "blocks": 1},
                "discriminator": {"width": 4, "layers": 2},
                "predictor": {"encoder": "tu-test_resnet", "width": 4, "depth": 3},
            },
            "losses": {"weights": {"cycle": cycle, "recycle": 10, "recurrent": 10}},
            "train": {"frames": 3, "size": [32, 32], "steps": steps, "device": "cpu", "log_every": 1},
        },
        where="test",
    )


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished runs, and one that was killed in its second step."""
    root = tmp_path_factory.mktemp("runs")
    folders = [root / name for name in ("plain", "cycle", "killed")]
    run(task(), folders[0])
    for folder in folders[1:]:  # the same films, which then are not made again
        shutil.copytree(folders[0] / "footage", folder / "footage")
    run(task(steps=3, cycle=10.0), folders[1])

    def stop(step: Step) -> None:
        raise Stopped

    where = RunFolder(folders[2])
    _, shots_a, shots_b = prepare_footage(task(), where)
    with pytest.raises(Stopped):
        train(task(), shots_a, shots_b, where.folder, job=stepping(stop))
    return folders


def embedded(page: Page) -> list[bytes]:
    return [base64.b64decode(video["src"].split("base64,")[1]) for video in page.of("video")]


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_finished_and_killed_runs_stand_side_by_side(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "compare.html"
    before = files(runs[0].parent)
    ranking = compare(runs, out)
    assert files(runs[0].parent) == before
    assert list(tmp_path.iterdir()) == [out]
    page = Page(out)
    assert page.row("plain")[1:] == ["2 of 2 steps", "best, step 2", ""]
    assert page.row("killed")[1:] == ["0 of 2 steps", "last, step 0", "training is not finished; no scores yet"]
    assert ranking.headline in html.unescape(page.text)
    assert ranking == rank(
        {name: json.loads((runs[i] / "metrics.json").read_text()) for i, name in enumerate(("plain", "cycle"))}
    )
    assert page.row("losses.weights.cycle")[1:] == ["0.0", "10.0", "0.0"]
    assert page.row("train.steps")[1:] == ["2", "3", "2"]
    assert not any(row[0] == "train.size" for row in page.table)
    shown = [video["aria-label"] for video in page.of("video")]
    roles = ("source", "plain", "cycle", "killed", "truth")
    assert shown == [f"{way}: {role}" for way in ("a → b: test_a.mp4", "b → a: test_b.mp4") for role in roles]
    clips = embedded(page)
    for column, folder in ((1, runs[0]), (2, runs[1])):  # the runs' own translations, as they are
        assert clips[column] == (folder / "translated" / "test_a_ab.mp4").read_bytes()
        assert clips[column + 5] == (folder / "translated" / "test_b_ba.mp4").read_bytes()
    assert clips[3] not in (clips[0], clips[1], clips[2])
    scores = [json.loads((folder / "metrics.json").read_text()) for folder in runs[:2]]
    row = page.row("PSNR")
    assert row[2] == f"{scores[0]['psnr_ab_input']:.2f}"
    assert [cell.removeprefix("best") for cell in row[3:6]] == [*(f"{s['psnr_ab']:.2f}" for s in scores), "–"]
    charts = [svg["aria-label"] for svg in page.of("svg")]
    assert {"cycle over training steps", "recycle over training steps"} <= set(charts)


@pytest.mark.parametrize(
    ("names", "way"),
    [
        ((["summer", "winter"], ["summer", "winter"]), "summer → winter"),
        ((["summer", "winter"], ["day", "night"]), "a → b"),
        ((["summer", "winter"], None), "a → b"),
        ((["summer", "winter"], ["b", "a"]), "a → b"),
    ],
)
def test_names_that_all_runs_share_are_shown(
    runs: list[Path], tmp_path: Path, names: tuple[list[str] | None, ...], way: str
) -> None:
    folders = []
    for own, run_folder in zip(names, runs, strict=False):
        folders.append(tmp_path / run_folder.name)
        shutil.copytree(run_folder, folders[-1])
        settings = json.loads((folders[-1] / "pipeline.json").read_text())
        (folders[-1] / "pipeline.json").write_text(json.dumps(settings | ({} if own is None else {"domains": own})))
    compare(folders, tmp_path / "c.html")
    page = Page(tmp_path / "c.html")
    assert page.of("video")[0]["aria-label"] == f"{way}: test_a.mp4: source"
    assert page.row("PSNR")[1] == way


def test_given_videos_take_the_place_of_the_test_clips(runs: list[Path], tmp_path: Path) -> None:
    film, expected = tmp_path / "film.mp4", tmp_path / "expected.mp4"
    write_video(film, (np.full((48, 64, 3), 30 * i, np.uint8) for i in range(4)), fps=8)
    copy = tmp_path / "copy of a test clip.mp4"
    shutil.copy(runs[0] / "footage" / "test_b.mp4", copy)
    compare(runs[:2], tmp_path / "c.html", a=[film], b=[copy])
    page = Page(tmp_path / "c.html")
    assert [video["aria-label"].partition(": ")[2] for video in page.of("video")] == [
        *(f"film.mp4: {role}" for role in ("source", "plain", "cycle")),
        *(f"copy of a test clip.mp4: {role}" for role in ("source", "plain", "cycle", "truth")),
    ]
    clips = embedded(page)
    Translator.from_pretrained(runs[0] / "model").translate_video(
        film, expected, to="b", settings=TranslateSettings(device="cpu")
    )
    assert clips[1] == expected.read_bytes()
    assert clips[4] == (runs[0] / "translated" / "test_b_ba.mp4").read_bytes()  # known by what it holds


@pytest.mark.parametrize("paired", [False, True])
def test_runs_that_were_only_trained_show_the_frames_that_all_held_out(tmp_path: Path, paired: bool) -> None:
    street = StreetSettings(width=64, height=48, fps=8, seconds=7, test_seconds=0.5)
    films = make_street(street, tmp_path / "films", paired=paired)

    def trained(name: str, *, cycle: float, held_out: int = 4) -> Path:
        plain = task(cycle=cycle).model_dump()
        plain["footage"] = {"a": films.a, "b": films.b, "paired": paired}
        plain["train"]["held_out"] = held_out
        learn(parse_pipeline(plain, where="test"), RunFolder(tmp_path / name))
        return tmp_path / name

    runs = [trained("one", cycle=0.0), trained("two", cycle=10.0)]
    compare(runs, tmp_path / "c.html")
    page = Page(tmp_path / "c.html")
    roles = ("source", "one", "two", *(["truth"] if paired else []))
    assert [video["aria-label"] for video in page.of("video")] == [
        f"{way}: held-out frames: {role}" for way in ("a → b", "b → a") for role in roles
    ]
    clips = embedded(page)
    (source,) = (runs[1] / "held-out").glob("a-*.mp4")
    assert clips[0] == source.read_bytes()
    frames = [shot.read(i) for shot in find_shots(runs[0] / "frames" / "a") for i in range(len(shot.files))]
    with open_source(source) as video:
        for shown, frame in zip(video, frames[-4:], strict=True):
            assert np.abs(shown.pixels.astype(int) - frame.permute(1, 2, 0).numpy()).mean() < 3
    for folder, clip in zip(runs, clips[1:3], strict=True):
        expected = tmp_path / f"{folder.name}.mp4"
        Translator.from_pretrained(folder / "model").translate_video(
            source, expected, to="b", settings=TranslateSettings(device="cpu")
        )
        assert clip == expected.read_bytes()
    if paired:
        assert clips[3] == clips[4]  # the truth of a is b
    else:
        compare([*runs, trained("other", cycle=10.0, held_out=5)], tmp_path / "all.html")
        page = Page(tmp_path / "all.html")
        assert not page.of("video")
        assert "share no test clips and no held-out footage" in page.text


def test_an_older_run_is_read_and_its_translations_are_used(runs: list[Path], tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(runs[0], old)
    (old / "pipeline.json").unlink()
    own = old / "translated" / "test_a_ab.mp4"
    write_video(own, np.full((4, 48, 64, 3), 200, np.uint8), fps=8)  # to see that it is not translated anew
    compare([old, runs[1]], tmp_path / "c.html")
    page = Page(tmp_path / "c.html")
    assert embedded(page)[1] == own.read_bytes()
    assert page.row("losses.weights.cycle")[1:] == ["0.0", "10.0"]
    assert len(page.of("video")) == 8


def test_scores_of_an_earlier_model_are_told(runs: list[Path], tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(runs[0], again)
    for model in ("model", "model-best"):
        shutil.copy(runs[1] / model / "model.safetensors", again / model / "model.safetensors")
    compare([again, runs[0]], tmp_path / "c.html")
    page = Page(tmp_path / "c.html")
    assert page.row("again")[3] == "the scores are of an earlier model; run 'recycle run' again to score this one"
    assert page.row("plain")[3] == ""
    shutil.copy(runs[0] / "model" / "model.safetensors", again / "model" / "model.safetensors")
    compare([again, runs[0]], tmp_path / "c.html")  # as an earlier version did, which scored the last model
    assert (
        Page(tmp_path / "c.html").row("again")[3]
        == "the scores are of the last model; run 'recycle run' again to score the best one"
    )


def test_a_test_clip_that_is_gone_is_told(runs: list[Path], tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(runs[0], moved)
    (moved / "footage" / "test_a.mp4").unlink()
    compare([runs[1], moved], tmp_path / "c.html")
    page = Page(tmp_path / "c.html")
    assert page.row("moved")[3] == "the test clip test_a.mp4 no longer exists"
    shown = [video["aria-label"] for video in page.of("video")]
    assert shown == [f"b → a: test_b.mp4: {role}" for role in ("source", "cycle", "moved", "truth")]


def test_a_folder_of_test_clips_that_is_empty_now_is_told(runs: list[Path], tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(runs[0], moved)
    record = json.loads((moved / "pipeline.json").read_text())
    (tmp_path / "clips").mkdir()
    record["footage"] = {"test_a": [str(tmp_path / "clips")]}
    (moved / "pipeline.json").write_text(json.dumps(record))
    compare([runs[1], moved], tmp_path / "c.html", a=[runs[0] / "footage" / "test_a.mp4"])
    page = Page(tmp_path / "c.html")
    assert "clips" in page.row("moved")[3]
    assert len(page.of("video")) == 4


def test_a_run_without_a_model_leaves_its_places_empty(runs: list[Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(runs[2], bare)
    shutil.rmtree(bare / "model")
    compare([runs[0], bare], tmp_path / "c.html")
    page = Page(tmp_path / "c.html")
    assert page.row("bare")[1:] == ["–", "–", "no model yet; no scores yet"]
    assert len(page.of("video")) == 6
    assert page.text.count("not translated yet") == 2


def test_only_what_compare_wrote_is_replaced(runs: list[Path], tmp_path: Path) -> None:
    out, beside = tmp_path / "c.html", tmp_path / "c-videos" / "1-killed" / "test_a_ab.mp4"
    two = [runs[2], runs[0]]
    out.write_text("precious")
    with pytest.raises(OutputError, match=r"c\.html exists and was not written by 'recycle compare'; give --overwrite"):
        compare(two, out)
    assert out.read_text() == "precious"
    compare(two, out, overwrite=True)
    beside.parent.mkdir(parents=True)
    beside.write_text("precious too")
    with pytest.raises(OutputError, match=r"test_a_ab\.mp4 exists; give --overwrite"):
        compare(two, out)
    assert beside.read_text() == "precious too"
    beside.rename(beside.with_name("mine.mp4"))
    compare(two, out)
    assert [path for path in beside.parents[1].rglob("*") if path.is_file()] == [beside.with_name("mine.mp4")]
    with pytest.raises(OutputError, match="is a folder"):
        compare(two, tmp_path)


def test_too_large_videos_are_linked_and_kept(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "EMBED_LIMIT", 0)
    compare([runs[0], runs[2]], tmp_path / "c.html")
    linked = [tmp_path / video["src"] for video in Page(tmp_path / "c.html").of("video")]
    assert linked[1].samefile(runs[0] / "translated" / "test_a_ab.mp4")
    assert linked[2] == tmp_path / "c-videos" / "2-killed" / "test_a_ab.mp4"
    before = files(tmp_path / "c-videos")
    compare([runs[0], runs[2]], tmp_path / "c.html")
    assert files(tmp_path / "c-videos") == before != {}  # not translated anew


def test_truth_of_another_size_is_left_out(runs: list[Path], tmp_path: Path) -> None:
    films = [tmp_path / "clip.mp4", tmp_path / "truth.mp4"]
    for film, side in zip(films, (64, 32), strict=True):
        write_video(film, np.full((3, side, side, 3), 90, np.uint8), fps=8)
    other = tmp_path / "other"
    shutil.copytree(runs[2], other)
    record = json.loads((other / "pipeline.json").read_text())
    record["footage"] = {"test_a": [str(films[0])], "truth_ab": [str(films[1])]}
    (other / "pipeline.json").write_text(json.dumps(record))
    said: list[str] = []
    compare([runs[0], other], tmp_path / "c.html", a=[films[0]], job=saying(said))
    assert len(Page(tmp_path / "c.html").of("video")) == 3
    assert "left out" in (told := "\n".join(said))
    assert "it has 32×32 pixels, the source 64×64" in told


def test_the_command_names_the_best_run(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [Path(shutil.copytree(run, tmp_path / run.name)) for run in runs[:2]]
    for folder, kid in zip(folders, (2.0, 0.5), strict=True):
        scores = json.loads((folder / "metrics.json").read_text())
        scores |= {f"kid_{way}{twin}": value for way in ("ab", "ba") for twin, value in (("", kid), ("_input", 4.0))}
        sound = {
            key: value for key, value in scores.items() if not key.startswith(("collapse", "structure", "kid_mid"))
        }
        (folder / "metrics.json").write_text(json.dumps(sound))
    monkeypatch.setattr(sys, "argv", ["recycle", "compare", *map(str, folders), "--out", str(tmp_path / "c.html")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    *_, head, first, second, headline, wrote = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "KID", "a", "→", "b", "KID", "b", "→", "a", "mean"]
    assert (first.split()[0], second.split()[0]) == ("cycle", "plain")
    assert headline.startswith(
        "Best: cycle, by KID (mean of both directions, lower is better): cycle 0.5000, plain 2.0000"
    )
    assert wrote.startswith("wrote ")
    assert headline in html.unescape((tmp_path / "c.html").read_text())


def test_what_is_no_run_is_told_in_one_line(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.html"
    monkeypatch.setattr(sys, "argv", ["recycle", "compare", str(runs[0]), str(tmp_path), "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path} is not the folder of a run: it has neither pipeline.json nor")
    assert "give one that 'recycle train'" in line
    with pytest.raises(RecycleError, match="at least two runs"):
        compare(runs[:1], out)
    with pytest.raises(FootageError, match=r"cannot read .*nosuch\.mp4"):
        compare(runs[:2], out, a=[tmp_path / "nosuch.mp4"])
    assert not list(tmp_path.iterdir())
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(FootageError, match=r"photo\.jpg is a single image; give a video"):
        compare(runs[:2], out, b=[tmp_path / "photo.jpg"])
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_damaged_records_are_told_in_one_line(runs: list[Path], tmp_path: Path) -> None:
    for number, (name, content) in enumerate(
        [("pipeline.json", "{"), ("metrics.json", "[1]"), ("model-best/model.safetensors", "no weights")]
    ):
        broken = tmp_path / str(number)
        shutil.copytree(runs[0], broken)
        (broken / name).write_text(content)
        with pytest.raises((ConfigError, BundleError), match=Path(name).name) as caught:
            compare([broken, runs[1]], tmp_path / "c.html")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "c.html").exists()


def test_equal_names_are_told_apart_by_their_parents(tmp_path: Path) -> None:
    one, two, three, four = (tmp_path / name for name in ("x/deep/run", "y/deep/run", "y/flat/run", "y/flat/other"))
    assert unique_names([one, two, three, four]) == ["x/deep/run", "y/deep/run", "flat/run", "other"]
    with pytest.raises(RecycleError, match="given twice"):
        unique_names([one, two, tmp_path / "y" / "deep" / ".." / "deep" / "run"])


def test_a_run_by_the_clock_is_not_measured_in_steps(runs: list[Path], tmp_path: Path) -> None:
    folder = shutil.copytree(runs[0], tmp_path / "evening")
    settings = json.loads((folder / "pipeline.json").read_text())
    settings["train"]["hours"] = 2.5
    (folder / "pipeline.json").write_text(json.dumps(settings))
    compare([folder, runs[1]], tmp_path / "c.html")
    assert Page(tmp_path / "c.html").row("evening")[1] == "2 steps in 2.5 h"
