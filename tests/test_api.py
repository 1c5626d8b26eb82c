"""The package from Python: its names, and each function on real files, by paths as text or as Path."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recycle
from recycle import Job, Translator, evaluate, extract, probe, train, translate
from recycle.batch.engine import BatchReport
from recycle.config import parse_pipeline
from recycle.errors import ConfigError, FootageError, OutputError
from recycle.inputs import open_source
from recycle.rendering.render import RenderReport
from recycle.video.encode import write_video

pytestmark = pytest.mark.usefixtures("small_looks")

SMALL: dict[str, Any] = {
    "networks": {
        "generator": {"width": 4, "blocks": 1},
        "discriminator": {"width": 4, "layers": 2},
        "predictor": {"encoder": "tu-test_resnet", "width": 4, "depth": 3},
    },
    "losses": {"weights": {"cycle": 1}},
    "extract": {"short_side": 32},
    "train": {"size": [32, 32], "frames": 1, "precision": "fp32", "device": "cpu", "preview_every": 2},
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.mp4 and b.mp4."""
    folder = tmp_path_factory.mktemp("films")
    for seed, name in enumerate("ab"):
        picture = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8).repeat(12, 0).repeat(12, 1)
        write_video(folder / f"{name}.mp4", (np.roll(picture, i, axis=1) for i in range(24)), fps=12)
    return folder


