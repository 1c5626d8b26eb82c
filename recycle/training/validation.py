"""How good a model is while it trains: a score on held-out frames, by which the best bundle is kept.

Lower is better. With paired footage the score is the mean absolute difference from the truth. Without a truth it is,
of each direction and then their mean,

    appearance + flicker

appearance: the sliced Wasserstein distance between patches of the translated held-out frames and patches of real
frames of the domain, at every level of a Laplacian pyramid (Karras et al. 2018, "Progressive Growing of GANs",
section 5): 7×7 patches, random directions, mean over the levels. It needs no network. Unlike there, both sides are
normalised by the mean and deviation of the *real* patches, so that a wrong brightness or contrast counts.

flicker: the temporal warp error (Lai et al. 2018, "Learning Blind Video Temporal Consistency", eq. 9, with the mean of
absolute differences, without its occlusion mask) of the translation, carried along by the motion of the source, in
standard deviations of the real frames; less that of the source itself in its own, for what appears from behind
something changes in both; at least 0.

Both are in standard deviations of real frames. The scenes of both sides differ, so the score never reaches 0: compare
it within a run. It does not tell whether the content was kept; the losses see to that, and the previews show it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recycle.atomic import write_text
from recycle.disk import writing
from recycle.footage.clips import Shot, spread
from recycle.footage.flow import ends, optical_flow, sample

REAL_FRAMES = 48
"""Real frames of each domain, evenly spread over its footage, that the translated ones are compared with."""
PATCH = 7
"""Side of the patches in pixels (Karras et al. 2018)."""
PATCHES = 64
"""Patches of each frame and level."""
DIRECTIONS = 128
"""Random directions on which patches are projected."""
SHORT_SIDE = 256
"""Frames are compared at no more than so many pixels of the shorter side, which bounds the time."""
SMALLEST_LEVEL = 16
"""Least side in pixels of a pyramid's level."""
GAIN = 0.01
"""Part by which a score must fall to count as an improvement."""
LEAST_SCORES = 6
"""Scores from which on a curve tells whether more steps help."""


class Reference:
    """Real frames of one domain, as patches; tells how far others are from them."""

    def __init__(self, frames: Tensor, short_side: int) -> None:
        """frames: (N, 3, H, W) in [-1, 1]; all are compared at this size of the shorter side, in pixels."""
        self.deviation = float(frames.std())
        self._short_side = short_side
        self._levels = []
        for level in _pyramid(frames, short_side):
            patches = _patches(level)
            mean, deviation = patches.mean(0), patches.std(0).clamp(min=1e-3)
            directions = _directions(patches.shape[1])
            self._levels.append((mean, deviation, directions, _quantiles((patches - mean) / deviation @ directions)))

    def distance(self, frames: Tensor) -> float:
        """Sliced Wasserstein distance of frames (N, 3, H, W) in [-1, 1], in standard deviations; 0 for the same."""
        found = []
        levels = _pyramid(frames, self._short_side)
        for level, (mean, deviation, directions, wanted) in zip(levels, self._levels, strict=True):
            patches = (_patches(level) - mean) / deviation
            found.append((_quantiles(patches @ directions) - wanted).abs().mean())
        return float(torch.stack(found).mean())


