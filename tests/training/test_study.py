"""The analysis of the footage before the first step is saved with the run and can be cancelled."""

from pathlib import Path

import pytest
import torch

from recycle.config import PatchSettings, Pipeline
from recycle.dataset.shots import Shot, find_shots
from recycle.errors import Interrupted
from recycle.events import Job
from recycle.objective.kinds import FREE
from recycle.training.loop import train
from tests.jobs import cancelled_from_outside
from tests.objective.test_terms import task
from tests.training.test_loop import same_run, write_frames

pytestmark = pytest.mark.usefixtures("small_looks")

COLOURS = task({"adversarial": 1, "colours": 10})
_JUDGE = PatchSettings(width=4, layers=2, by_kind=True)
BY_KIND = task({"adversarial": 1})
BY_KIND = BY_KIND.model_copy(update={"networks": BY_KIND.networks.model_copy(update={"discriminator": _JUDGE})})


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Shot], list[Shot]]:
    root = tmp_path_factory.mktemp("footage")
    a, b = (find_shots(write_frames(root / name, 20, seed=seed, size=(32, 48))) for seed, name in enumerate("ab"))
    return a, b


@pytest.mark.parametrize("pipeline", [COLOURS, BY_KIND], ids=["colours", "by kind"])
def test_a_continued_run_keeps_its_kinds(
    pipeline: Pipeline, shots: tuple[list[Shot], list[Shot]], tmp_path: Path
) -> None:
    train(pipeline, *shots, tmp_path / "whole")
    _, outcome = cancelled_from_outside(
        lambda job: train(pipeline, *shots, tmp_path / "run", job=job), lambda event: getattr(event, "step", 0) == 1
    )
    assert outcome == ["stopped and saved at step 1; run the same command again to continue"]
    seen: list[str] = []
    job = Job(lambda event: seen.append(getattr(event, "what", "")))
    assert train(pipeline, *shots, tmp_path / "run", job=job).step == 3
    assert not any(what.startswith("analysing domain") for what in seen)
    same_run(tmp_path / "run", tmp_path / "whole")
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["translators"]
    assert (state["kinds.ranges"] < FREE).any()
    assert not [key for key in state if "eyes" in key]


def test_cancelling_the_analysis_lets_the_run_start_over(shots: tuple[list[Shot], list[Shot]], tmp_path: Path) -> None:
    job = Job(lambda event: job.cancel() if getattr(event, "what", "") == "analysing domain b" else None)
    with pytest.raises(Interrupted):
        train(COLOURS, *shots, tmp_path / "run", job=job)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    report = train(COLOURS, *shots, tmp_path / "run")
    assert (report.resumed_from, report.step) == (0, 3)
