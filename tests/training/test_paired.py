"""Training on pairs finds the true mapping, and is switched on by one line."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from recycle.config import LossWeights, Pipeline, load_pipeline, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import ConfigError, FootageError
from recycle.networks.bundle import load_bundle
from recycle.training.loop import train

pytestmark = pytest.mark.usefixtures("small_looks")

Frames = list[np.ndarray]


def scene(seed: int, count: int) -> Frames:
    """Coloured discs that drift over a gradient, (32, 40, 3) uint8."""
    random = np.random.default_rng(seed)
    x = np.linspace(0, 120, 40, dtype=np.float32)
    frames = []
    discs = [(random.uniform(0, 40, 2), random.uniform(-1, 1, 2), random.integers(0, 256, 3)) for _ in range(6)]
    for t in range(count):
        frame = np.repeat(np.repeat(x[None, :, None], 32, 0), 3, 2) + random.uniform(0, 8, 3).astype(np.float32)
        frame = frame.astype(np.uint8)
        for place, speed, colour in discs:
            centre = tuple(int(v) for v in (place + t * speed) % 40)
            cv2.circle(frame, centre, 5, tuple(int(c) for c in colour), -1)
        frames.append(frame)
    return frames


def counterpart(frame: np.ndarray) -> np.ndarray:
    """The truth that is to be learned: negative, with two colours swapped."""
    return 255 - frame[..., (1, 0, 2)]


def write(folder: Path, frames: Frames) -> Path:
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{i:06d}.png"), frame)
    rows = [{"file": f"{i:06d}.png", "shot": 0, "pts": i} for i in range(len(frames))]
    (folder / "manifest.json").write_text(json.dumps({"width": 40, "height": 32, "frames": rows}))
    return folder


def task(steps: int) -> Pipeline:
    networks = {
        "generator": {"width": 16, "blocks": 1, "blur": False},
        "discriminator": {"width": 8, "layers": 2},
        "predictor": {"encoder": "tu-test_resnet", "width": 4, "depth": 3},
    }
    settings = {"size": [32, 32], "steps": steps, "batch_size": 4, "learning_rate": 1e-3, "ema": 0.98}
    fixed = {"device": "cpu", "precision": "fp32", "augment": {"colour": 0}, "preview_every": 10_000}
    return parse_pipeline({"networks": networks, "train": settings | fixed, "footage": {"paired": True}}, where="test")


def test_pairs_teach_the_truth(tmp_path: Path) -> None:
    seen = [frame for seed in range(3, 203) for frame in scene(seed, 1)]  # so many that it does not matter which
    a = find_shots(write(tmp_path / "a", seen))
    b = find_shots(write(tmp_path / "b", [counterpart(frame) for frame in seen]))
    train(task(300), a, b, tmp_path / "run")
    bundle = load_bundle(tmp_path / "run" / "model")
    unseen = np.stack(scene(2, 8))[..., ::-1].copy()  # as RGB
    truth = np.stack([counterpart(frame[..., ::-1])[..., ::-1] for frame in unseen])
    for generator, source, wanted in ((bundle.gen_ab, unseen, truth), (bundle.gen_ba, truth, unseen)):
        frames = torch.from_numpy(source.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            out = ((generator(frames) + 1) * 127.5).permute(0, 2, 3, 1).numpy()
        error = float(np.abs(out - wanted).mean())
        untouched = float(np.abs(source.astype(float) - wanted).mean())
        assert error < untouched / 4, (error, untouched)


def test_one_line_switches_the_objective() -> None:
    assert task(1).losses.weights == LossWeights(paired=100)
    assert not task(1).predicts


def test_stated_weights_win_over_those_of_paired_footage(tmp_path: Path) -> None:
    file = tmp_path / "task.toml"
    file.write_text("[footage]\npaired = true\n[losses.weights]\nrecurrent = 10\npaired = 50\n[train]\nframes = 3\n")
    assert load_pipeline(file).losses.weights == LossWeights(recurrent=10, paired=50)


def test_a_weight_for_pairs_without_pairs_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "task.toml"
    file.write_text("[losses.weights]\npaired = 50\n")
    with pytest.raises(ConfigError, match=r"'losses\.weights\.paired' needs 'footage\.paired = true'"):
        load_pipeline(file)


def test_footage_that_is_not_paired_is_an_error(tmp_path: Path) -> None:
    a = find_shots(write(tmp_path / "a", scene(1, 12)))
    b = find_shots(write(tmp_path / "b", scene(2, 11)))
    with pytest.raises(FootageError, match="a has 12 frames, b has 11"):
        train(task(1), a, b, tmp_path / "run")