class Motion:
    """How things move in a clip; tells how much another clip of the same motion flickers."""

    def __init__(self, clip: Tensor) -> None:
        """clip: (T, 3, H, W) in [-1, 1], at least 16 pixels each way."""
        frames = (clip.clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        self._places = [ends(optical_flow(now, before)) for before, now in pairwise(frames)]
        self.own = self.error(clip) / max(float(clip.std()), 1e-3)

    def error(self, clip: Tensor) -> float:
        """Mean absolute difference of each frame from the one before it, carried along; 0 for a single frame."""
        frames = clip.permute(0, 2, 3, 1).contiguous().numpy()
        pairs = zip(pairwise(frames), self._places, strict=True)
        return float(np.mean([np.abs(sample(one, places) - other).mean() for (one, other), places in pairs] or [0.0]))


@dataclass
class Scores:
    """The scores of a run by step, and the best of those; kept in `validation.json`."""

    file: Path
    by_step: dict[int, float] = field(default_factory=dict)
    best: tuple[int, float] | None = None
    held_out: Sequence[str] = ()
    """Names of the clips that they are of: scores of others do not compare."""

    @classmethod
    def load(cls, file: Path, step: int, held_out: Sequence[str] = ()) -> "Scores":
        """The scores of a run that continues at `step` with these clips; the steps after it will be taken again.

        The best bundle is kept whatever its step, but by a run that begins: its folder may hold those of another.
        """
        if step == 0:
            return cls(file, held_out=held_out)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            scores = {int(key): float(value) for key, value in data["scores"].items() if int(key) <= step}
            best = (int(data["best"]["step"]), float(data["best"]["score"]))
            if list(data.get("held_out", held_out)) != list(held_out):
                return cls(file, held_out=held_out)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # A run's first call, or edited by hand.
            return cls(file, held_out=held_out)
        return cls(file, scores, best, held_out)

    def add(self, step: int, score: float) -> bool:
        """Take the score of a step, and write the file; True if it is the best so far."""
        self.by_step[step] = score
        better = np.isfinite(score) and (self.best is None or score < self.best[1])
        if better:
            self.best = (step, score)
        if self.best is not None:
            best = {"step": self.best[0], "score": self.best[1]}
            content = {"best": best, "scores": self.by_step, "held_out": self.held_out}
            with writing(self.file):
                write_text(self.file, json.dumps(content, indent=2) + "\n")
        return bool(better)

    def advice(self) -> str | None:
        """At the end of a run: that more steps will not help, where the last third of it did not."""
        steps = sorted(self.by_step)
        if self.best is None or len(steps) < LEAST_SCORES:
            return None
        early = [self.by_step[step] for step in steps if step <= steps[-1] * 2 / 3]
        late = [self.by_step[step] for step in steps if step > steps[-1] * 2 / 3]
        if not early or not late or min(late) < (1 - GAIN) * min(early):
            return None
        step, score = self.best
        return (
            f"the validation score was best at step {step} ({score:.3f}; now {self.by_step[steps[-1]]:.3f}) and did "
            "not improve in the last third of the run: more steps will not help; use the bundle in model-best, and for "
            "a better one add footage, or try a wider networks.generator or other losses.weights"
        )


class Validator:
    """Scores translations of the held-out frames of both domains."""

    def __init__(
        self, train: tuple[Sequence[Shot], Sequence[Shot]], held_out: tuple[Tensor, Tensor], *, paired: bool
    ) -> None:
        """held_out: (T, 3, H, W) in [-1, 1], of a and b; paired: they show the same."""
        self._held_out, self._paired = held_out, paired
        if not paired:
            frames = (_real(shots, clip) for shots, clip in zip(train, held_out, strict=True))
            side = min(SHORT_SIDE, *(min(clip.shape[-2:]) for clip in held_out))  # the domains' sizes may differ
            self._references = [Reference(each, side) for each in frames]
            self._motions = [Motion(clip) for clip in held_out]

    @torch.no_grad()
    def __call__(self, fake_a: Tensor, fake_b: Tensor) -> dict[str, float]:
        """Scores by name, "total" among them; fake_a: b's held-out frames translated, on the CPU; fake_b: a's."""
        scores: dict[str, float] = {}
        for name, target, fake in (("ba", 0, fake_a), ("ab", 1, fake_b)):
            if self._paired:
                error = fake - self._held_out[target]
                scores[f"{name}_l1"] = float(error.abs().mean())
                scores[f"{name}_psnr"] = float(10 * torch.log10(4 / error.square().mean().clamp(min=4e-10)))
                continue
            reference, motion = self._references[target], self._motions[1 - target]
            scores[f"{name}_appearance"] = reference.distance(fake)
            flicker = motion.error(fake) / max(reference.deviation, 1e-3) - motion.own
            scores[f"{name}_flicker"] = max(0.0, flicker)
        parts = [value for name, value in scores.items() if not name.endswith("_psnr")]
        return scores | {"total": sum(parts) / 2}


def _real(shots: Sequence[Shot], held_out: Tensor) -> Tensor:
    """Frames of the shots, evenly spread, in the size of `held_out`, and those of it: (N, 3, H, W) in [-1, 1]."""
    frames = (frame[None].float() / 127.5 - 1 for frame in spread(shots, REAL_FRAMES))
    return torch.cat([*(F.interpolate(frame, held_out.shape[-2:], mode="area") for frame in frames), held_out])


def _pyramid(frames: Tensor, short_side: int) -> list[Tensor]:
    """Laplacian pyramid (Burt & Adelson 1983), from fine to coarse; the last level is what is left of the frames."""
    short = min(frames.shape[-2:])
    if short != short_side:
        frames = F.interpolate(frames, [round(side * short_side / short) for side in frames.shape[-2:]], mode="area")
    levels = []
    while min(frames.shape[-2:]) >= 2 * SMALLEST_LEVEL:
        small = F.avg_pool2d(frames, 2)
        levels.append(frames - F.interpolate(small, frames.shape[-2:], mode="bilinear", align_corners=False))
        frames = small
    return [*levels, frames]


def _patches(level: Tensor) -> Tensor:
    """(N, 3, H, W) → (N·PATCHES, 3·PATCH²): patches at the same random places of every frame."""
    height, width = (side - PATCH + 1 for side in level.shape[-2:])
    random = torch.Generator().manual_seed(0)
    top, left = (torch.randint(side, (PATCHES,), generator=random).tolist() for side in (height, width))
    cut = [level[:, :, y : y + PATCH, x : x + PATCH].flatten(1) for y, x in zip(top, left, strict=True)]
    return torch.cat(cut)


def _directions(dimensions: int) -> Tensor:
    """(dimensions, DIRECTIONS): random unit vectors, the same for every call."""
    vectors = torch.randn(dimensions, DIRECTIONS, generator=torch.Generator().manual_seed(1))
    return vectors / vectors.norm(dim=0)


def _quantiles(projected: Tensor) -> Tensor:
    """(N, D) → (256, D): what the Wasserstein-1 distance of each column is computed from, whatever N."""
    ordered = projected.sort(dim=0).values
    places = ((torch.arange(256) + 0.5) / 256 * len(ordered)).long()
    return ordered[places]
