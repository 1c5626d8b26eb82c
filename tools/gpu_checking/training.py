"""One training on a few frames, as a program, because training on several devices starts its program again."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from recycle.config import Pipeline, parse_pipeline
from recycle.dataset.manifest import MANIFEST
from recycle.dataset.shots import find_shots
from recycle.events import Job
from recycle.system.devices import Device
from recycle.training.loop import train

_SIDE, _COUNT = 56, 16


def footage(folder: Path) -> None:
    """Write extracted frames to the folders `a` and `b`: a bright square that moves over noise."""
    for seed, name in enumerate("ab"):
        (folder / name).mkdir()
        picture = np.random.default_rng(seed).integers(0, 90, (_SIDE, _SIDE, 3), dtype=np.uint8)
        for number in range(_COUNT):
            frame = picture.copy()
            frame[12:28, 2 * number : 2 * number + 16] = 200
            cv2.imwrite(str(folder / name / f"{number:06d}.png"), frame)
        rows = [{"file": f"{number:06d}.png", "shot": 0, "pts": number} for number in range(_COUNT)]
        manifest = {"width": _SIDE, "height": _SIDE, "frames": rows}
        (folder / name / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def task(device: Device, *, gpu: bool, steps: int, devices: int = 1, batch: int = 1) -> Pipeline:
    """A pipeline for `footage`."""
    width = 16 if gpu else 4
    return parse_pipeline(
        {
            "networks": {
                "generator": {"blocks": 1, "width": width},
                "discriminator": {"width": width, "layers": 2},
                "predictor": {"kind": "pix2pix", "width": width, "depth": 3},
            },
            "losses": {"weights": {"recycle": 10, "recurrent": 10}},
            "train": {
                "device": device,
                "devices": devices,
                "batch_size": batch,
                "precision": "fp32",
                "steps": steps,
                "frames": 3,
                "size": [48, 48],
                "pool_size": 0,
                "held_out": 4,
                "preview_every": 100_000,
                "checkpoint_every": 2,
                "log_every": 1,
            },
        },
        where="gpu_check",
    )


def learn(frames: Path, out: Path, pipeline: Pipeline, job: Job | None = None) -> Path:
    """Train, and return the model's weights."""
    train(pipeline, find_shots(frames / "a"), find_shots(frames / "b"), out, surveyed=True, job=job)
    return out / "model" / "model.safetensors"


if __name__ == "__main__":
    words = sys.argv[1:]
    learn(
        Path(words[0]),
        Path(words[1]),
        task(words[2], gpu=words[2] != "cpu", steps=int(words[3]), devices=int(words[4])),  # type: ignore[arg-type]
    )
