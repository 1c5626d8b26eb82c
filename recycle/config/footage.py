"""Footage, and how its video becomes frames on disk."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from recycle.config.base import MANY, MAX_PIXELS, Appearance, MaxPixels, Pixel, Places, Settings


class StreetSettings(Settings):
    """Footage of our own making (see recycle.street.film) in place of files."""

    a: Appearance = "day"
    b: Appearance = "night"
    width: int = Field(160, ge=32, le=4096)
    height: int = Field(96, ge=32, le=4096)
    fps: int = Field(12, ge=1, le=120)
    seconds: float = Field(60.0, gt=0, le=1e5)
    """Length of each domain's training footage; the two sides show different scenes."""
    test_seconds: float = Field(8.0, gt=0, le=1e5)
    """Length of the unseen clip, rendered in both appearances so that the truth is known."""
    seed: int = Field(0, ge=0, le=MANY)


class FootageSettings(Settings):
    """What to learn from, and what to test on. Paths are relative to the pipeline file.

    Each path is a video file, a folder of video files or a folder of numbered images.
    """

    a: Places = ()
    b: Places = ()
    test_a: Places = ()
    """Unseen videos of domain a, translated to b, evaluated and shown in the report by `recycle run`."""
    test_b: Places = ()
    truth_ab: Places = ()
    """True counterparts in domain b of `test_a`, in the same order (only where they exist)."""
    truth_ba: Places = ()
    street: StreetSettings | None = None
    paired: bool = False
    """The footage of b shows frame by frame the true counterparts of that of a, in the same order: learn from
    pairs, with the objective of pix2pix (adversarial form: `losses.adversarial`) unless `losses.weights` says
    otherwise."""

    @model_validator(mode="before")
    @classmethod
    def _one_path_is_a_list_of_one(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: (v,) if isinstance(v, str | Path) else v for k, v in data.items()}
        return data

    @model_validator(mode="after")
    def _street_or_files(self) -> Self:
        if self.street is not None and (self.a or self.b or self.test_a or self.test_b):
            raise ValueError("give either 'street' or paths (a, b, test_a, test_b), not both")
        for test, truth in (("test_a", "truth_ab"), ("test_b", "truth_ba")):
            if getattr(self, truth) and not getattr(self, test):
                raise ValueError(f"'{truth}' are the true counterparts of '{test}', which are not given")
        return self


class ExtractSettings(Settings):
    """How video becomes frames on disk."""

    fps: float | None = Field(None, ge=1e-3, le=1e4)
    """Frames per second to keep; None keeps every frame."""
    short_side: int | None = Field(286, ge=16, le=16384)
    """Pixels of the shorter side after resizing (the aspect ratio is kept); None keeps the size."""
    crop: tuple[Pixel, Pixel, Pixel, Pixel] | None = None
    """x, y, width, height of the box to keep, in pixels of the upright source frame, before resizing."""
    format: Literal["jpg", "png"] = "jpg"
    drop_duplicates: float = Field(0.0, ge=0, le=255)
    """Drop a frame whose mean absolute difference from the last kept one is at most this many grey levels
    (of 255); 0 keeps all."""
    cut_threshold: float = Field(3.0, gt=0, le=1e6)
    """Sensitivity of the cut detector (PySceneDetect AdaptiveDetector's adaptive_threshold)."""
    max_pixels: MaxPixels = MAX_PIXELS
    """Pixels of the largest picture that is read, in video and images."""

    def record(self) -> dict[str, object]:
        """All that extracted frames depend on beside their source, as JSON."""
        return self.model_dump(mode="json", exclude={"max_pixels"})

    @model_validator(mode="after")
    def _crop_has_an_area(self) -> Self:
        if self.crop is not None:
            x, y, width, height = self.crop
            if x < 0 or y < 0 or width < 1 or height < 1:
                raise ValueError(f"'crop' is x, y, width, height with x, y >= 0 and a size >= 1, got {self.crop}")
        return self
