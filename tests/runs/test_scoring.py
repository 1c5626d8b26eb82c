"""Test clips: what folders hold beside them is said, and two processes do not meet in one folder."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recycle import evaluate
from recycle.config import FootageSettings, NetworkSettings, ResNetSettings, TranslateSettings
from recycle.errors import ConfigError, OutputError
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.run_folder import IDENTITY, RunFolder
from recycle.runs.scoring import translate_tests
from recycle.video.encode import write_video
from tests.jobs import saying
from tests.video.conftest import moving

HOLD = """
import sys
from pathlib import Path
from recycle.system.lock import only_one
with only_one(Path(sys.argv[1]), "held"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_folder_of_test_clips(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips" / "a.mp4", moving(3), fps=25)
    (tmp_path / "clips" / "notes.txt").write_text("no video")
    where, footage = RunFolder(tmp_path / "run"), FootageSettings(test_a=(tmp_path / "clips",))
    settings = TranslateSettings(preset="ultrafast", device="cpu")
    command = [sys.executable, "-c", HOLD, str(where.folder / ".scoring.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(
            OutputError, match=r"another recycle process is translating or evaluating in .*run; wait for it"
        ):
            translate_tests(footage, settings, IDENTITY, where)
        assert not where.translated.exists()
        other.communicate("\n")
    said: list[str] = []
    (clip,) = translate_tests(footage, settings, IDENTITY, where, job=saying(said))
    assert clip.translated.exists()
    assert said == [f"left out: {tmp_path}/clips/notes.txt (not a video)"]
    assert not list(where.folder.glob(".*"))


def test_a_model_of_one_direction_is_scored_in_it_without_the_way_back(tmp_path: Path) -> None:
    config = BundleConfig(
        name="one", networks=NetworkSettings(generator=ResNetSettings(blocks=1, width=4)), predictors=False, only="ab"
    )
    save_bundle(Bundle(config), tmp_path / "model")
    write_video(tmp_path / "a.mp4", moving(3), fps=25)
    how: dict[str, Any] = {"features": "none", "device": "cpu"}
    scores = evaluate(tmp_path / "model", tmp_path / "scores", a=tmp_path / "a.mp4", **how)
    assert "change_ab" in scores
    assert "cycle_error_ab" not in scores
    with pytest.raises(ConfigError, match="the model 'one' translates only a → b, not to a"):
        evaluate(tmp_path / "model", tmp_path / "other", b=tmp_path / "a.mp4", **how)
