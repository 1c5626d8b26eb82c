"""The tasks of the benchmark: their footage, what is held out, and one of them from footage to tables."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from recycle.config import NetworkSettings
from recycle.config.networks import Pix2PixSettings, ResNetSettings
from recycle.dataset.files import Files
from recycle.dataset.shots import Shot
from recycle.errors import ConfigError
from recycle.events import Job
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.initialise import initialise
from recycle.street.film import Street
from recycle.translation.translator import Translator
from tools.reproduce import FOOTAGE, Command, page, reproduce
from tools.reproduction import runs
from tools.reproduction.kinds import RealTask, StreetTask, open_task
from tools.reproduction.plan import RealSettings, load_tasks
from tools.reproduction.real import without_end
from tools.reproduction.street import street_films
from tools.reproduction.task import Task
from tools.reproduction.ways import WAYS, translated_by

pytestmark = pytest.mark.usefixtures("small_looks")

NAMES = ("street", "thermal", "signers", "lake-mountain", "lake-highway", "cows-camel")


def opened(name: str, size: str = "smoke") -> Task:
    return open_task(name, size, plan=None, footage=Path("nowhere"))


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real footage, in the form of the task `signers`: short films by day, and by snow."""
    root = tmp_path_factory.mktemp("footage")
    for number, (name, look, seconds) in enumerate(
        (("orange", "day", 2.0), ("orange_test", "day", 1.0), ("skull", "snow", 2.0), ("skull_test", "snow", 1.0))
    ):
        (root / "signers" / name).mkdir(parents=True)
        film = Street(20 + number, 96, 64, 12, seconds)
        film.write(root / "signers" / name / "film.mkv", look, audio=False)  # type: ignore[arg-type]
    return root


