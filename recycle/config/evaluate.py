"""What is scored."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from recycle.config.base import Domain, Place, Settings, Word


def _none(value: object) -> object:
    """The word that switches off, for files that know no null."""
    return None if value == "none" else value


class EvaluateSettings(Settings):
    """What is scored."""

    palette: Literal["street"] | None = None
    """Label colours of a label domain; adds the paper's MP, AC and IoU."""
    label_domain: Domain | None = None
    """The domain that holds label maps, if any."""
    max_frames: int = Field(200, ge=2, le=1_000_000)
    """Frames of each test clip that are scored."""
    features: Annotated[Literal["lite2", "street"] | Place | None, BeforeValidator(_none)] = "lite2"
    """The network whose features FID and KID compare. 'lite2': EfficientNet-Lite2, trained on ImageNet, which judges
    only; 'street': a small one that is trained here on the procedural street, at the first use; a path, relative to the
    pipeline file: weights of torchvision's inception_v3 (.pth or .safetensors). 'none' (or null): no FID and KID. The
    check for memorisation compares the features of the latter two, or thumbnails."""
    device: Word = "auto"
    """Of that network."""
