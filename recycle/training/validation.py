"""Validation score on held-out frames, by which the best bundle is kept.

Lower is better. With paired footage, the score is the mean absolute difference from the true frames. Otherwise, it is
the mean over both directions of

    appearance + flicker + content

appearance: distance of the translated held-out frames from real frames of the domain (0), relative to the untranslated
frames (1); see recycle.training.appearance. It is the unbiased kernel distance of features of EfficientNet-Lite2, which
serves no other purpose in training. Unlike the sliced Wasserstein distance between patches, the previous score, it
detects dark halos, and distinguishes noise, blur and mere colour changes from translations; half of the frames give
nearly the same value.

flicker: the temporal warp error of the translation (Lai et al. 2018, "Learning Blind Video Temporal Consistency", eq.
9, with mean absolute differences and without its occlusion mask), warped by the motion of the source, in standard
deviations of the real frames, minus that of the source in its own, because uncovered content changes in both; at least
0.

content: 0 if the edges of the translation change like those of its source, up to 2 if they are unrelated to them, so
that a model that shows frames of the domain regardless of its input does not win.

The untranslated input scores about 1. Frames of other scenes never reach 0: compare scores only within a run.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recycle.dataset.shots import Shot, spread
from recycle.domains import BY_TARGET, DOMAINS
from recycle.networks.features import open_network
from recycle.system.atomic import write_text
from recycle.system.disk import writing
from recycle.training.appearance import Appearance, Content
from recycle.video.flow import ends, optical_flow, sample

REAL_FRAMES = 48
"""Number of real frames per domain, evenly spread over its footage, with which translated frames are compared."""
CONTENT = 2.0
"""Score of losing all content: twice that of not translating."""
KIND = "lite2"
"""Kind of the scores without true frames, in `validation.json`. Change it whenever new scores do not compare with old
ones."""
NEAR = 0.05
"""Proportion above the lowest score up to which a model counts as equally good, because the score is noisy. The last of
them is kept: its learning rate is lower, and it has learned for longer (docs/measurements/demo.md)."""
GAIN = 0.01
"""Proportion by which a score must fall to count as an improvement."""
LEAST_SCORES = 6
"""Minimum number of scores for a statement about whether more steps help."""
LEAST_STEPS = 1000
"""Minimum number of steps for the statement that more steps do not help. The demo has its
lowest score after 800 to 1280 steps (docs/measurements/demo.md)."""


class Motion:
    """The motion of a clip; measures the flicker of another clip with the same motion."""

    def __init__(self, clip: Tensor) -> None:
        """`clip` is (T, 3, H, W) in [-1, 1], with sides of at least 16 pixels."""
        frames = (clip.clamp(-1, 1) * 127.5 + 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        self._places = [ends(optical_flow(now, before)) for before, now in pairwise(frames)]
        self.own = self.error(clip) / max(float(clip.std()), 1e-3)

    def error(self, clip: Tensor) -> float:
        """Mean absolute difference of each frame from the previous one, warped by the motion; 0 for a single frame."""
        frames = clip.permute(0, 2, 3, 1).contiguous().numpy()
        pairs = zip(pairwise(frames), self._places, strict=True)
        return float(np.mean([np.abs(sample(one, places) - other).mean() for (one, other), places in pairs] or [0.0]))


@dataclass
class Scores:
    """The scores of a run by step, and that of the best bundle; stored in `validation.json`."""

    file: Path
    by_step: dict[int, float] = field(default_factory=dict)
    best: tuple[int, float] | None = None
    """Step and score of the best bundle: the last one whose score is at most NEAR above the lowest."""
    held_out: Sequence[str] = ()
    """Names of the scored clips; scores of other clips do not compare."""
    kind: str = ""
    """Kind of the scores; scores of another kind do not compare."""
    outdated: bool = False
    """Whether the file contained scores of another kind, which were discarded."""

    @classmethod
    def load(cls, file: Path, step: int, held_out: Sequence[str] = (), kind: str = "") -> "Scores":
        """The scores of a run that continues at `step` with these clips; later steps will be repeated.

        The best score is kept whatever its step, except for a new run, whose folder may contain scores of another run.
        """
        fresh = cls(file, held_out=held_out, kind=kind)
        found = cls.read(file)
        if step == 0 or found.best is None or list(found.held_out or held_out) != list(held_out):
            return fresh
        if found.kind != kind:
            return replace(fresh, outdated=True)
        return replace(fresh, by_step={n: score for n, score in found.by_step.items() if n <= step}, best=found.best)

    @classmethod
    def read(cls, file: Path) -> "Scores":
        """What a file holds; no scores where it is not there or was edited by hand."""
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            scores = {int(key): float(value) for key, value in data["scores"].items()}
            best = (int(data["best"]["step"]), float(data["best"]["score"]))
            return cls(file, scores, best, [str(name) for name in data.get("held_out", ())], str(data.get("kind", "")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(file)

    def add(self, step: int, score: float) -> bool:
        """Add the score of a step and write the file; True if its bundle is now the best."""
        self.by_step[step] = score
        lowest = self._lowest
        best = lowest is not None and score <= lowest[1] + NEAR * abs(lowest[1])
        if best:
            self.best = (step, score)
        if self.best is not None:
            kept = {"step": self.best[0], "score": self.best[1]}
            content = {"best": kept, "scores": self.by_step, "held_out": self.held_out}
            content |= {"kind": self.kind} if self.kind else {}
            with writing(self.file):
                write_text(self.file, json.dumps(content, indent=2) + "\n")
        return best

    @property
    def _lowest(self) -> tuple[int, float] | None:
        """Step and value of the first lowest score; None if there is none. That of the best bundle counts, though its
        step may be repeated."""
        known = [*self.by_step.items(), *([self.best] if self.best else [])]
        return min((each for each in known if np.isfinite(each[1])), key=lambda each: each[1], default=None)

    @property
    def improved_late(self) -> bool | None:
        """Whether the score fell by the part GAIN or more in the last third of the run; None: too few to tell.

        For a run of fewer than LEAST_STEPS steps it is never False, because such a run is too short to judge.
        """
        steps = sorted(self.by_step)
        if self.best is None or len(steps) < LEAST_SCORES:
            return None
        early = [self.by_step[step] for step in steps if step <= steps[-1] * 2 / 3]
        late = [self.by_step[step] for step in steps if step > steps[-1] * 2 / 3]
        if not early or not late:
            return None
        fell = min(late) < (1 - GAIN) * min(early)
        return fell if fell or steps[-1] >= LEAST_STEPS else None

    def advice(self) -> str | None:
        """Advice for the end of a run whose score did not improve in its last third; otherwise None."""
        if self.best is None or self._lowest is None or self.improved_late is not False:
            return None
        (step, score), last = self._lowest, max(self.by_step)
        use = "" if self.best[0] == last else "use the bundle in model-best; "
        return (
            f"the validation score was lowest at step {step} ({score:.3f}; now {self.by_step[last]:.3f}) "
            f"and did not improve in the last third of the run: more steps will not help; {use}for a better model, add "
            "footage, or try a wider networks.generator or other losses.weights"
        )


class Validator:
    """Scores translations of the held-out frames of both domains."""

    def __init__(
        self, train: tuple[Sequence[Shot], Sequence[Shot]], held_out: tuple[Tensor, Tensor], *, paired: bool
    ) -> None:
        """`held_out` are the clips (T, 3, H, W) in [-1, 1] of a and b; `paired`: whether they show the same."""
        self._held_out, self._paired = held_out, paired
        self.kind = "" if paired else KIND
        """Kind of the scores; see `Scores`."""
        if not paired:
            real = [_real(shots, clip) for shots, clip in zip(train, held_out, strict=True)]
            self._deviations = [max(float(frames.std()), 1e-3) for frames in real]
            eyes = open_network("lite2")
            self._looks = [Appearance(own, other, eyes) for own, other in zip(real, reversed(held_out), strict=True)]
            self._motions = [Motion(clip) for clip in held_out]
            self._contents = [Content(clip) for clip in held_out]

    @torch.no_grad()
    def __call__(self, fake_a: Tensor, fake_b: Tensor) -> dict[str, float]:
        """Scores by name, including "total"; `fake_a` is the translation of b's held-out clip, `fake_b` of a's, on the
        CPU."""
        scores: dict[str, float] = {}
        for d, fake in zip(BY_TARGET, (fake_a, fake_b), strict=True):
            name, source, target = d.name, DOMAINS.index(d.source), DOMAINS.index(d.target)
            if self._paired:
                error = fake - self._held_out[target]
                scores[f"{name}_l1"] = float(error.abs().mean())
                scores[f"{name}_psnr"] = float(10 * torch.log10(4 / error.square().mean().clamp(min=4e-10)))
                continue
            scores[f"{name}_appearance"] = self._looks[target].distance(fake)
            flicker = self._motions[source].error(fake) / self._deviations[target] - self._motions[source].own
            scores[f"{name}_flicker"] = max(0.0, flicker)
            scores[f"{name}_content"] = CONTENT * self._contents[source].lost(fake)
        parts = [value for name, value in scores.items() if not name.endswith("_psnr")]
        return scores | {"total": sum(parts) / 2}


def _real(shots: Sequence[Shot], held_out: Tensor) -> Tensor:
    """Evenly spread frames of the shots, resized to those of `held_out`, and the latter: (N, 3, H, W) in [-1, 1]."""
    frames = (
        torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 127.5 - 1 for frame in spread(shots, REAL_FRAMES)
    )
    return torch.cat([*(F.interpolate(frame, held_out.shape[-2:], mode="area") for frame in frames), held_out])
