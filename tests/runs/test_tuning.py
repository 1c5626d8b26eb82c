"""A search of settings continues after a stop, keeps every score, and writes the best pipeline."""

import re
from pathlib import Path
from typing import Any

import pytest

import recycle
from recycle.config import Pipeline, load_pipeline, parse_pipeline
from recycle.errors import ConfigError, Interrupted, RecycleError
from recycle.events import Event, Job, Notice, Step
from recycle.run_folder import RunFolder
from recycle.runs.tuning import TuneReport, search
from recycle.runs.varied import Choices, Span, check_varied, current, parse_varied, with_values
from recycle.training.validation import Scores
from tests.training.test_loop import SETTINGS, footage

pytestmark = pytest.mark.usefixtures("small_looks")

__all__ = ["footage"]

VARY: dict[str, Choices] = {"train.learning_rate": Span(1e-4, 1e-2, log=True), "networks.generator.width": [4, 8]}


def short(footage: tuple[Path, Path], **train: Any) -> Pipeline:
    limits = {"steps": 4, "preview_every": 2, "checkpoint_every": 2, **train}
    data = {**SETTINGS, "train": {**SETTINGS["train"], **limits}, "losses": {"weights": {"cycle": 10}}}
    return parse_pipeline({**data, "footage": {"a": [footage[0]], "b": [footage[1]]}}, where="test")


@pytest.fixture(scope="module")
def searched(
    footage: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TuneReport, list[str]]:
    """A search that is stopped in its second trial, and continued."""
    pytest.importorskip("optuna")
    folder = tmp_path_factory.mktemp("search")
    said: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, Notice):
            said.append(event.text)
        if isinstance(event, Step) and event.step == 3 and any("trial 2 of 3" in text for text in said):
            job.cancel()

    job = Job(observe)
    with pytest.raises(Interrupted):
        search(short(footage), folder, vary=VARY, trials=3, job=job)
    observed = Job(lambda event: said.append(event.text) if isinstance(event, Notice) else None)
    return folder, search(short(footage), folder, vary=VARY, trials=3, job=observed), said


def test_the_first_trial_has_the_values_of_the_pipeline(searched: tuple[Path, TuneReport, list[str]]) -> None:
    assert dict(searched[1].trials[0].values) == {"train.learning_rate": 2e-4, "networks.generator.width": 4}


def test_an_interrupted_trial_continues_with_its_values(searched: tuple[Path, TuneReport, list[str]]) -> None:
    _, report, said = searched
    assert [trial.number for trial in report.trials] == [0, 1, 2]
    second = [text for text in said if text.startswith("trial 2 of 3")]
    assert len(second) == 2
    assert second[0] == second[1]
    assert any(text.startswith("continuing from step 3") for text in said)


def test_scores_are_those_of_the_runs_and_the_lowest_is_the_best(searched: tuple[Path, TuneReport, list[str]]) -> None:
    folder, report, _ = searched
    for trial in report.trials:
        best = Scores.read(RunFolder(folder / "trials" / f"{trial.number:03d}").validation).best
        assert best is not None
        assert trial.score == best[1]
    assert report.best.score == min(trial.score for trial in report.trials if trial.score is not None)
    assert not list(folder.rglob("checkpoint.pt"))


def test_the_best_pipeline_differs_in_the_best_values_alone(
    searched: tuple[Path, TuneReport, list[str]], footage: tuple[Path, Path]
) -> None:
    _, report, _ = searched
    assert load_pipeline(report.pipeline) == with_values(short(footage), report.best.values)


def test_a_finished_search_trains_nothing_and_goes_on_with_more_trials(
    searched: tuple[Path, TuneReport, list[str]], footage: tuple[Path, Path]
) -> None:
    folder, before, _ = searched
    steps: list[Event] = []
    job = Job(lambda event: steps.append(event) if isinstance(event, Step) else None)
    assert search(short(footage), folder, vary=VARY, trials=3, job=job) == before
    assert not steps
    with pytest.raises(ConfigError, match=r"holds a search with another pipeline or other --vary; give another --out"):
        search(short(footage, seed=1), folder, vary=VARY, trials=3)


def test_failing_trials_are_named_and_the_search_goes_on(footage: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    said: list[str] = []
    job = Job(lambda event: said.append(event.text) if isinstance(event, Notice) else None)
    vary: dict[str, Choices] = {"train.stride": [2], "train.frames": [1]}  # valid alone, but not together
    with pytest.raises(RecycleError, match="none of 2 trials has a score"):
        search(short(footage), tmp_path, vary=vary, trials=2, job=job)
    failed = [text for text in said if re.match(r"trial [12]: failed: .*'train.stride' has an effect only on", text)]
    assert len(failed) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.learning_rate=1e-4:1e-3:log", {"train.learning_rate": Span(1e-4, 1e-3, log=True)}),
        ("networks.generator.blocks=2:9", {"networks.generator.blocks": Span(2, 9)}),
        ("networks.generator.width=16, 32", {"networks.generator.width": (16, 32)}),
        ("losses.adversarial=hinge,least_squares", {"losses.adversarial": ("hinge", "least_squares")}),
        ("networks.generator.skip=true,false", {"networks.generator.skip": (True, False)}),
    ],
)
def test_values_on_the_command_line(text: str, expected: dict[str, Any]) -> None:
    assert parse_varied([text]) == expected


@pytest.mark.parametrize("text", ["", "x", "steps=1:2", "train.steps", "train.steps=", "train.steps=a:b", "a.b=1:2:3"])
def test_other_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="--vary") as caught:
        parse_varied([text])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("vary", "problem"),
    [
        ({}, "nothing to tune"),
        ({"train.nothing": [1]}, "there is no setting train.nothing"),
        ({"losses.weights": [1]}, "losses.weights is a group of settings"),
        ({"train.learning_rate": Span(1e-3, 1e-4)}, "expected two ascending numbers, got"),
        ({"train.learning_rate": Span(0.0, 1e-4, log=True)}, "both above 0"),
        ({"train.learning_rate": Span(1e-4, 11.0)}, "learning_rate = 11.0"),
        ({"losses.adversarial": ["hinge", "wishful"]}, "wishful"),
    ],
)
def test_settings_that_cannot_be_varied_are_refused(
    footage: tuple[Path, Path], vary: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        check_varied(short(footage), vary)


def test_the_pipelines_own_values_are_tried_only_if_they_are_among_the_choices(footage: tuple[Path, Path]) -> None:
    own = short(footage)
    assert current(own, {"networks.generator.width": [8, 16]}) is None
    assert current(own, {"networks.generator.width": Span(1, 8)}) == {"networks.generator.width": 4}


def test_a_wrong_number_of_trials_is_refused_before_the_footage_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trials.* greater than or equal to 1"):
        recycle.tune(vary={"train.stride": [1, 2]}, trials=0, a=tmp_path / "absent.mp4", b=tmp_path / "absent.mp4")
