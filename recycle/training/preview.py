"""Held-out clips, and their previews (real | translated | back again | predicted) as images and videos."""

import hashlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from recycle.dataset.shots import Shot
from recycle.domains import DIRECTIONS, Direction, Domain, Names
from recycle.networks.bundle import Bundle
from recycle.networks.generator import GeneratorNetwork, at_any_size
from recycle.system.atomic import atomic_path
from recycle.system.disk import writing
from recycle.training.headings import heading
from recycle.video.encode import write_video

LEAST_WIDTH = 128
"""Minimum width of a column in pixels; an integer factor enlarges smaller frames, so that headings are legible."""
_STILLS = 3
"""Number of frames of each direction in the image of a preview."""
_FPS = 12
"""Frames per second of the videos of previews, and of held-out clips whose own rate is unknown."""


class Columns(NamedTuple):
    """The columns of a preview: (T, 3, H, W) each, in [-1, 1], on the CPU."""

    real: Tensor
    """The held-out clip."""
    translated: Tensor
    """Its translation."""
    back: Tensor
    """The translation, translated back."""
    predicted: Tensor | None = None
    """The predictor's output for the translated clip: P_Y(G_Y(x_{t−P}), …, G_Y(x_{t−1})) at t. Its first P frames
    repeat the translation. None if there is no predictor, or if the clip has at most P frames."""

    def labelled(self, d: Direction, names: Names) -> dict[str, Tensor]:
        """The columns by their headings, without "predicted" if there are no predictions."""
        source, target = names.of(d.source), names.of(d.target)
        shown = {source: self.real, f"→ {target}": self.translated, f"back to {source}": self.back}
        return shown if self.predicted is None else shown | {"predicted": self.predicted}


def held_out_clip(shot: Shot) -> Tensor:
    """All frames of `shot` as float32 (T, 3, H, W) in [-1, 1], with H and W cropped to multiples of 4."""
    frames = torch.stack([shot.read(i) for i in range(len(shot.files))]).float() / 127.5 - 1
    height, width = frames.shape[-2] // 4 * 4, frames.shape[-1] // 4 * 4
    return frames[..., :height, :width]


def held_out_name(shot: Shot, domain: Domain) -> str:
    """File name of a held-out clip: the domain and 16 hex digits of a digest of its frames, which identifies it."""
    digest = hashlib.sha256()
    for file in shot.files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return f"{domain}-{digest.hexdigest()[:16]}.mp4"


def write_held_out(shot: Shot, clip: Tensor, path: Path) -> None:
    """Write the held-out clip of `shot` as a video, at its own rate if that is between 1 and 120 frames per second."""
    rate = 1 / shot.interval if shot.interval else 0
    fps = Fraction(rate).limit_denominator(1001) if 1 <= rate <= 120 else _FPS
    write_video(path, pixels(clip), fps=fps)


@torch.no_grad()
def preview(bundle: Bundle, a: Tensor, b: Tensor, *, batch_size: int = 4) -> dict[Direction, Columns]:
    """The columns of both directions, from held-out clips.

    a, b: (T, 3, H, W) in [-1, 1], on the bundle's device; `batch_size` frames are translated at once.
    """
    rows = {}
    for d, real in zip(DIRECTIONS, (a, b), strict=True):
        there, back, predictor = bundle.generator(d), bundle.generator(d.back), bundle.predictor(d)
        fake = torch.cat([_through(there, batch) for batch in real.split(batch_size)])
        again = torch.cat([_through(back, batch) for batch in fake.split(batch_size)])
        ahead, past = None, bundle.config.networks.predictor.past
        if predictor is not None and len(fake) > past:
            windows = fake.unfold(0, past, 1)[:-1].movedim(-1, 1)  # (T−past, past, 3, H, W)
            ahead = torch.cat([fake[:past], *(predictor(batch) for batch in windows.split(batch_size))])
        columns = [clip.float().cpu() for clip in (real, fake, again, ahead) if clip is not None]
        rows[d] = Columns(*columns)
    return rows


def _through(generator: GeneratorNetwork, frames: Tensor) -> Tensor:
    return at_any_size(generator, frames, multiple=generator.multiple, least=generator.least_side)


def write_preview(rows: Mapping[Direction, Columns], names: Names, path: Path) -> np.ndarray:
    """Write `path`.png (_STILLS frames of each direction) and `path`.mp4 (both directions, synchronised).

    Each direction has headings with the `names` of the domains.

    Returns the image, uint8 RGB (H, W, 3). Raises OutputError if a file cannot be written.
    """
    heads, clips = zip(*(_row(columns.labelled(d, names)) for d, columns in rows.items()), strict=True)
    picks = [np.linspace(0, len(clip) - 1, _STILLS).round().astype(int) for clip in clips]
    picture = _stack([image for n, head in enumerate(heads) for image in (head, *clips[n][picks[n]])])
    _, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    with writing(path.with_suffix(".png")), atomic_path(path.with_suffix(".png")) as temporary:
        temporary.write_bytes(encoded.tobytes())  # OpenCV does not report a full disk
    length = max(len(clip) for clip in clips)
    pairs = list(zip(heads, clips, strict=True))
    video = (_stack([image for head, clip in pairs for image in (head, clip[t % len(clip)])]) for t in range(length))
    with writing(path.with_suffix(".mp4")):
        write_video(path.with_suffix(".mp4"), video, fps=_FPS)
    return picture


def _row(columns: Mapping[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Heading (h, W, 3) and frames (T, H, W, 3) of a direction's columns side by side, uint8 RGB, perhaps enlarged."""
    frames = pixels(torch.cat(list(columns.values()), dim=-1))
    width = frames.shape[2] // len(columns)
    factor = -(-LEAST_WIDTH // width)
    return heading(list(columns), factor * width), frames.repeat(factor, axis=1).repeat(factor, axis=2)


def pixels(frames: Tensor) -> np.ndarray:
    """(T, 3, H, W) float in [-1, 1] → uint8 RGB (T, H, W, 3)."""
    scaled = (frames.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()


def _stack(images: list[np.ndarray]) -> np.ndarray:
    """Images one below the other; narrower ones are padded with black at the right."""
    width = max(image.shape[1] for image in images)
    return np.concatenate([np.pad(i, ((0, 0), (0, width - i.shape[1]), (0, 0))) for i in images])
