"""The task `labels`: an experiment like the paper's Viper one, on the street in five conditions and its label maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recycle.config import Pipeline
from recycle.domains import Domain
from recycle.events import Job
from tools.reproduction.footage import Scene, test_scenes, training_footage
from tools.reproduction.judge import Judge
from tools.reproduction.plan import Overlay, Plan, SegmenterSettings, Size, chosen, digest, pipeline_of
from tools.reproduction.scores import Render, score, write_sheet, yardsticks
from tools.reproduction.segmenter import make_segmenter, open_segmenter
from tools.reproduction.task import Clip, Film, Films, Scores, TrainingFootage, Translate
from tools.reproduction.ways import SMOOTHED


class LabelsTask:
    """See the protocol `Task`."""

    usual = ("cycle", "recycle", "published", "default")

    def __init__(self, plan: Plan, size: str) -> None:
        self.size: Size = chosen(plan.sizes, [size], "size")[size]
        self.methods, self.ablation = plan.methods, plan.ablation
        self.key = digest(self.size.footage)

    def pipeline(self, overlay: Overlay, *, name: str, **train: Any) -> Pipeline:
        """The pipeline of a method, with these settings of `train`. Raises ConfigError."""
        return pipeline_of(self.size, overlay, name=name, **train)

    def training(self, folder: Path, job: Job) -> TrainingFootage:
        """Draw the streets."""
        return training_footage(self.size.footage, folder, job)

    def bench(self, training: TrainingFootage, folder: Path, device: str, job: Job) -> "LabelsBench":
        """Train the segmentation network, and draw the unseen scenes."""
        it = self.size
        weights = make_segmenter(it.segmenter, it.footage, training, folder, device=device, job=job)
        scenes = test_scenes(it.footage, job)
        judge = Judge.of(films(scenes), device)
        return LabelsBench(scenes, weights, it.segmenter, digest(it.footage, it.segmenter), judge, device)


@dataclass(frozen=True)
class LabelsBench:
    """See the protocol `Bench`."""

    scenes: Sequence[Scene]
    segmenter: Path
    """Weights file of the segmentation network."""
    settings: SegmenterSettings
    key: str
    judge: Judge
    device: str
    second: str = SMOOTHED

    def score(self, translate: Translate) -> Scores:
        """Both tables and flicker, by condition."""
        return self._score(rendered(translate))

    def write_sheet(self, path: Path, translate: Translate) -> None:
        """A row for each condition."""
        segmenter = open_segmenter(self.segmenter, self.settings, self.device)
        write_sheet(path, rendered(translate), self.scenes, segmenter)

    def yardsticks(self) -> dict[str, Scores]:
        """See scores.yardsticks."""
        return {name: self._score(render) for name, render in yardsticks(self.scenes).items()}

    def _score(self, render: Render) -> Scores:
        return score(render, self.scenes, open_segmenter(self.segmenter, self.settings, self.device))


def rendered(translate: Translate) -> Render:
    """A translation instead of a scene's true counterpart."""

    def render(scene: Scene, to: Domain) -> Clip:
        return translate(scene.video if to == "b" else scene.labels, to)

    return render


def films(scenes: Sequence[Scene]) -> Films:
    """Video of every other scene, and label maps of the scenes between, so that compared films share no scene."""
    return {
        "a": [Film(scene.video, scene.motions, scene.labels) for scene in scenes[::2]],
        "b": [Film(scene.labels, scene.motions, scene.video) for scene in scenes[1::2]],
    }
