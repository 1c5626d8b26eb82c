"""Settings of commands that have no pipeline file: `recycle street` and `recycle distill`."""

from pydantic import Field

from recycle.config.base import MANY, Settings
from recycle.vocabulary import Appearance


class FilmSettings(Settings):
    """A film of the procedural street."""

    look: Appearance = "day"
    """Appearance of the scenes."""
    seed: int = Field(0, ge=0, le=MANY)
    """Another seed gives another street."""
    seconds: float = Field(10.0, gt=0, le=1e5)
    """Length of the film."""
    width: int = Field(640, ge=32, le=4096)
    """Width of the frames in pixels."""
    height: int = Field(384, ge=32, le=4096)
    """Height of the frames in pixels."""
    fps: int = Field(24, ge=1, le=120)
    """Frames per second."""


class DistillSettings(Settings):
    """How a small model is trained to imitate a large one, where a command does not say otherwise."""

    width: int = Field(16, ge=1, le=1024)
    """Channels of the small generators at full resolution."""
    blocks: int = Field(6, ge=1, le=64)
    """Their residual blocks."""
    steps: int = Field(5000, ge=1, le=10**9)
    """Training steps."""
    learning_rate: float = Field(1e-3, gt=0, le=1)
    """Learning rate. Without discriminators a high one is stable."""
    preview_every: int = Field(500, ge=1, le=10**9)
    """Steps between previews."""
