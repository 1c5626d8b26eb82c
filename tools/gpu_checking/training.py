"""One training on the street, as a program, because training on several devices starts its program again."""

import sys
from pathlib import Path

from recycle.config import Pipeline, parse_pipeline
from recycle.dataset.clips import find_shots
from recycle.events import Job
from recycle.system.devices import Device
from recycle.training.loop import train
from tools.benchmarking.train import film


def footage(folder: Path, size: int) -> None:
    """Write frames of the street to the folders `a` and `b`."""
    film(folder, size)


def task(device: Device, *, gpu: bool, steps: int, devices: int = 1, batch: int = 1) -> Pipeline:
    """A pipeline for `footage` of 64 lines."""
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
