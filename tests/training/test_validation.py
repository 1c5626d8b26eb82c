"""The score prefers what looks like the domain and does not flicker; the best bundle and the scores are kept."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from recycle.config import parse_pipeline
from recycle.dataset.shots import Shot, find_shots
from recycle.events import Event, Job, Review
from recycle.networks.bundle import load_bundle
from recycle.street.film import Street
from recycle.training import validation
from recycle.training.loop import train
from recycle.training.validation import KIND, LEAST_STEPS, Motion, Scores, Validator
from tests.training.test_loop import SETTINGS, write_frames


def film(seed: int, look: str, first: int = 0, frames: int = 12) -> Tensor:
    street = Street(seed, 64, 48, 12, 6)
    pictures = np.stack([street.frame(first + i, look) for i in range(frames)])  # type: ignore[arg-type]
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module")
def day() -> Tensor:
    return film(0, "day")


@pytest.fixture(scope="module")
def night() -> Tensor:
    """The true counterpart of `day`, which validators do not use."""
    return film(0, "night")


@pytest.fixture(scope="module")
def validator(day: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Validator:
    """For footage of day, and of night in another street."""
    shots = []
    for name, clip in (("a", film(0, "day", 20, 40)), ("b", film(1, "night", 0, 60))):
        folder = tmp_path_factory.mktemp(name)
        for i, frame in enumerate((clip.permute(0, 2, 3, 1).numpy() * 127.5 + 127.5).round().astype(np.uint8)):
            cv2.imwrite(str(folder / f"{i:03d}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        shots.append((Shot(tuple(sorted(folder.iterdir())), 64, 48),))
    return Validator((shots[0], shots[1]), (day, film(1, "night", 60)), paired=False)


def scores(validator: Validator, fake_b: Tensor, day: Tensor) -> dict[str, float]:
    return validator(day, fake_b)


def there(validator: Validator, fake_b: Tensor, day: Tensor) -> float:
    """The score of one direction."""
    return sum(value for name, value in scores(validator, fake_b, day).items() if name.startswith("ab_"))


def test_the_truth_scores_better_than_anything_else(validator: Validator, day: Tensor, night: Tensor) -> None:
    truth = there(validator, night, day)
    others = {
        "untranslated": day,
        "half": (day + night) / 2,
        "too bright": (night + 0.5).clamp(max=1),
        "blurred": torch.nn.functional.avg_pool2d(night, 7, 1, 3),
        "noisy": (night + 0.2 * torch.randn(night.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1),
        "one colour": night.mean((0, 2, 3), keepdim=True).expand_as(night),
        "always the same patch": night[:1, :, :8, :8].repeat(len(night), 1, 6, 8),
        "other frames of the domain": film(1, "night"),
        "always the same frame": film(1, "night", frames=1).expand_as(night),
    }
    found = {name: there(validator, fake, day) for name, fake in others.items()}
    assert all(score > 1.05 * truth for score in found.values()), (truth, found)
    assert found["half"] < found["untranslated"]


def test_the_untranslated_input_scores_1(validator: Validator, day: Tensor) -> None:
    found = scores(validator, day, day)
    assert found["ab_appearance"] == 1
    assert found["ab_content"] == 0


def test_output_that_is_not_finite_never_has_a_good_score(validator: Validator, day: Tensor, night: Tensor) -> None:
    broken = night.clone()
    broken[3] = torch.nan
    assert not np.isfinite(scores(validator, broken, day)["total"])


def test_flicker_is_counted_and_true_motion_is_not(validator: Validator, day: Tensor, night: Tensor) -> None:
    steady = scores(validator, night, day)
    flashes = night + torch.tensor([0.15, -0.15]).repeat(6)[:, None, None, None]
    flickering = scores(validator, flashes.clamp(-1, 1), day)
    assert steady["ab_flicker"] < 0.15 < 0.3 < flickering["ab_flicker"]
    assert flickering["total"] > steady["total"] + 0.1
    smooth = torch.nn.functional.avg_pool2d(day[:1], 5, 1)
    panned = torch.cat([smooth[..., t : t + 48] for t in range(0, 12, 2)])  # the camera turns
    assert Motion(panned).error(panned) < 0.4 * float((panned[1:] - panned[:-1]).abs().mean())


def test_paired_footage_is_scored_by_the_truth(day: Tensor, night: Tensor) -> None:
    validate = Validator(((), ()), (day, night), paired=True)
    perfect, off = validate(day, night), validate(day, night + 0.1)
    assert perfect["total"] == 0
    assert perfect["ab_psnr"] == pytest.approx(100)
    assert off["total"] == pytest.approx(0.05)
    assert off["ab_psnr"] == pytest.approx(10 * np.log10(4 / 0.01), abs=1e-3)


def test_a_run_keeps_its_best_bundle_and_all_scores(tmp_path: Path) -> None:
    a, b = (find_shots(write_frames(tmp_path / name, 60, seed=seed)) for seed, name in ((1, "a"), (2, "b")))
    reviews: list[Review] = []

    def observe(event: Event) -> None:
        if isinstance(event, Review):
            reviews.append(event)

    def go(steps: int) -> None:
        train_settings = {**SETTINGS["train"], "steps": steps, "preview_every": 2, "batch_size": 1}
        losses = {"weights": {"cycle": 10}}
        task = parse_pipeline({**SETTINGS, "losses": losses, "train": train_settings}, where="test")
        train(task, a, b, tmp_path / "run", job=Job(observe))

    go(4)
    go(8)
    found = json.loads((tmp_path / "run" / "validation.json").read_text())
    values = {int(step): score for step, score in found["scores"].items()}
    assert list(values) == [2, 4, 6, 8]
    best = max(step for step in values if values[step] <= 1.05 * min(values.values()))
    assert found["best"] == {"step": best, "score": values[best]}
    assert load_bundle(tmp_path / "run" / "model-best").config.step == best
    assert load_bundle(tmp_path / "run" / "model").config.step == 8
    assert {review.step: review.score for review in reviews} == values
    assert reviews[-1].preview == tmp_path / "run" / "previews" / "step-000008.png"
    assert reviews[-1].preview.is_file()


def test_a_curve_that_is_flat_in_its_last_third_is_reported(tmp_path: Path) -> None:
    falling, flat = Scores(tmp_path / "1"), Scores(tmp_path / "2")
    for step in range(1, 10):
        falling.add(200 * step, 1 / step)
        flat.add(200 * step, max(1 / step, 0.25))
    assert falling.advice() is None
    assert "lowest at step 800 (0.250; now 0.250) and did not improve in the last third" in (flat.advice() or "")


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.5, 0.4, 0.3], [1, 2, 3]),
        ([0.400, 0.415, 0.410], [1, 2, 3]),  # nearly equal
        ([0.400, 0.425, 0.419, 0.5], [1, 3]),
        ([0.40, 0.42, 0.44], [1, 2]),  # small losses do not add up
        ([float("nan"), 0.4, float("inf"), 0.41], [2, 4]),
        ([-0.100, -0.096, -0.094], [1, 2]),
    ],
)
def test_the_last_of_nearly_equal_models_is_kept(scores: list[float], kept: list[int], tmp_path: Path) -> None:
    found = Scores(tmp_path / "validation.json")
    assert [step for step, score in enumerate(scores, 1) if found.add(step, score)] == kept
    assert found.best == (kept[-1], scores[kept[-1] - 1])
    assert Scores.read(found.file).best == found.best


@pytest.mark.parametrize("last", [1, 30, LEAST_STEPS - 1, LEAST_STEPS, 10 * LEAST_STEPS])
def test_that_more_steps_do_not_help_is_claimed_only_after_enough_of_them(last: int, tmp_path: Path) -> None:
    falling, flat, rising = (Scores(tmp_path / str(n)) for n in range(3))
    for part in range(1, 11):
        step = max(1, last * part // 10)
        falling.add(step, 1 / part)
        flat.add(step, 0.5)
        rising.add(step, 0.1 * part)
    enough = False if last >= LEAST_STEPS else None
    assert (flat.improved_late, rising.improved_late) == (enough, enough)
    assert all((scores.advice() is None) == (enough is None) for scores in (flat, rising))
    assert falling.improved_late is (True if last > 1 else None)
    assert falling.advice() is None


@pytest.mark.parametrize(("rate", "told"), [(1e-9, True), (5e-4, False)])
def test_a_run_without_progress_is_reported_at_its_end(
    rate: float, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pairs of negatives, with steps that are too small, or that improve the score until the end."""
    monkeypatch.setattr(validation, "LEAST_STEPS", 30)
    a, b = (write_frames(tmp_path / name, 60, seed=1) for name in "ab")
    for file in b.glob("*.png"):
        cv2.imwrite(str(file), cv2.bitwise_not(cv2.imread(str(file), cv2.IMREAD_COLOR)))
    losses = {"weights": {"paired": 10}}
    settings = {**SETTINGS["train"], "steps": 30, "preview_every": 3, "learning_rate": rate, "ema": 0, "decay": 0}
    settings["frames"] = 1
    plain = {**SETTINGS, "footage": {"paired": True}, "losses": losses, "train": settings}
    report = train(parse_pipeline(plain, where="test"), find_shots(a), find_shots(b), tmp_path / "run")
    assert any("did not improve in the last third of the run" in notice for notice in report.notices) == told


