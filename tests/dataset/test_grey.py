"""Footage of one channel is recognised when it is extracted, and a model that is trained on it knows it."""

from pathlib import Path

import cv2

from recycle.config import ExtractSettings, parse_pipeline
from recycle.dataset.extract import extract
from recycle.dataset.shots import find_shots
from recycle.networks.bundle import load_bundle
from recycle.training.loop import train
from tests.training.test_loop import SETTINGS
from tests.video.conftest import moving


def test_a_model_knows_which_of_its_domains_has_one_channel(tmp_path: Path) -> None:
    for name in ("grey", "colour"):
        (tmp_path / name).mkdir()
        for number, pixels in enumerate(moving(16)):
            cv2.imwrite(str(tmp_path / name / f"{number:02d}.png"), pixels[..., 0] if name == "grey" else pixels)
        extract([tmp_path / name], tmp_path / f"frames-{name}", ExtractSettings(short_side=20), workers=1)
    grey, colour = (find_shots(tmp_path / f"frames-{name}") for name in ("grey", "colour"))
    assert [shot.grey for shot in (*grey, *colour)] == [True, False]
    steps = {**SETTINGS, "train": {**SETTINGS["train"], "steps": 1, "preview_every": 1000, "checkpoint_every": 1000}}
    report = train(parse_pipeline(steps, where="test"), colour, grey, tmp_path / "run")
    assert load_bundle(report.model).config.grey == ("b",)