@pytest.fixture(scope="module")
def done(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    work = tmp_path_factory.mktemp("signers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_ROUNDS", 1)
        patch.setattr(runs, "_STEPS", 2)
        command = Command("smoke", work, "signers", steps=2, jobs=1, device="cpu", footage=footage)
        return reproduce(command, Job()), work


def test_a_real_task_scores_all_its_methods(done: tuple[dict[str, Any], Path]) -> None:
    results, work = done
    methods = [f"{method}{way}" for method in ("default", "published", "previous") for way in ("", ", stabilised")]
    assert [run["method"] for run in results["runs"]] == methods
    for run in results["runs"]:
        assert run["steps"] == 2
        assert run["scores"] == {}, "nobody knows the truth"
        assert set(run["judged"]) == {"kd_mid", "kd_deep", "structure", "edges", "warp"}
        assert all(set(values) == {"ab", "ba"} for values in run["judged"].values())
    untouched = results["judged_yardsticks"]["untouched input"]
    assert untouched["structure"] == untouched["warp"] == pytest.approx({"ab": 1, "ba": 1})
    recoloured = results["judged_yardsticks"]["colours of the target"]
    assert recoloured["structure"]["ab"] > 0.7
    assert recoloured["kd_mid"] != untouched["kd_mid"]
    assert set(results["judged_yardsticks"]["real training frames"]) == {"kd_mid", "kd_deep"}
    composed = results["judged_yardsticks"]["real places, composed as the source"]["kd_deep"]
    assert all(composed[way] < untouched["kd_deep"][way] for way in ("ab", "ba"))
    assert json.loads((work / "results.json").read_text()) == json.loads(json.dumps(results))


def test_the_tables_of_a_real_task_show_its_scores(done: tuple[dict[str, Any], Path]) -> None:
    results, work = done
    text = (work / "results.md").read_text()
    assert text == page(results)
    there, back = text.split("### b → a")
    for run in results["runs"]:
        for part, way in ((there, "ab"), (back, "ba")):
            row = next(line for line in part.splitlines() if line.startswith(f"| {run['method']} |"))
            deep = run["judged"]["kd_deep"][way]
            base = results["judged_yardsticks"]["untouched input"]["kd_deep"][way]
            assert f"| {deep:.2f} | {run['judged']['structure'][way]:.2f} |" in row
            assert f"| {deep / base:.2f} |" in row
    assert "PSNR" not in text


def test_a_known_truth_has_separate_columns(done: tuple[dict[str, Any], Path]) -> None:
    results, _ = done
    psnr = {"psnr": {"ab": {"mean": 17.125, "sd": 0.25, "values": [17, 17.25]}}}
    known = results | {
        "summary": dict.fromkeys(results["summary"], psnr),
        "yardsticks": {"input": {"psnr": {"ab": 9.5}}},
    }
    there, back = page(known).split("### b → a")
    assert "| PSNR, dB |" in there
    assert there.count("| 17.12 ± 0.25 |") == 6
    assert next(line for line in there.splitlines() if line.startswith("| *untouched input*")).endswith("| 9.50 |")
    assert "PSNR" not in back


def test_sheets_show_source_translation_and_real_frames(done: tuple[dict[str, Any], Path]) -> None:
    results, work = done
    sheet = cv2.imread(str(work / results["runs"][0]["folder"] / "sheet.png"))
    assert sheet is not None
    frame, gap = (48, 72), 3
    assert sheet.shape == (2 * (5 * frame[0] + 4 * gap), 2 * (6 * frame[1] + 5 * gap), 3)
    task = opened("signers")
    read = cv2.imread(str(next((work / "frames").glob("signers-*/test_a/*/000000.png"))))
    assert read is not None
    np.testing.assert_array_equal(sheet[: 2 * frame[0] : 2, : 2 * frame[1] : 2], read)
    overview = cv2.imread(str(work / "results.png"))
    assert overview is not None
    assert overview.shape[0] == len(task.usual) * (sheet.shape[0] + 24)


def test_footage_that_is_missing_is_named(tmp_path: Path, footage: Path) -> None:
    for root in (tmp_path, footage):
        command = Command("smoke", tmp_path / "out", "lake-highway", footage=root)
        with pytest.raises(ConfigError, match=r"'lake-highway' needs driving/sim_lake, driving/highway, .*--footage"):
            reproduce(command, Job())


def test_tasks_sizes_and_methods_that_are_unknown_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no task 'signer'; it has labels, street, thermal, signers"):
        opened("signer")
    with pytest.raises(ConfigError, match=r"no size 'large'; it has cpu, gpu, smoke"):
        opened("street", "large")
    with pytest.raises(ConfigError, match=r"no method 'cyle'"):
        reproduce(Command("smoke", tmp_path, "street", ("cyle",)), Job())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", ["cpu", "gpu", "smoke"])
def test_every_pipeline_of_every_task_is_valid(name: str, size: str) -> None:
    task = opened(name, size)
    for overlays in (task.methods, task.ablation):
        pipelines = {method: task.pipeline(overlay, name=method) for method, overlay in overlays.items()}
        assert all(
            pipeline.train.size == (task.size.pipeline["train"]["size"][0],) * 2 for pipeline in pipelines.values()
        )
    objectives = [task.pipeline(overlay, name="one").model_dump_json() for overlay in task.ablation.values()]
    assert len(set(objectives)) == len(objectives)


def test_published_is_the_published_method() -> None:
    """All but sizes, widths, and settings of what it has not, is as in pipelines/recyclegan.toml."""
    from recycle.config import load_pipeline

    paper = load_pipeline(Path(__file__).parents[2] / "pipelines" / "recyclegan.toml")
    ours = opened("signers", "gpu").pipeline(opened("signers").methods["published"], name="published")
    assert ours.losses == paper.losses
    assert ours.networks == paper.networks
    other = {"steps", "size", "workers", "preview_every"}
    assert ours.train.model_dump(exclude=other) == paper.train.model_dump(exclude=other)


def test_a_size_that_differs_only_in_time_keeps_its_footage() -> None:
    tasks = load_tasks()
    street = tasks.tasks["street"]
    longer = tasks.sizes["smoke"].model_copy(update={"seconds": 9.0, "seeds": 5})
    larger = tasks.sizes["smoke"].model_copy(update={"lines": 64})
    keys = [
        StreetTask("street", tasks.model_copy(update={"sizes": {"s": size}}), street, "s").key  # type: ignore[arg-type]
        for size in (tasks.sizes["smoke"], longer, larger)
    ]
    assert keys[0] == keys[1] != keys[2]


def test_changes_of_the_default_affect_neither_other_methods_nor_the_footage() -> None:
    plan = load_tasks()
    signers, weights = plan.tasks["signers"], {}
    without = plan.model_copy(update={"tasks": {"signers": signers.model_copy(update={"default": {}})}})
    opened = [RealTask("signers", each, each.tasks["signers"], "cpu", Path("nowhere")) for each in (plan, without)]  # type: ignore[arg-type]
    assert opened[0].key == opened[1].key
    for name in plan.methods:
        own, other = (task.pipeline(task.methods[name], name=name) for task in opened)
        weights[name] = own.losses.weights.of("colours", "ab")
        assert (own == other) is (name != "default")
    usual = opened[1].pipeline(opened[1].methods["default"], name="default").losses.weights
    assert weights["default"] == 0 < usual.of("colours", "ab")


def test_unseen_street_has_its_truth_and_shares_no_scene_between_domains() -> None:
    tasks = load_tasks()
    size = tasks.sizes["smoke"]
    films = street_films(tasks.tasks["thermal"], size)  # type: ignore[arg-type]
    day, thermal = films["a"], films["b"]
    assert sum(len(film.frames) for film in day) == size.scored
    for colour, grey in ((day[0].frames, day[0].truth), (thermal[0].truth, thermal[0].frames)):
        assert colour is not None
        assert grey is not None
        assert np.ptp(grey, axis=-1).max() == 0
        assert np.ptp(colour, axis=-1).max() > 50
    assert thermal[0].truth is not None
    assert not np.array_equal(day[0].frames, thermal[0].truth), "what is translated and what it is judged by differ"


def test_the_end_of_all_shots_is_held_out() -> None:
    shots = [
        Shot(Files.of(Path(name), [f"{i}.png" for i in range(count)]), 8, 8)
        for name, count in (("one", 10), ("two", 6), ("three", 4))
    ]
    first, last = without_end(shots, 0.4)
    assert [(shot.files[0].parent.name, len(shot.files)) for shot in first] == [("one", 10), ("two", 2)]
    assert [(shot.files[0].name, len(shot.files)) for shot in last] == [("2.png", 4), ("0.png", 4)]


def test_models_are_scored_as_they_translate_and_each_clip_is_translated_once() -> None:
    torch.manual_seed(0)
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=4), predictor=Pix2PixSettings(width=4, depth=3))
    bundle = Bundle(BundleConfig(networks=networks, short_side=32))
    initialise(bundle, std=0.2)
    translator = Translator(bundle, device="cpu", precision="fp32")
    frames = np.stack([Street(3, 66, 48, 12, 2).frame(i, "day") for i in range(6)])
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    found = {}
    for way in WAYS:
        translate = translated_by(translator, way)
        found[way] = translate(frames, "b")
        if way == "stabilised":
            continue
        expected = translator(clip, to="b", smoothing=way == "smoothed").permute(0, 2, 3, 1) * 127.5 + 127.5
        np.testing.assert_allclose(found[way], expected.numpy(), atol=0.51)
        assert translate(frames, "b") is found[way]
        assert translate(frames, "a") is not found[way]
    assert not np.array_equal(found[""], found["smoothed"])
    flicker = {way: float(np.abs(np.diff(found[way].astype(np.float32), axis=0)).mean()) for way in ("", "stabilised")}
    assert flicker["stabilised"] < flicker[""]


@pytest.mark.skipif(not FOOTAGE.is_dir(), reason="needs the shared footage")
@pytest.mark.parametrize("name", NAMES[2:])
def test_the_footage_of_every_real_task_exists(name: str) -> None:
    settings = load_tasks().tasks[name]
    assert isinstance(settings, RealSettings)
    for place in (*settings.a, *settings.b, *settings.test_a, *settings.test_b):
        assert (FOOTAGE / place).exists()
