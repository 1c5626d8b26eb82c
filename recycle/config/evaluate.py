"""Settings of the evaluation."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from recycle.config.base import Place, Settings, Word
from recycle.domains import Domain


def _none(value: object) -> object:
    """None for 'none'; TOML has no null."""
    return None if value == "none" else value


class EvaluateSettings(Settings):
    """How models are scored."""

    palette: Literal["street"] | Place | None = None
    """Colours of the label maps. Adds the paper's scores MP, AC and IoU. Needs `label_domain`. 'street': those of the
    procedural street. A path, relative to the pipeline file: a text file with a line `R G B name` for each label, such
    as `128 64 128 road`; empty lines and lines that begin with # are skipped."""
    label_domain: Annotated[Domain, WithJsonSchema({"type": "string"})] | None = None
    """The domain that holds label maps, by its letter or by its name in `domains`. Needs `palette`."""
    max_frames: int = Field(200, ge=2, le=1_000_000)
    """Number of frames to score in each test clip."""
    features: Annotated[Literal["lite2", "street"] | Place | None, BeforeValidator(_none)] = "lite2"
    """The network whose features FID and KID compare. 'lite2': EfficientNet-Lite2, trained on ImageNet; training never
    uses it. 'street': a small network that is trained on the procedural street at the first use. A path, relative to
    the pipeline file: weights of torchvision's inception_v3 (.pth or .safetensors). 'none': no FID and KID. The check
    for memorisation compares features of 'street' or of a file, otherwise thumbnails."""
    device: Word = "auto"
    """Device that computes these features: 'auto', 'cpu', 'cuda' or 'mps'."""
