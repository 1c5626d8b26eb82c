"""Lists of runs and pipelines, and how a listed run is continued."""

from pathlib import Path

import pytest

import recycle
from recycle.config import parse_pipeline, shipped_pipelines
from recycle.errors import BundleError, ConfigError
from recycle.run_folder import RunFolder
from recycle.runs.listing import recorded_pipeline
from recycle.system.atomic import atomic_path
from recycle.system.lock import is_held, only_one
from recycle.training.validation import Scores


def written(folder: Path, steps: int | None = 9, hours: float | None = None) -> RunFolder:
    """A run as `recycle train` leaves it when it is stopped before its first step."""
    train = {"hours": hours} if hours else {"steps": steps}
    pipeline = parse_pipeline({"domains": ["summer", "winter"], "train": train}, where="test")
    folder.mkdir(parents=True)
    RunFolder(folder).pipeline.write_text(pipeline.model_dump_json())
    return RunFolder(folder)


def test_a_preview_that_is_being_written_is_not_listed(tmp_path: Path) -> None:
    where = written(tmp_path / "one")
    for step in (20, 3):
        with atomic_path(where.preview(step).with_suffix(".png")) as temporary:
            temporary.write_bytes(b"an image")
            assert temporary.suffix == ".png"
            during = recycle.run_info(where.folder).previews
            assert temporary not in during
    assert [path.name for path in recycle.run_info(where.folder).previews] == ["step-000003.png", "step-000020.png"]


def test_runs_are_listed_with_their_states_and_other_folders_are_not(tmp_path: Path) -> None:
    assert recycle.list_runs(tmp_path / "absent") == []
    where = written(tmp_path / "one")
    written(tmp_path / "two", hours=2)
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    runs = {run.name: run for run in recycle.list_runs(tmp_path)}
    assert set(runs) == {"one", "two"}
    one, two = runs["one"], runs["two"]
    assert (one.state, one.step, one.steps, one.hours) == ("unfinished", 0, 9, None)
    assert (two.state, two.steps, two.hours) == ("unfinished", None, 2.0)
    assert (one.domains.a, one.model, one.best, one.verdict, one.previews) == ("summer", None, None, None, ())
    assert one.curves() == {}
    with only_one(where.lock, "busy"):
        assert recycle.run_info(where.folder).state == "training"
        assert is_held(where.lock)
    assert not is_held(where.lock)
    Scores(where.validation).add(3, 0.5)
    where.metrics.write_text('{"psnr_ab": 20.0, "psnr_ab_input": 10.0}')
    found = recycle.run_info(where.folder)
    assert found.best == (3, 0.5)
    assert found.verdict is not None
    assert "summer → winter" in found.verdict.headline
    with pytest.raises(BundleError, match="neither a training run nor a model"):
        recycle.run_info(tmp_path / "other")


def test_a_run_is_continued_with_the_edited_file_or_else_the_recorded_settings(tmp_path: Path) -> None:
    where = written(tmp_path / "run")
    recorded = recorded_pipeline(where.folder)
    assert isinstance(recorded, recycle.Pipeline)
    assert recorded.train.steps == 9
    where.chosen.write_text('name = "edited"')
    assert recorded_pipeline(where.folder) == where.chosen
    where.chosen.unlink()
    where.pipeline.write_text('{"unknown": 1}')
    with pytest.raises(ConfigError, match="cannot read"):
        recorded_pipeline(where.folder)
    with pytest.raises(ConfigError, match="nothing to continue"):
        recycle.resume(tmp_path)


def test_every_included_pipeline_is_described() -> None:
    pipelines = recycle.list_pipelines()
    assert [info.name for info in pipelines] == [path.stem for path in shipped_pipelines()]
    assert all(info.description.endswith(".") for info in pipelines)