@pytest.fixture(scope="module")
def model(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    return train(
        parse_pipeline(SMALL, where="test"), a=films / "a.mp4", b=[str(films / "b.mp4")], out=out, steps=2
    ).model


def test_every_public_name_is_there_and_nothing_else_is_listed() -> None:
    for name in recycle.__all__:
        assert getattr(recycle, name) is not None
    assert dir(recycle) == recycle.__all__ == sorted(recycle.__all__, key=lambda name: (name[0].islower(), name))
    with pytest.raises(AttributeError, match="no attribute 'translat'"):
        _ = recycle.translat


def test_importing_the_package_and_watching_a_job_is_light() -> None:
    code = "import sys, recycle; recycle.Job(); print(sorted({'torch', 'pydantic', 'av', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_run_goes_on_with_the_same_call(films: Path, tmp_path: Path) -> None:
    pipeline = parse_pipeline(SMALL, where="test")
    first = train(pipeline, a=films / "a.mp4", b=films / "b.mp4", out=str(tmp_path / "run"), steps=2)
    again = train(pipeline, a=films / "a.mp4", b=films / "b.mp4", out=tmp_path / "run", steps=3)
    assert (first.resumed_from, first.step) == (0, 2)
    assert (again.resumed_from, again.step) == (2, 3)
    assert again.model == tmp_path / "run" / "model"


def test_a_run_goes_on_by_its_folder_alone_and_is_compared(films: Path, tmp_path: Path) -> None:
    pipeline = parse_pipeline(SMALL, where="test")
    train(pipeline, a=films / "a.mp4", b=films / "b.mp4", out=tmp_path / "one", steps=1)
    report = recycle.resume(str(tmp_path / "one"), steps=2)
    assert (report.resumed_from, report.step) == (1, 2)
    train(pipeline, a=films / "a.mp4", b=films / "b.mp4", out=tmp_path / "two", steps=1)
    assert {run.name: (run.state, run.step) for run in recycle.list_runs(tmp_path)} == {
        "one": ("finished", 2),
        "two": ("finished", 1),
    }
    recycle.compare([tmp_path / "one", str(tmp_path / "two")], tmp_path / "page.html")
    assert "2 runs compared" in (tmp_path / "page.html").read_text()


def test_a_preview_is_four_seconds_of_the_middle(tmp_path: Path) -> None:
    picture = np.zeros((48, 60, 3), np.uint8)
    write_video(tmp_path / "long.mp4", ((picture + i) for i in range(30)), fps=5)
    report = translate(tmp_path / "long.mp4", tmp_path / "out.mp4", model="identity", to="b", preview=True)
    assert isinstance(report, RenderReport)
    assert report.frames == 20
    first = next(iter(open_source(tmp_path / "out.mp4"))).pixels
    assert abs(float(first.mean()) - 5) < 1.5  # the frame at 1 s
    with pytest.raises(ConfigError, match="a folder"):
        translate(tmp_path, tmp_path / "out", model="identity", to="b", preview=True)


def test_without_footage_or_with_two_limits_nothing_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both --a and --b are needed"):
        train(out=tmp_path / "run")
    with pytest.raises(ConfigError, match="either a number of steps or of hours"):
        train(parse_pipeline(SMALL, where="test"), out=tmp_path / "run", steps=2, hours=1)
    assert not (tmp_path / "run").exists()


def test_a_video_and_a_folder_are_translated(films: Path, model: Path, tmp_path: Path) -> None:
    translator = Translator.from_pretrained(model, device="cpu")
    told: list[Any] = []
    one = translate(
        str(films / "a.mp4"), tmp_path / "one.mp4", model=translator, to="b", job=Job(told.append), stabilise=0.5
    )
    assert isinstance(one, RenderReport)
    assert one.frames == 24
    assert told
    with pytest.raises(OutputError, match="exists"):
        translate(films / "a.mp4", tmp_path / "one.mp4", model=translator, to="b")
    back = translate(films / "b.mp4", tmp_path / "back.mp4", model=model.parent, to="a", device="cpu")  # the run's best
    assert isinstance(back, RenderReport)
    assert back.frames == 24
    many = translate(films, tmp_path / "all", model=str(model), to="b", device="cpu", codec="ffv1")
    assert isinstance(many, BatchReport)
    assert (many.done, many.skipped, many.failed) == (["a.mp4", "b.mp4"], [], [])
    again = translate(films, tmp_path / "all", model=model, to="b", device="cpu", codec="ffv1")
    assert isinstance(again, BatchReport)
    assert (again.done, again.skipped) == ([], ["a.mp4", "b.mp4"])
    with pytest.raises(ConfigError, match="codek"):
        translate(films / "a.mp4", tmp_path / "two.mp4", model=translator, to="b", codek="ffv1")


def test_footage_is_extracted_and_probed(films: Path, tmp_path: Path) -> None:
    report = extract(films / "a.mp4", str(tmp_path / "frames"), short_side=32, fps=6, workers=1)
    assert report.frames == 12
    assert len(list((tmp_path / "frames").rglob("*.jpg"))) == 12
    info = probe(str(films / "b.mp4"))
    assert (info.width, info.height, info.frames) == (60, 48, 24)
    with pytest.raises(FootageError, match=r"nowhere\.mp4"):
        probe("nowhere.mp4")


def test_a_model_is_scored_against_the_truth(films: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "colours.txt").write_text("0 0 0 dark\n255 255 255 bright\n")
    labels: dict[str, Any] = {"labels": "b", "palette": tmp_path / "colours.txt", "device": "cpu"}
    scores = evaluate(model, tmp_path / "scores", a=films / "a.mp4", truth_ab=str(films / "b.mp4"), **labels)
    assert scores["psnr_ab"] > 0
    assert 0 < scores["mp_ab"] <= 100
    assert (tmp_path / "scores" / "metrics.json").is_file()


def test_a_script_that_adds_a_kind_of_source_shares_it_with_its_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
from fractions import Fraction
import numpy as np
from recycle import extract
from recycle.video.frame import LazyFrame, StreamInfo
from recycle.video.source import USUAL, Source, add_source, numbers


class Grey(Source):
    kind = "grey"

    def __init__(self, path, reading=USUAL):
        super().__init__(path, reading)
        self.info = StreamInfo(64, 48, Fraction(1, 10), average_rate=Fraction(10), frame_count=10)

    @classmethod
    def takes(cls, path):
        return path.suffix == ".grey"

    def read(self, *, start=None, end=None, entry=None):
        for n in numbers(10, start, end):
            yield LazyFrame.of(np.full((48, 64, 3), 20 * n, np.uint8), n, self.info.time_base)


add_source(Grey)
if __name__ == "__main__":
    print(extract(["one.grey", "two.grey"], "frames", short_side=None, workers=2).frames)
""")
    for name in ("one.grey", "two.grey"):
        (tmp_path / name).write_text(name)
    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["20"], run.stderr


def test_a_script_needs_no_main_guard(films: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"""
from pathlib import Path
from recycle import extract, train
from recycle.config import parse_pipeline

Path("runs.txt").open("a").write("once ")
report = extract([{str(films / "a.mp4")!r}, {str(films / "b.mp4")!r}], "frames", short_side=32, workers=2)
small = {SMALL!r}
small["train"]["workers"] = 1
done = train(parse_pipeline(small, where="script"), a={str(films / "a.mp4")!r}, b={str(films / "b.mp4")!r},
             out="run", steps=2)
print(report.frames, done.step)
""")
    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["48", "2"], run.stderr
    assert (tmp_path / "runs.txt").read_text() == "once "
