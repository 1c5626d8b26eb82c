"""Training without a pipeline file, as a user meets it: footage in, a file with reasons and a model out."""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from recycle import plan as make_plan
from recycle.cli import main
from recycle.config import load_pipeline
from recycle.dataset import survey
from recycle.networks.bundle import names_of
from recycle.video.encode import write_video


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("videos")
    random = np.random.default_rng(0)
    for name in ("summer", "winter"):  # smooth, since flat areas of few colours are label maps
        base = cv2.resize(random.integers(0, 255, (4, 5, 3), dtype=np.uint8), (40, 32), interpolation=cv2.INTER_CUBIC)
        write_video(folder / f"{name}.mp4", (np.roll(base, 2 * i, axis=1) for i in range(48)), fps=12)
    return folder / "summer.mp4", folder / "winter.mp4"


class Command:
    """`recycle` in this process, in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)

    def __call__(self, *words: object, code: int = 0) -> str:
        """What it prints; errors where it is to fail."""
        self._patch.setattr(sys, "argv", ["recycle", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = self._capsys.readouterr()
        assert end.value.code == code, said.err
        return said.err if code else said.out


@pytest.fixture
def recycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


def small(text: str) -> str:
    """The file of a plan, edited as a person would: networks that train at once."""
    assert "width = 16" in text
    return text.replace("width = 16", "width = 4")


def test_footage_alone_trains_and_the_same_command_goes_on(
    footage: tuple[Path, Path], tmp_path: Path, recycle: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    surveys: list[object] = []
    compare = survey._compare

    def count(*given: Any) -> survey.Survey:
        surveys.append(given)
        return compare(*given)

    monkeypatch.setattr(survey, "_compare", count)
    named = ("--domains", "day,night")
    command = ("train", "--a", footage[0], "--b", footage[1], "--hours", 0.0012, "--device", "cpu", *named)
    folder = tmp_path / "runs" / "summer-winter"
    said = recycle(*command)
    file = folder / "pipeline.toml"
    assert "summer-winter: chosen for this footage, for a CPU" in said
    assert len(surveys) == 1
    assert said.lower().count("the domains are ") == 1
    assert f"wrote {file.relative_to(tmp_path)}" in said
    assert (folder / "model" / "model.safetensors").is_file()
    *_, model, translation = said.splitlines()
    assert re.fullmatch(r"model       runs/summer-winter/model(-best)?   <- .*from step \d+.*", model)
    assert translation.startswith("translate   recycle translate INPUT OUTPUT --model runs/summer-winter --to night ")
    chosen = load_pipeline(file)
    assert chosen.train.size == (32, 32)
    assert chosen.train.hours == 0.0012
    assert chosen.footage.a == (footage[0],)
    assert chosen.domains == ("day", "night")
    assert "# Footage day: " in file.read_text()
    assert not re.search(r"\bdomain [ab]\b", said)
    written = file.read_bytes()
    again = recycle(*command)
    assert "chosen for" not in again
    assert file.read_bytes() == written
    steps = [int(re.findall(r"trained (\d+) steps", text)[0]) for text in (said, again)]
    assert steps[1] >= steps[0]  # on a busy machine the seconds may end before the first step

    file.write_text(file.read_text().replace("[train]", "[train]\nclip_norm = 5.5"))
    more = recycle(*command[:5], *("--domains", "light,dark"), "--steps", steps[1] + 2, "--device", "cpu")
    assert f"trained {steps[1] + 2} steps" in more
    assert json.loads((folder / "pipeline.json").read_text())["train"]["clip_norm"] == 5.5
    assert names_of(folder / "model") == ("light", "dark")

    file.write_text(file.read_text().replace("width = 16", "width = 12", 1))
    error = recycle(*command, code=1)
    assert "width = 16, the pipeline now says 12; restore that setting, or give another --out" in error


def test_a_plan_writes_nothing_and_is_a_file_to_edit_and_train_with(
    footage: tuple[Path, Path], tmp_path: Path, recycle: Command
) -> None:
    sides = ("--a", footage[0], "--b", footage[1])
    before = {path: path.stat().st_mtime_ns for path in footage[0].parent.iterdir()}
    plan = recycle("train", *sides, "--plan", "--hours", 0.0004, "--device", "cpu")
    again = recycle("run", *sides, "--plan", "--hours", 0.0004, "--device", "cpu")
    assert tomllib.loads(again) == tomllib.loads(plan)  # the comments tell of memory, which other programs take
    choice = make_plan(a=footage[0], b=footage[1], hours=0.0004)
    assert tomllib.loads(choice.toml()) == tomllib.loads(plan) | {"name": choice.pipeline.name}
    assert choice.reasons["train.size"]
    assert list(tmp_path.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in footage[0].parent.iterdir()} == before
    folder = tmp_path / "runs" / "summer-winter"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(small(plan))
    assert small(plan) in recycle("train", *sides, "--plan")
    recycle("train", *sides, "--device", "cpu")
    config = json.loads((folder / "model" / "config.json").read_text())
    assert config["networks"]["generator"]["width"] == 4


def test_a_plan_names_what_a_training_will_skip(footage: tuple[Path, Path], tmp_path: Path, recycle: Command) -> None:
    a = tmp_path / "a"
    a.mkdir()
    (a / "good.mp4").write_bytes(footage[0].read_bytes())
    (a / "cut.mp4").write_bytes(footage[0].read_bytes()[:200])
    (a / "notes.txt").write_text("no video")
    plan = recycle("train", "--a", a, "--b", footage[1], "--plan", "--device", "cpu")
    comments = " ".join(line.removeprefix("# ") for line in plan.splitlines() if line.startswith("#"))
    assert f"left out: {a / 'notes.txt'} (not a video)" in comments
    assert f"will be skipped: {a / 'cut.mp4'} has no video stream" in comments
    assert tomllib.loads(plan)["footage"]["a"] == [str(a)]
    said = make_plan(a=a, b=footage[1]).words
    assert sum("will be skipped" in line for line in said) == 1


def test_a_plan_for_another_machine(footage: tuple[Path, Path], tmp_path: Path, recycle: Command) -> None:
    text = recycle("train", "--a", footage[0], "--b", footage[1], "--plan", "--gpu", 4)
    assert "a GPU (3.4 GiB" in text
    (tmp_path / "task.toml").write_text(text)
    assert load_pipeline(tmp_path / "task.toml").networks.generator.model_dump()["width"] in (16, 32)


def test_a_whole_run_without_a_file(footage: tuple[Path, Path], tmp_path: Path, recycle: Command) -> None:
    write_video(tmp_path / "walk.mp4", np.zeros((3, 32, 40, 3), np.uint8), fps=12)
    sides = ("--a", footage[0], "--b", footage[1], "--test-a", tmp_path / "walk.mp4", "--out", tmp_path / "out")
    time = ("--hours", 0.0003, "--device", "cpu")
    plan = recycle("run", *sides, *time, "--plan")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pipeline.toml").write_text(small(plan))
    recycle("run", *sides, *time)
    assert (tmp_path / "out" / "translated" / "walk_ab.mp4").is_file()
    assert (tmp_path / "out" / "report.html").is_file()
    assert load_pipeline(tmp_path / "out" / "pipeline.toml").footage.test_a == (tmp_path / "walk.mp4",)


def test_what_is_wrong_is_said_at_once_and_nothing_is_written(
    footage: tuple[Path, Path], tmp_path: Path, recycle: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = footage
    broken = tmp_path.parent / f"{tmp_path.name}-broken.mp4"
    broken.write_bytes(b"no video")
    assert "both --a and --b are needed" in recycle("train", code=1)
    assert "(--b not given), such as recycle train --a" in recycle("run", "--a", a, code=1)
    assert "broken.mp4" in recycle("train", "--a", a, "--b", broken, code=1)
    assert "nowhere" in recycle("train", "--a", "nowhere", "--b", b, code=1)
    assert "either a number of steps or of hours" in recycle(
        "train", "--a", a, "--b", b, "--steps", 2, "--hours", 1, code=1
    )
    assert "'hours'" in recycle("train", "--a", a, "--b", b, "--hours", -1, code=1)
    for names, problem in (("summer", "expected two names"), ("b,a", "'b' cannot be the name of domain a")):
        assert f"'domains': {problem}" in recycle("train", "--a", a, "--b", b, "--domains", names, code=1)
    assert "unknown device 'tpu'" in recycle("train", "--a", a, "--b", b, "--device", "tpu", code=1)
    for gpu in ("nan", 0, 1e9):
        assert "from 1 to 1024" in recycle("train", "--a", a, "--b", b, "--plan", "--gpu", gpu, code=1)
    assert "--gpu needs --plan" in recycle("train", "--a", a, "--b", b, "--gpu", 8, code=2)
    assert "leave out --plan" in recycle("train", "signers", "--plan", code=2)
    few = tmp_path.parent / f"{tmp_path.name}-few.mp4"
    write_video(few, np.zeros((2, 32, 32, 3), np.uint8), fps=12)
    assert "domain b has too little footage: 2 frames" in recycle("train", "--a", a, "--b", few, code=1)
    assert "each of the 2 machines would choose" in recycle("train", "--a", a, "--b", b, "--nodes", 2, code=1)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "each of the processes of torchrun would choose" in recycle("train", "--a", a, "--b", b, code=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_pipeline_file_is_left_alone(
    footage: tuple[Path, Path], tmp_path: Path, recycle: Command
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint.pt").write_bytes(b"of another training")
    error = recycle("train", "--a", footage[0], "--b", footage[1], "--out", "out", code=1)
    assert "out holds a training with another pipeline file" in error
    assert not (tmp_path / "out" / "pipeline.toml").exists()


def test_a_chosen_run_is_not_continued_with_another_file(
    footage: tuple[Path, Path], tmp_path: Path, recycle: Command
) -> None:
    sides = ("--a", footage[0], "--b", footage[1])
    plan = recycle("train", *sides, "--plan", "--hours", 0.0003, "--device", "cpu")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pipeline.toml").write_text(small(plan))
    recycle("train", *sides, "--device", "cpu", "--out", "out")
    recycle("train", "out/pipeline.toml", "--device", "cpu", "--out", "out")  # the same file, named
    (tmp_path / "copy.toml").write_text(small(plan))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    error = recycle("train", "copy.toml", "--device", "cpu", "--out", "out", code=1)
    assert f"out is the run of the pipeline {tmp_path}/out/pipeline.toml, not of {tmp_path}/copy.toml" in error
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_runs_are_named_by_their_footage(footage: tuple[Path, Path], tmp_path: Path, recycle: Command) -> None:
    for animal, number in (("cows", 0), ("camel", 1)):
        (tmp_path / animal).mkdir()
        (tmp_path / animal / "frames.mp4").write_bytes(footage[number].read_bytes())
    plan = recycle("train", "--a", "cows/frames.mp4", "--b", "camel/frames.mp4", "--plan")
    assert 'name = "cows-camel"' in plan
