"""Settings outside pipeline files: of `recycle street` and .street files, `recycle distill` and `recycle tune`."""

from pydantic import Field

from recycle.config.base import MANY, Settings
from recycle.vocabulary import Appearance


class FilmSettings(Settings):
    """A video of the procedural street."""

    look: Appearance = "day"
    """Appearance of the scenes."""
    seed: int = Field(0, ge=0, le=MANY)
    """Seed of the street. Another seed gives another street."""
    seconds: float = Field(10.0, gt=0, le=1e5)
    """Length in seconds."""
    width: int = Field(640, ge=32, le=4096)
    """Width of the frames in pixels."""
    height: int = Field(384, ge=32, le=4096)
    """Height of the frames in pixels."""
    fps: int = Field(24, ge=1, le=120)
    """Frames per second."""


class DistillSettings(Settings):
    """How a small model is trained to imitate a large one. Options of the command override these settings."""

    width: int = Field(16, ge=1, le=1024)
    """Number of channels of the small generators at full resolution."""
    blocks: int = Field(6, ge=1, le=64)
    """Number of residual blocks of the small generators."""
    steps: int = Field(5000, ge=1, le=10**9)
    """Number of training steps."""
    learning_rate: float = Field(1e-3, gt=0, le=1)
    """Learning rate. Training without discriminators is stable at a high one."""
    preview_every: int = Field(500, ge=1, le=10**9)
    """Steps between previews."""


class TuneSettings(Settings):
    """How better settings are searched. Options of the command override these settings."""

    trials: int = Field(20, ge=1, le=10_000)
    """Number of short trainings."""
