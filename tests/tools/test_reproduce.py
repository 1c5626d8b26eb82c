"""Reproduction of the paper's tables: end to end with tiny networks, and its arithmetic."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from recycle.domains import Domain
from recycle.errors import ConfigError, Interrupted
from recycle.events import Event, Job, Progress
from recycle.street.paint import LABELS
from recycle.system.cores import cores
from tools.reproduce import Command, reproduce
from tools.reproduction import judge, runs
from tools.reproduction.footage import Scene
from tools.reproduction.plan import COLUMNS, CONDITIONS, load_plan, merged, pipeline_of
from tools.reproduction.scores import score
from tools.reproduction.segmenter import COLOURS
from tools.reproduction.tables import markdown, normalised, summarise
from tools.reproduction.task import Clip

pytestmark = pytest.mark.usefixtures("small_looks")


class Quiet(Job):
    """Prints nothing, records progress, and can interrupt a training."""

    def __init__(self, stop_in: str = "") -> None:
        super().__init__(self._watch)
        self.bars: list[str] = []
        self._stop_in = stop_in

    def _watch(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.bars.append(event.what)
            if event.what == self._stop_in and event.done == 5:
                signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def results(work: Path) -> Iterator[dict[str, Any]]:
    """Two methods, three steps; the second was interrupted after two of them, and the command run again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "LINES", 96)
        patch.setattr(runs, "_ROUNDS", 1)
        patch.setattr(runs, "_STEPS", 3)
        command = Command(size="smoke", out=work, methods=("cycle", "recycle"), steps=3, jobs=1, device="cpu")
        with pytest.raises(Interrupted):
            reproduce(command, Quiet(stop_in="training"))
        again = Quiet()
        done = reproduce(command, again)
        assert not [bar for bar in again.bars if bar != "training" and "unseen" not in bar]
        third = Quiet()
        kept = reproduce(command, third)
        assert kept["runs"] == done["runs"]
        assert not [bar for bar in third.bars if bar != "training" and "unseen" not in bar]
        yield kept


def test_every_method_is_scored_in_both_directions_and_every_column(results: dict[str, Any], work: Path) -> None:
    assert [(run["method"], run["seed"], run["steps"]) for run in results["runs"]] == [
        ("cycle", 0, 3),
        ("recycle", 0, 3),
        ("recycle, smoothed", 0, 3),
    ]
    assert [run["resumed_from"] for run in results["runs"]] == [0, 2, 2]
    figures = {f"{side}_{name}" for side in ("labels", "video") for name in ("mp", "ac", "iou", "warp")}
    for run in results["runs"]:
        assert set(run["scores"]) == figures | {"norm_mp", "norm_ac", "norm_iou"}
        assert all(set(scores) == set(COLUMNS) for scores in run["scores"].values())
        sheet = cv2.imread(str(work / run["folder"] / "sheet.png"))
        assert sheet is not None
        assert sheet.shape[1] > 7 * 64
    assert json.loads((work / "results.json").read_text()) == json.loads(json.dumps(results))


def test_smoothing_is_scored_and_reduces_flicker(results: dict[str, Any]) -> None:
    plain, smoothed = (run["scores"] for run in results["runs"][1:])
    for figure in ("labels_warp", "video_warp"):
        assert smoothed[figure]["all"] < plain[figure]["all"]


