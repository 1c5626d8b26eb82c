"""A small model learns to translate as a large one does."""

from pathlib import Path

import pytest
import torch

from recycle.config import NetworkSettings, Pipeline, ResNetSettings, UNetSettings, load_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import BundleError, ConfigError
from recycle.networks.bundle import Bundle, BundleConfig, digest, load_bundle, save_bundle
from recycle.networks.initialise import initialise
from recycle.runs.pipeline import distillation
from recycle.training.loop import train
from tests.training.test_paired import counterpart, scene, write
from tests.training.test_paired import task as paired_task

pytestmark = pytest.mark.usefixtures("small_looks")


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A bundle that changes colours and edges."""
    torch.manual_seed(4)
    networks = NetworkSettings(generator=ResNetSettings(width=8, blocks=1, skip=True))
    bundle = Bundle(BundleConfig(name="large", networks=networks, predictors=False, short_side=32))
    initialise(bundle, std=0.1)
    save_bundle(bundle, tmp_path / "teacher")
    return tmp_path / "teacher"


def task(teacher: Path, steps: int) -> Pipeline:
    settings = {"steps": steps, "learning_rate": 3e-3, "ema": 0.9, "preview_every": 10_000, "device": "cpu"}
    return distillation(teacher, width=8, blocks=1, train=settings | {"precision": "fp32"})


def test_the_student_repeats_the_teacher_on_unseen_frames(tmp_path: Path) -> None:
    """The teacher learned the negative with two colours swapped; the student gets neither pairs nor its footage."""
    seen = scene(1, 40)
    x = find_shots(write(tmp_path / "x", seen))
    y = find_shots(write(tmp_path / "y", [counterpart(frame) for frame in seen]))
    train(paired_task(120), x, y, tmp_path / "large")
    teacher = tmp_path / "large" / "model"
    before = digest(load_bundle(teacher))
    a, b = (find_shots(write(tmp_path / name, scene(seed, 40))) for seed, name in ((5, "a"), (6, "b")))
    train(task(teacher, 100), a, b, tmp_path / "run")
    student, large = load_bundle(tmp_path / "run" / "model"), load_bundle(teacher)
    assert digest(large) == before
    assert not student.config.predictors
    assert sum(p.numel() for p in student.parameters()) < 0.3 * sum(p.numel() for p in large.parameters())
    frames = torch.stack([torch.from_numpy(frame.copy()) for frame in scene(3, 8)]).permute(0, 3, 1, 2).float()
    frames = frames.flip(1) / 127.5 - 1
    for mine, wanted in ((student.gen_ab, large.gen_ab), (student.gen_ba, large.gen_ba)):
        truth = wanted(frames)
        error, untouched = (mine(frames) - truth).abs().mean(), (frames - truth).abs().mean()
        assert error < untouched / 4, (error, untouched)


def test_only_generators_are_trained_and_the_teacher_is_not_saved(teacher: Path, tmp_path: Path) -> None:
    pipeline = task(teacher, 2)
    assert pipeline.name == "large-fast"
    assert pipeline.networks.generator == ResNetSettings(width=8, blocks=1, skip=True)
    a, b = (find_shots(write(tmp_path / name, scene(seed, 40))) for seed, name in ((1, "a"), (2, "b")))
    train(pipeline, a, b, tmp_path / "run")
    saved = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert {key.split(".")[0] for key in saved["translators"]} == {"gen_ab", "gen_ba"}


@pytest.mark.parametrize(
    "content", ["[train]\nteacher = 'model'\n", "[losses.weights]\ndistillation = 1\n"], ids=["teacher", "weight"]
)
def test_a_teacher_and_its_loss_need_each_other(tmp_path: Path, content: str) -> None:
    file = tmp_path / "task.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"set both 'losses\.weights\.distillation' and 'train\.teacher'"):
        load_pipeline(file)


def test_a_teacher_is_found_beside_the_pipeline_file(teacher: Path, tmp_path: Path) -> None:
    file = tmp_path / "task.toml"
    file.write_text("[train]\nteacher = 'teacher'\n[losses.weights]\ndistillation = 1\n")
    assert load_pipeline(file).train.teacher == teacher


def test_what_is_no_bundle_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is neither a run nor a model bundle"):
        distillation(tmp_path, width=8, blocks=1)


def test_the_student_of_a_unet_is_a_small_resnet_with_its_skip(tmp_path: Path) -> None:
    networks = NetworkSettings(generator=UNetSettings(width=4, skip=True))
    save_bundle(Bundle(BundleConfig(name="large", networks=networks, predictors=False, short_side=32)), tmp_path)
    student = distillation(tmp_path, width=8, blocks=1).networks.generator
    assert student == ResNetSettings(width=8, blocks=1, skip=True)