def test_scores_of_repeated_steps_are_discarded_but_not_the_best(tmp_path: Path) -> None:
    scores = Scores(tmp_path / "validation.json")
    for step, score in ((2, 0.5), (4, float("nan")), (6, 0.3)):
        scores.add(step, score)
    again = Scores.load(tmp_path / "validation.json", step=4)
    assert list(again.by_step) == [2, 4]
    assert again.best == (6, 0.3)
    assert not again.add(5, 0.4), "the lost step 6 was better"
    assert again.add(6, 0.3)
    assert again.add(8, 0.2)
    assert Scores.load(tmp_path / "validation.json", step=0).best is None, "another run's"


def test_scores_of_another_kind_are_discarded(tmp_path: Path) -> None:
    """As in files of earlier versions, which state no kind; scores of paired footage are unchanged."""
    old = Scores(tmp_path / "validation.json", held_out=["a", "b"])
    old.add(2, 0.01)
    assert "kind" not in json.loads(old.file.read_text())
    new = Scores.load(old.file, step=2, held_out=["a", "b"], kind=KIND)
    assert (new.by_step, new.best, new.outdated) == ({}, None, True)
    assert new.add(4, 0.9), "the first of its kind is the best"
    again = Scores.load(old.file, step=4, held_out=["a", "b"], kind=KIND)
    assert (again.by_step, again.best, again.outdated) == ({4: 0.9}, (4, 0.9), False)
    paired = Scores(tmp_path / "paired.json")
    paired.add(2, 0.01)
    assert not Scores.load(paired.file, step=2).outdated
    assert not Scores.load(tmp_path / "absent.json", step=2, kind=KIND).outdated
    assert not Scores.load(old.file, step=0, kind=KIND).outdated


def test_a_run_whose_scores_were_of_another_kind_says_so_once(tmp_path: Path) -> None:
    a, b = (find_shots(write_frames(tmp_path / name, 60, seed=seed)) for seed, name in ((1, "a"), (2, "b")))

    def go(steps: int) -> list[str]:
        settings = {**SETTINGS, "train": {**SETTINGS["train"], "steps": steps, "preview_every": 2}}
        report = train(parse_pipeline(settings, where="test"), a, b, tmp_path / "run")
        return [text for text in report.notices if "is computed differently" in text]

    assert go(2) == []
    file = tmp_path / "run" / "validation.json"
    content = json.loads(file.read_text())
    assert content["kind"] == KIND
    del content["kind"]
    content["best"]["score"] = 1e-6  # on the scale of before
    file.write_text(json.dumps(content))
    assert len(go(4)) == 1
    assert list(json.loads(file.read_text())["scores"]) == ["4"]
    assert load_bundle(tmp_path / "run" / "model-best").config.step == 4
    assert go(6) == []