def test_concurrent_runs_score_as_sequential_ones(results: dict[str, Any], work: Path, tmp_path: Path) -> None:
    for kept in (*work.glob("segmenter-*"), *work.glob("yardsticks-*")):
        shutil.copy(kept, tmp_path)
    shutil.copytree(work / "frames", tmp_path / "frames")
    command = Command(size="smoke", out=tmp_path, methods=("cycle", "recycle"), steps=3, jobs=2, device="cpu")
    at_once = reproduce(command, Quiet())
    assert at_once["machine"]["threads"] == max(1, cores() // 2)
    assert min(at_once["step_seconds"].values()) > 0
    for one, other in zip(at_once["runs"], results["runs"], strict=True):
        assert one["folder"] == other["folder"]
        assert one["scores"]["labels_mp"] == pytest.approx(other["scores"]["labels_mp"], abs=2)


def test_the_yardsticks_have_the_expected_scores(results: dict[str, Any]) -> None:
    truth, source, other = (results["yardsticks"][name] for name in ("truth", "input", "another scene"))
    for column in COLUMNS:
        assert truth["labels_mp"][column] == truth["labels_iou"][column] == 100
        assert truth["norm_mp"][column] == 1
        assert source["labels_warp"][column] == truth["video_warp"][column]
        assert source["video_warp"][column] == truth["labels_warp"][column]
    assert 10 < other["labels_mp"]["all"] < 95


def test_the_tables_show_the_scores(results: dict[str, Any]) -> None:
    page = markdown(results)
    for run in results["runs"]:
        assert f"{run['scores']['labels_mp']['all']:.1f}" in page
    row = next(line for line in page.splitlines() if line.startswith("| MP, *paper"))
    assert row.endswith("| 1.58 |")
    ratio = results["runs"][1]["scores"]["labels_iou"]["all"] / results["runs"][0]["scores"]["labels_iou"]["all"]
    assert next(line for line in page.splitlines() if line.startswith("| IoU, recycle ÷ cycle")).endswith(
        f"| {ratio:.2f} |"
    )


def test_the_ablation_is_a_table_of_the_objectives(results: dict[str, Any]) -> None:
    summary = {method: results["summary"][method] for method in ("cycle", "recycle")}
    page = markdown(results | {"ablation": True, "summary": summary})
    seconds = results["step_seconds"]
    for run in results["runs"][:2]:
        iou, warp = (run["scores"][figure]["all"] for figure in ("labels_iou", "video_warp"))
        row = next(line for line in page.splitlines() if line.startswith(f"| {run['method']} |"))
        assert row.startswith(f"| {run['method']} | {seconds[run['method']] / seconds['cycle']:.2f} |")
        assert f"| {iou:.1f} |" in row
        assert row.endswith(f"| {warp:.2f} |")


def test_a_changed_method_is_a_new_run(work: Path) -> None:
    plan = load_plan()
    size = plan.sizes["smoke"]
    one, same, other = (
        runs.Run("m", 0, pipeline_of(size, plan.methods[name], name="m", steps=3), work)
        for name in ("cycle", "cycle", "recycle")
    )
    assert one.folder == same.folder != other.folder


def test_every_pipeline_of_the_plan_is_valid_and_the_methods_differ() -> None:
    plan = load_plan()
    for size in plan.sizes.values():
        for overlays in (plan.methods, plan.ablation):
            losses = {
                name: pipeline_of(size, overlay, name=name).model_dump_json(exclude={"name"})
                for name, overlay in overlays.items()
                if name != "previous"  # what the default was: what it is, until that changes
            }
            assert len(set(losses.values())) == len(losses)


def test_a_method_that_the_plan_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no method 'cyle'.*cycle"):
        reproduce(Command(size="smoke", out=tmp_path, methods=("cyle",)), Quiet())
    assert not list(tmp_path.iterdir()), "said before anything is drawn"


def test_an_overlay_replaces_single_settings() -> None:
    base = {"losses": {"weights": {"cycle": 1, "recycle": 2}}, "train": {"size": [8, 8]}}
    over = {"losses": {"weights": {"recycle": 0}}, "train": {"size": [4, 4]}}
    assert merged(base, over) == {"losses": {"weights": {"cycle": 1, "recycle": 0}}, "train": {"size": [4, 4]}}


def test_scores_of_a_known_mistake() -> None:
    """Sky above, road below; the rendering calls a quarter of the sky a building, in one of two conditions."""
    labels = np.zeros((1, 16, 16, 3), np.uint8)
    labels[:, :8], labels[:, 8:] = LABELS["sky"], LABELS["road"]
    scenes = [Scene(condition, labels, labels, ()) for condition in CONDITIONS[:2]]

    def render(scene: Scene, to: Domain) -> Clip:
        clip = scene.labels.copy()
        if scene is scenes[0]:
            clip[:, :2] = LABELS["building"]
        return clip

    scores = score(render, scenes, lambda frames: frames)
    for side in ("labels", "video"):
        assert scores[f"{side}_mp"] == {"day": 87.5, "sunset": 100, "all": 93.75}
        assert scores[f"{side}_ac"]["day"] == pytest.approx(100 * (0.75 + 1) / 2)
        assert scores[f"{side}_iou"]["all"] == pytest.approx(100 * (0.875 + 1) / 2)


def test_normalised_scores_means_and_spreads() -> None:
    names = [f"{side}_{name}" for side in ("labels", "video") for name in ("mp", "ac", "iou")]
    scored = [{name: {"all": value} for name in names} for value in (20.0, 40.0)]
    ceiling = {name: {"all": 80.0} for name in names}
    summary = summarise([{"method": "m", "scores": normalised(one, ceiling)} for one in scored])["m"]
    assert summary["norm_iou"]["all"]["values"] == [0.25, 0.5]
    assert summary["labels_mp"]["all"]["mean"] == 30
    assert summary["labels_mp"]["all"]["sd"] == pytest.approx(200**0.5)
    assert summarise([{"method": "m", "scores": scored[0]}])["m"]["video_ac"]["all"]["sd"] is None


def test_the_segmenter_returns_palette_colours() -> None:
    assert [tuple(colour) for colour in COLOURS] == list(LABELS.values())


def test_added_methods_are_timed_relative_to_a_known_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is half as fast the second time; the new method's time is converted to that of the first."""
    plan = load_plan()
    size = plan.sizes["smoke"]
    pipelines = {name: pipeline_of(size, plan.methods[name], name=name) for name in ("cycle", "recycle")}
    times = {"cycle": 1.0, "recycle": 3.0}

    def measure(asked: dict[str, Any], *rest: Any) -> dict[str, float]:
        return {name: times[name] for name in asked}

    monkeypatch.setattr(runs, "_measure", measure)
    nothing: Any = None
    assert runs.step_seconds({"cycle": pipelines["cycle"]}, nothing, tmp_path) == {"cycle": 1.0}
    times |= {"cycle": 2.0, "recycle": 6.0}
    assert runs.step_seconds(pipelines, nothing, tmp_path) == {"cycle": 1.0, "recycle": 3.0}
