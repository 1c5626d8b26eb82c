"""Settings of footage, and of its extraction to frames on disk."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from recycle.config.base import MANY, MAX_PIXELS, Appearance, Corner, MaxPixels, Places, Settings, Side
from recycle.domains import DIRECTIONS, Direction, Domain


class StreetSettings(Settings):
    """A procedural street that recycle renders itself, in place of files."""

    a: Appearance = "day"
    """Appearance of the street in domain a."""
    b: Appearance = "night"
    """Appearance of the street in domain b."""
    width: int = Field(160, ge=32, le=4096)
    """Width of the frames in pixels."""
    height: int = Field(96, ge=32, le=4096)
    """Height of the frames in pixels."""
    fps: int = Field(12, ge=1, le=120)
    """Frames per second."""
    seconds: float = Field(60.0, gt=0, le=1e5)
    """Length in seconds of the training footage of each domain. The two domains show different scenes, unless
    `footage.paired` is set."""
    test_seconds: float = Field(8.0, gt=0, le=1e5)
    """Length in seconds of the unseen clip. It is rendered in both appearances, so the truth is known."""
    seed: int = Field(0, ge=0, le=MANY)
    """Seed of the street. Another seed gives another street."""


class FootageSettings(Settings):
    """The footage to learn from and to test on. Paths are relative to the pipeline file.

    Each path is a video file, a folder of video files or a folder of numbered images.
    """

    a: Places = ()
    """Training footage of domain a."""
    b: Places = ()
    """Training footage of domain b."""
    mask_a: Places = ()
    """Masks of `a`, one for each path in the same order: a video or a folder of images, or for a folder of videos, a
    folder with masks of the same names. Of frames that were extracted with masks, it is the same folder. White is the
    object. Discriminators then look only at the objects, and
    `losses.weights.conservation` keeps the rest as it is."""
    mask_b: Places = ()
    """Masks of `b`."""
    test_a: Places = ()
    """Unseen videos of domain a. `recycle run` translates them to b, scores them and shows them in the report."""
    test_b: Places = ()
    """Unseen videos of domain b, used like `test_a`."""
    truth_ab: Places = ()
    """The true counterparts in domain b of `test_a`, in the same order, if they exist."""
    truth_ba: Places = ()
    """The true counterparts in domain a of `test_b`, in the same order, if they exist."""
    street: StreetSettings | None = None
    """Render the procedural street in place of files."""
    paired: bool = False
    """The footage of b shows the true counterparts of the footage of a, frame by frame and in the same order. Training
    then learns from pairs, with the objective of pix2pix: the weight `paired` is 100 and `adversarial` is 1 unless
    `losses.weights` sets them."""

    def learned(self, domain: Domain) -> tuple[Path, ...]:
        """Training footage of a domain."""
        return getattr(self, domain)

    def masks(self, domain: Domain) -> tuple[Path, ...]:
        """Masks of the training footage of a domain; empty if there are none."""
        return getattr(self, f"mask_{domain}")

    @property
    def masked(self) -> bool:
        """Whether there are masks for a domain."""
        return bool(self.mask_a or self.mask_b)

    def tests(self, d: Direction) -> tuple[Path, ...]:
        """Unseen videos to translate in a direction."""
        return getattr(self, f"test_{d.source}")

    def truths(self, d: Direction) -> tuple[Path, ...]:
        """The true counterparts of `tests(d)`."""
        return getattr(self, f"truth_{d.name}")

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
        for d in DIRECTIONS:
            own, masks = self.learned(d.source), self.masks(d.source)
            if masks and len(masks) != len(own):
                raise ValueError(
                    f"'mask_{d.source}' needs one mask for each path of '{d.source}', in the same order; it has "
                    f"{len(masks)}, and '{d.source}' has {len(own)}"
                )
            if self.truths(d) and not self.tests(d):
                raise ValueError(
                    f"'truth_{d.name}' needs 'test_{d.source}', the videos whose true counterparts it lists"
                )
        return self


class ExtractSettings(Settings):
    """How video becomes frames on disk."""

    fps: float | None = Field(None, ge=1e-3, le=1e4)
    """Frames per second to keep. None keeps every frame."""
    short_side: int | None = Field(286, ge=16, le=16384)
    """Pixels of the shorter side after resizing. The aspect ratio is kept. None, which a file cannot
    express, keeps the size: `recycle extract --short-side 0`."""
    crop: tuple[Corner, Corner, Side, Side] | None = None
    """x, y, width and height of the box to keep, in pixels of the upright source frame, before resizing."""
    format: Literal["jpg", "png"] = "jpg"
    """Image format of the frames. 'png' is lossless; label maps need it."""
    drop_duplicates: float = Field(0.0, ge=0, le=255)
    """Drop a frame if its mean absolute difference from the last kept frame is at most this many grey levels (of 255).
    0 keeps every frame."""
    cut_threshold: float = Field(3.0, gt=0, le=1e6)
    """Threshold of the cut detector; a lower one finds more cuts (adaptive_threshold of PySceneDetect's
    AdaptiveDetector)."""
    max_pixels: MaxPixels = MAX_PIXELS
    """Maximum number of pixels of a frame or image. Larger ones are refused."""

    def record(self) -> dict[str, object]:
        """All settings on which extracted frames depend, as JSON."""
        return self.model_dump(mode="json", exclude={"max_pixels"})
