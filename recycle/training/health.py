"""A training run watches itself: what goes wrong is told in plain words, with its cause and remedy.

A fault is told when it has lasted, and again only after it went away. How long is lasting follows from the length
of the run: the means are taken over `Health.patience` steps, a twentieth of the run, as far as one can tell.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recycle.config import Adversarial, Pipeline
from recycle.domains import DIRECTIONS, DOMAINS, Direction, Domain
from recycle.training.step import StepReport

SHORTEST, LONGEST = 20, 1000
"""Bounds of the patience, in steps."""
CHECKS = 5
"""Checks in each stretch of `patience` steps; a fault is told when so many in a row find it."""
RUNAWAY = 0.97
"""Accuracy of a discriminator from which on it tells nearly every patch; in a fair game it is well below 0.9."""
REJECTED: Mapping[Adversarial, float] = {
    "least_squares": 0.8,
    "minimax": -0.05,
    "non_saturating": 3.0,
    "hinge": 1.0,
}
"""Generator's adversarial loss for a frame from which on its frames are rejected: logits near those of a perfect
discriminator. Wasserstein has no such level."""
COLLAPSED = 0.1
"""Part of the diversity of the sources, and of the real frames of the other domain, below which translated frames
are said to have collapsed. (Night has about a third of the diversity of day.)"""
LEAST_DIVERSITY = 0.01
"""Diversity of real frames, in [-1, 1], below which nothing is said of that of translated ones."""
RECENT = 32
"""Frames whose thumbnails are compared."""
THUMBNAIL = 8
"""Pixels of each side of a thumbnail."""
WORSE = 1.25
"""The predictors are worse than copying from this many times the error of copying on. (In a sound run of 500 steps it
fell from 1.2 after a third to 1.1 at the end.)"""
WARM_UP = 6
"""Stretches of `patience` steps that the predictors have to learn before they are judged."""
BEGINNING = 1
"""Steps whose losses are the level at the start: what explodes may do so with the first update."""
EXPLODED = 10.0
"""A loss of so many times its level at the start, or of so much where that level was below 1, has exploded."""
STALL = 2
"""Stretches of `patience` steps that are compared with as many before them: no loss moved between the two."""
STILL = 0.03
"""Relative change of a loss below which it does not move."""
STARVED = 0.1
"""Part of the time that a run waits for its clips from which on it is told; 0.03 is not worth a word."""
NOISE = 3.0
"""Standard errors of the change of a loss below which it does not move."""


class Health:
    """Looks at every step of a run, keeps the last few, and says what is wrong."""

    def __init__(self, pipeline: Pipeline) -> None:
        settings = pipeline.train
        self._by_clock = settings.hours is not None
        self.patience = LONGEST if self._by_clock else _patience(settings.steps)
        """Steps of one stretch; by the clock it follows from the steps that were taken so far."""
        self._memory = 2 * STALL * self.patience
        self._losses = pipeline.losses
        self._names = pipeline.domains
        self._decay = settings.decay
        self._values: dict[str, deque[float]] = {}
        self._early: dict[str, float] = {}
        self._thumbnails: dict[str, deque[Tensor]] = {
            name: deque(maxlen=RECENT) for name in (*DOMAINS, *map(_fake, DOMAINS))
        }
        self._seen = 0
        self._checked = 0  # when faults were last looked for
        self._lasting: dict[str, int] = {}

    def observe(self, report: StepReport, a: Tensor, b: Tensor, part: float) -> list[str]:
        """Take one step on real clips a, b (B, T, 3, H, W); part: how much of the run is over, 0 to 1.

        Returns what is to be said now, mostly nothing.
        """
        self._seen += 1
        values = report.losses | report.measures
        for (name, _), value in zip(values.items(), torch.stack(list(values.values())).tolist(), strict=True):
            self._values.setdefault(name, self._kept()).append(value)
        names = (*DOMAINS, *map(_fake, DOMAINS))
        for name, clips in zip(names, (a, b, report.fake_a, report.fake_b), strict=True):
            self._thumbnails[name] += F.adaptive_avg_pool2d(clips[:, 0].float(), THUMBNAIL)
        if self._seen == BEGINNING:
            self._early = {name: float(np.mean(kept)) for name, kept in self._values.items()}
        if self._by_clock and self._seen >= SHORTEST:
            self.patience = _patience(round(self._seen / max(part, 1e-9)))
        if self._seen < self.patience or self._seen - self._checked < self.patience // CHECKS:
            return []
        self._checked = self._seen
        found = {fault[0]: fault[1] for fault in self._faults(part)}
        self._lasting = {name: self._lasting.get(name, 0) + 1 for name in found}
        return [text for name, text in found.items() if self._lasting[name] == CHECKS]

    def _faults(self, part: float) -> Iterable[tuple[str, str]]:
        """Each fault that is there at present, by a name, and what to say of it."""
        kinds = (re.fullmatch(rf"(.*disc)_(?:{'|'.join(DOMAINS)})_accuracy", name) for name in self._values)
        for prefix in dict.fromkeys(match[1] for match in kinds if match):
            of = "clips of " if prefix == "clip_disc" else ""
            accuracies = {domain: self._mean(f"{prefix}_{domain}_accuracy") for domain in DOMAINS}
            sure = [
                domain
                for domain, accuracy in accuracies.items()
                if accuracy > RUNAWAY and self._rejected(f"{prefix}_{domain}")
            ]
            if not sure:
                continue
            yield (
                f"{prefix} runaway",
                f"the {_kind_of(prefix)}discriminator of {of}domain {self._both(sure)} has run away: it tells "
                f"{max(accuracies[domain] for domain in sure):.0%} of all patches and the generator learns nothing "
                'from it; lower train.discriminator_rate (such as 0.3), or set losses.augment = ["colour", '
                '"translation"] or losses.r1 = 1 and start anew',
            )
        alike = [d.target for d in DIRECTIONS if self._collapsed(d)]
        if alike:
            yield (
                "collapse",
                f"the translations to domain {self._both(alike)} look all alike: the generator pays no heed to its "
                "input; raise losses.weights.recycle or cycle, lower train.learning_rate, or set "
                "networks.generator.skip = true, and start anew",
            )
        predicting, copying = self._mean("recurrent"), self._mean("copying")
        if self._seen > WARM_UP * self.patience and predicting > WORSE * copying:
            yield (
                "predictor",
                f"the predictors are worse than copying the last frame (error {predicting:.3g}, copying "
                f"{copying:.3g}), so the recycle loss teaches little; train longer, raise train.predictor_rate or "
                "losses.weights.recurrent, set losses.prediction.wait = true, or raise train.stride where little moves",
            )
        if (waiting := self._mean("waiting")) > STARVED:
            yield (
                "starved",
                f"training waits for its clips for {waiting:.0%} of the time; raise train.workers, put the frames on a "
                "faster disk, or extract them at the size that is trained on (extract.short_side)",
            )
        grown = {
            name: self._mean(name)
            for name, early in self._early.items()
            if self._bounded(name) and self._mean(name) > EXPLODED * max(early, 1.0)
        }
        if grown:
            levels = " and ".join(f"{name} ({self._early[name]:.3g} → {now:.3g})" for name, now in grown.items())
            yield (
                "exploded",
                f"the loss {levels} has exploded; lower train.learning_rate, or train.discriminator_rate if it is the "
                "discriminators', or train.clip_norm, and start anew",
            )
        if part <= 1 - self._decay / 2 and self._stalled():
            yield (
                "stall",
                "no loss moves any more: more steps will not help; look at the previews, and either stop here or "
                "start anew with another train.learning_rate, other losses.weights or more footage",
            )

    def _rejected(self, discriminator: str) -> bool:
        level = REJECTED.get(self._losses.adversarial)
        return level is not None and self._mean(f"{discriminator}_rejection") > level

    def _bounded(self, name: str) -> bool:
        """Whether a value is a loss that should not grow without end."""
        critic = self._losses.adversarial == "wasserstein" and ("disc" in name or name in ("adversarial", "temporal"))
        return not critic and _is_loss(name)

    def _stalled(self) -> bool:
        """Whether every loss has the same mean in both halves of what is kept, but for its noise."""
        length = STALL * self.patience
        for name, kept in self._values.items():
            if not _is_loss(name):
                continue
            if len(kept) < 2 * length:
                return False
            before, after = np.array(list(islice(reversed(kept), 2 * length))[::-1]).reshape(2, length)
            change = abs(after.mean() - before.mean())
            error = np.sqrt((before.var() + after.var()) / length)
            if change > STILL * abs(before.mean()) or change > NOISE * error:
                return False
        return True

    def _mean(self, name: str) -> float:
        """Mean of the last stretch; NaN, which compares as false, for what this run has not."""
        kept = self._values.get(name)
        return float(np.mean(list(islice(reversed(kept), self.patience)))) if kept else float("nan")

    def _collapsed(self, d: Direction) -> bool:
        real = min(self._diversity(d.source), self._diversity(d.target))
        return real > LEAST_DIVERSITY and self._diversity(_fake(d.target)) < COLLAPSED * real

    def _diversity(self, name: str) -> float:
        """Mean over a thumbnail's pixels of the standard deviation across recent frames, in units of [-1, 1]."""
        kept = torch.stack([each.cpu() for each in self._thumbnails[name]])  # a resumed run has some there
        return float(kept.std(0, correction=0).mean()) if len(kept) >= SHORTEST else float("nan")

    def _both(self, domains: Iterable[Domain]) -> str:
        return " and domain ".join(map(self._names.of, domains))

    def _kept(self, values: Iterable[float] = ()) -> deque[float]:
        return deque(values, maxlen=self._memory)

    def state_dict(self) -> dict[str, Any]:
        """All that it remembers."""
        return {
            "values": {name: torch.tensor(tuple(kept), dtype=torch.float64) for name, kept in self._values.items()},
            "early": dict(self._early),
            "thumbnails": {name: [each.cpu() for each in kept] for name, kept in self._thumbnails.items()},
            "seen": self._seen,
            "checked": self._checked,
            "lasting": dict(self._lasting),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, thumbnails on the CPU."""
        self._values = {name: self._kept(kept.tolist()) for name, kept in state["values"].items()}
        self._early, self._lasting, self._seen = state["early"], state["lasting"], state["seen"]
        self._checked = state.get("checked", 0)
        for name, kept in state["thumbnails"].items():
            self._thumbnails[name] = deque(kept, maxlen=RECENT)


def _patience(steps: int) -> int:
    """Of a run of so many steps."""
    return min(max(steps // 20, SHORTEST), LONGEST)


def _is_loss(name: str) -> bool:
    """Whether a value of a step is trained on."""
    return name not in ("copying", "waiting") and not name.endswith(("_accuracy", "_rejection"))


def _fake(domain: Domain) -> str:
    """Under which the thumbnails of frames that were translated to a domain are kept."""
    return f"fake_{domain}"


def _kind_of(prefix: str) -> str:
    """Such as "projected " of "projected_disc"; nothing for PatchGANs."""
    kind = prefix.removesuffix("disc").removesuffix("_")
    return f"{kind} " if kind not in ("", "clip") else ""
