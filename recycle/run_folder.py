"""The paths inside a run's folder and in a bundle. No other module spells them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CONFIG = "config.json"
"""Name of the file in a bundle that describes the model."""
WEIGHTS = "model.safetensors"
"""Name of the file in a bundle with the weights of the generators and predictors."""
STAMPS = ".done"
"""Name of the folder, beside outputs, that records which outputs are up to date; see `recycle.runs.stage.Stage`."""

IDENTITY = "identity"
"""Given instead of a model's folder, this leaves all frames as they are."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(?:@[A-Za-z0-9._/-]+)?")
Which = Literal["best", "last"]
"""A model of a run: the one with the best score on held-out frames, or the one of the last step."""


@dataclass(frozen=True)
class RunFolder:
    """The paths inside the folder of one run."""

    folder: Path

    @property
    def footage(self) -> Path:
        """Generated footage of the procedural street."""
        return self.folder / "footage"

    @property
    def frames(self) -> Path:
        """Extracted frames, in the subfolders `a` and `b`."""
        return self.folder / "frames"

    @property
    def pipeline(self) -> Path:
        """JSON file of the pipeline that the run was last trained with."""
        return self.folder / "pipeline.json"

    @property
    def chosen(self) -> Path:
        """TOML file of the pipeline that was chosen automatically because none was given; the user may edit it."""
        return self.folder / "pipeline.toml"

    @property
    def checkpoint(self) -> Path:
        """Checkpoint from which training continues."""
        return self.folder / "checkpoint.pt"

    @property
    def logs(self) -> Path:
        """TensorBoard logs."""
        return self.folder / "logs"

    @property
    def model(self) -> Path:
        """Bundle of the last step."""
        return self.folder / "model"

    @property
    def best(self) -> Path:
        """Bundle with the best score on held-out frames."""
        return self.folder / "model-best"

    @property
    def held_out(self) -> Path:
        """Clips that are excluded from training, named by domain and by a digest of their frames."""
        return self.folder / "held-out"

    @property
    def previews(self) -> Path:
        """Translated held-out frames, as images and videos."""
        return self.folder / "previews"

    def preview(self, step: int) -> Path:
        """Path of the preview of a step, without its suffix (.png or .mp4)."""
        return self.previews / f"step-{step:06d}"

    def preview_images(self) -> list[Path]:
        """Images of all previews that are complete, by step."""
        return sorted(self.previews.glob("step-*.png"))  # while one is written, its name starts with a dot

    @property
    def validation(self) -> Path:
        """JSON file of the scores on held-out frames, by step."""
        return self.folder / "validation.json"

    @property
    def health(self) -> Path:
        """The file that lists, one line each, what went wrong during training."""
        return self.folder / "health.log"

    @property
    def origin(self) -> Path:
        """The file that names the pipeline file of the run."""
        return self.folder / "origin.json"

    @property
    def translated(self) -> Path:
        """Translated test videos."""
        return self.folder / "translated"

    @property
    def metrics(self) -> Path:
        """JSON file of the final scores: a flat object."""
        return self.folder / "metrics.json"

    def neighbours(self, direction: str) -> Path:
        """Image that shows translated frames above their nearest training frames; `direction` is 'ab' or 'ba'."""
        return self.folder / f"nearest_{direction}.png"

    @property
    def lock(self) -> Path:
        """Lock file of the process that trains."""
        return self.folder / ".lock"

    @property
    def scoring_lock(self) -> Path:
        """Lock file of the process that translates and scores test videos."""
        return self.folder / ".scoring.lock"

    @property
    def stamps(self) -> Path:
        """Folder that records which translated test videos are up to date."""
        return self.translated / STAMPS

    @property
    def report(self) -> Path:
        """HTML report."""
        return self.folder / "report.html"


def model_place(model: Path, folder: Path) -> Path:
    """The absolute path of a model given relative to `folder`; a name on the Hugging Face Hub stays as it is."""
    here = folder / model.expanduser()
    return model if is_hub_name(model) and not here.exists() else here.absolute()


def is_hub_name(model: str | Path) -> bool:
    """Whether `model` has the form org/name or org/name@revision of a model on the Hugging Face Hub.

    A path may have this form too; an existing path is never looked up there.
    """
    return _HUB_NAME.fullmatch(str(model)) is not None


def model_in(folder: Path, which: Which = "best") -> Path:
    """The bundle at `folder`: `folder` itself if it is a bundle, else the best or last bundle of the run there.

    If a run has no best model, because it was not scored yet, its last one is returned. A folder that is neither a run
    nor a bundle is returned unchanged.
    """
    run = RunFolder(folder)
    models = {"best": (run.best, run.model), "last": (run.model,)}[which]
    if is_bundle(folder):
        return folder
    return next((model for model in models if is_bundle(model)), folder)


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds the two files of a bundle, CONFIG and WEIGHTS."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()
