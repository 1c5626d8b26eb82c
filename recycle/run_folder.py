"""Every path inside a run's folder, spelled once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

STAMPS = ".done"
"""Folder, beside outputs, of what is remembered of them: see `recycle.runs.stage.Stage`."""

IDENTITY = "identity"
"""In place of a model's folder: translates nothing."""
Which = Literal["best", "last"]
"""Of the models of a run: the one with the best score on held-out frames, or that of the last step."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its things."""

    folder: Path

    @property
    def footage(self) -> Path:
        """Footage of our own making."""
        return self.folder / "footage"

    @property
    def frames(self) -> Path:
        """Extracted frames, `a` and `b`."""
        return self.folder / "frames"

    @property
    def pipeline(self) -> Path:
        """The pipeline that it was last trained with, as JSON."""
        return self.folder / "pipeline.json"

    @property
    def chosen(self) -> Path:
        """The pipeline file that was chosen for it, where none was given; a person may have changed it since."""
        return self.folder / "pipeline.toml"

    @property
    def checkpoint(self) -> Path:
        """What training continues from."""
        return self.folder / "checkpoint.pt"

    @property
    def logs(self) -> Path:
        """Curves, as TensorBoard keeps them."""
        return self.folder / "logs"

    @property
    def model(self) -> Path:
        """The bundle."""
        return self.folder / "model"

    @property
    def best(self) -> Path:
        """The bundle with the best score on held-out frames."""
        return self.folder / "model-best"

    @property
    def held_out(self) -> Path:
        """Clips that it does not train on, named by domain and by what they hold."""
        return self.folder / "held-out"

    @property
    def previews(self) -> Path:
        """What the model made of held-out frames, as pictures and as videos."""
        return self.folder / "previews"

    def preview(self, step: int) -> Path:
        """The preview of a step, without its suffix: .png or .mp4."""
        return self.previews / f"step-{step:06d}"

    @property
    def validation(self) -> Path:
        """Scores on held-out frames, by step."""
        return self.folder / "validation.json"

    @property
    def health(self) -> Path:
        """What went wrong while it trained, one line each."""
        return self.folder / "health.log"

    @property
    def origin(self) -> Path:
        """Which pipeline file the run belongs to."""
        return self.folder / "origin.json"

    @property
    def translated(self) -> Path:
        """Translated test videos."""
        return self.folder / "translated"

    @property
    def metrics(self) -> Path:
        """Scores, a flat JSON object."""
        return self.folder / "metrics.json"

    def neighbours(self, direction: str) -> Path:
        """Translated frames above the nearest training frames, of the direction 'ab' or 'ba'."""
        return self.folder / f"nearest_{direction}.png"

    @property
    def lock(self) -> Path:
        """Held by the process that trains."""
        return self.folder / ".lock"

    @property
    def scoring_lock(self) -> Path:
        """Held by the process that translates test videos or scores them."""
        return self.folder / ".scoring.lock"

    @property
    def stamps(self) -> Path:
        """What is remembered of the translated test videos."""
        return self.translated / STAMPS

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"


def model_in(folder: Path, which: Which = "best") -> Path:
    """The bundle that is meant by a folder: its own, or one of the run that it belongs to.

    A run has no best model before its first score; then it is the last one. A folder that is neither a run nor a bundle
    is returned as it is.
    """
    run = RunFolder(folder)
    models = {"best": (run.best, run.model), "last": (run.model,)}[which]
    if is_bundle(folder):
        return folder
    return next((model for model in models if is_bundle(model)), folder)


def is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a bundle."""
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()
