"""Monitors a training run and reports problems with their cause and remedy.

A problem is reported once it has lasted, and again only after it disappeared. How long it must last depends on the
length of the run: means are taken over `Health.patience` steps, about a twentieth of the run.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
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
"""Minimum and maximum of the patience, in steps."""
CHECKS = 5
"""Checks per `patience` steps; a problem is reported when this many consecutive checks find it."""
RUNAWAY = 0.97
"""Accuracy above which a discriminator classifies nearly every patch correctly; in balanced training it is well below
0.9. Between domains that show different things, it is as high in good runs."""
REJECTED: Mapping[Adversarial, float] = {
    "least_squares": 0.8,
    "minimax": -0.05,
    "non_saturating": 3.0,
    "hinge": 1.0,
}
"""Generator's adversarial loss per frame above which its frames are rejected: logits near those of a perfect
discriminator. Wasserstein has no such level."""
COLLAPSED = 0.1
"""Translated frames have collapsed if their diversity is below this proportion of the diversity of the sources and of
the real frames. (Night has about a third of the diversity of day.)"""
LEAST_DIVERSITY = 0.01
"""Diversity of real frames, in [-1, 1], below which the diversity of translated frames is not judged."""
RECENT = 32
"""Number of frames whose thumbnails are compared."""
THUMBNAIL = 8
"""Side of a thumbnail in pixels."""
WORSE = 1.25
"""Predictors are worse than copying if their error exceeds that of copying by this factor. (In a good run of 500 steps
the ratio fell from 1.2 after a third to 1.1 at the end.)"""
WARM_UP = 6
"""Predictors are judged after this many times `patience` steps."""
BEGINNING = 1
"""Number of first steps whose losses define the initial level; an explosion may happen with the first update."""
EXPLODED = 10.0
"""A loss has exploded if it exceeds its initial level, or 1 if that is larger, by this factor."""
STALL = 2
"""Two consecutive periods of this many times `patience` steps are compared to find losses that do not change."""
STILL = 0.03
"""Relative change of a loss below which it does not change."""
STARVED = 0.1
"""Proportion of time spent waiting for clips above which it is reported; 0.03 would not be worth a message."""
NOISE = 3.0
"""Change of a loss in standard errors below which it does not change."""

Fault = tuple[str, str]
"""The key of a problem, and its message."""


class Health:
    """Observes every step of a run, keeps recent values, and reports problems."""

    def __init__(self, pipeline: Pipeline) -> None:
        settings = pipeline.train
        self._by_clock = settings.hours is not None
        self.patience = LONGEST if self._by_clock else _patience(settings.steps)
        """Steps over which means are taken; with a time limit, it follows from the steps so far."""
        self._memory = 2 * STALL * self.patience
        self._losses = pipeline.losses
        self._names = pipeline.domains
        self._decay = settings.decay
        self._slower = settings.discriminator_rate / 3
        self._values: dict[str, deque[float]] = {}
        self._early: dict[str, float] = {}
        self._thumbnails: dict[str, deque[Tensor]] = {
            name: deque(maxlen=RECENT) for name in (*DOMAINS, *map(_fake, DOMAINS))
        }
        self._seen = 0
        self._checked = 0  # step of the last check
        self._lasting: dict[str, int] = {}

    def observe(self, report: StepReport, a: Tensor, b: Tensor, part: float) -> list[str]:
        """Observe one step on real clips a, b (B, T, 3, H, W); returns messages to report now, mostly none.

        `part` is the completed proportion of the run, in [0, 1].
        """
        self._seen += 1
        for name, value in {**report.losses, **report.measures}.items():
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
        found = dict(self._faults(part))
        self._lasting = {name: self._lasting.get(name, 0) + 1 for name in found}
        return [text for name, text in found.items() if self._lasting[name] == CHECKS]

    def _faults(self, part: float) -> Iterator[Fault]:
        """Each present problem; `part` is the completed proportion of the run."""
        yield from self._runaway()
        yield from self._collapse()
        yield from self._useless_predictors()
        yield from self._starved()
        yield from self._exploded()
        if part <= 1 - self._decay / 2:
            yield from self._stall()

    def _runaway(self) -> Iterator[Fault]:
        kinds = (re.fullmatch(rf"(.*disc)_(?:{'|'.join(DOMAINS)})_accuracy", name) for name in self._values)
        for prefix in dict.fromkeys(match[1] for match in kinds if match):
            of = "clips of " if prefix == "clip_disc" else ""
            accuracies = {domain: self._mean(f"{prefix}_{domain}_accuracy") for domain in DOMAINS}
            high = [domain for domain, accuracy in accuracies.items() if accuracy > RUNAWAY]
            sure = [domain for domain in high if self._rejected(f"{prefix}_{domain}")]
            if not sure:
                continue
            yield (
                f"{prefix} runaway",
                f"the {_kind_of(prefix)}discriminator of {of}domain {self._both(sure)} has run away: it recognises "
                f"{max(accuracies[domain] for domain in sure):.0%} of all patches. If the domains show different "
                "things, that is usual. If the previews do not improve, start over with a lower "
                f'train.discriminator_rate (such as {self._slower:.1g}), losses.augment = ["colour", "translation"] '
                "or losses.r1 = 1",
            )

    def _collapse(self) -> Iterator[Fault]:
        alike = [d.target for d in DIRECTIONS if self._collapsed(d)]
        if alike:
            yield (
                "collapse",
                f"the translations to domain {self._both(alike)} all look alike: the generator ignores its input; "
                "raise losses.weights.recycle or cycle, lower train.learning_rate, or set "
                "networks.generator.skip = true, and start over",
            )

    def _useless_predictors(self) -> Iterator[Fault]:
        predicting, copying = self._mean("recurrent"), self._mean("copying")
        if self._seen > WARM_UP * self.patience and predicting > WORSE * copying:
            yield (
                "predictor",
                f"the predictors are worse than copying the last frame (error {predicting:.3g}, copying "
                f"{copying:.3g}), so the recycle loss is of little use; train longer, raise train.predictor_rate or "
                "losses.weights.recurrent, set losses.prediction.wait = true, or raise train.stride if little moves",
            )

    def _starved(self) -> Iterator[Fault]:
        if (waiting := self._mean("waiting")) > STARVED:
            yield (
                "starved",
                f"training waits for its clips for {waiting:.0%} of the time; raise train.workers, put the frames on a "
                "faster disk, or extract them at the training size (extract.short_side)",
            )

    def _exploded(self) -> Iterator[Fault]:
        grown = {
            name: self._mean(name)
            for name, early in self._early.items()
            if self._bounded(name) and self._mean(name) > EXPLODED * max(early, 1.0)
        }
        if grown:
            levels = " and ".join(f"{name} ({self._early[name]:.3g} → {now:.3g})" for name, now in grown.items())
            yield (
                "exploded",
                f"the loss {levels} has exploded; lower train.learning_rate, or train.discriminator_rate if it is a "
                "discriminator's loss, or train.clip_norm, and start over",
            )

    def _stall(self) -> Iterator[Fault]:
        if self._stalled():
            yield (
                "stall",
                "no loss changes any more: more steps will not help; look at the previews, and either stop here or "
                "start over with another train.learning_rate, other losses.weights or more footage",
            )

    def _rejected(self, discriminator: str) -> bool:
        level = REJECTED.get(self._losses.adversarial)
        return level is not None and self._mean(f"{discriminator}_rejection") > level

    def _bounded(self, name: str) -> bool:
        """Whether a value is a loss that must not grow without bound."""
        critic = self._losses.adversarial == "wasserstein" and ("disc" in name or name in ("adversarial", "temporal"))
        return not critic and _is_loss(name)

    def _stalled(self) -> bool:
        """Whether every loss has the same mean in both halves of the kept values, apart from noise."""
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
        """Mean over the last `patience` steps; NaN, for which all comparisons are false, if this run has no such
        value."""
        kept = self._values.get(name)
        return float(np.mean(list(islice(reversed(kept), self.patience)))) if kept else float("nan")

    def _collapsed(self, d: Direction) -> bool:
        real = min(self._diversity(d.source), self._diversity(d.target))
        return real > LEAST_DIVERSITY and self._diversity(_fake(d.target)) < COLLAPSED * real

    def _diversity(self, name: str) -> float:
        """Standard deviation across recent thumbnails, averaged over their pixels, in units of [-1, 1]."""
        kept = torch.stack([each.cpu() for each in self._thumbnails[name]])  # after resuming, some are on the CPU
        return float(kept.std(0, correction=0).mean()) if len(kept) >= SHORTEST else float("nan")

    def _both(self, domains: Iterable[Domain]) -> str:
        return " and domain ".join(map(self._names.of, domains))

    def _kept(self, values: Iterable[float] = ()) -> deque[float]:
        return deque(values, maxlen=self._memory)

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {
            "values": {name: torch.tensor(tuple(kept), dtype=torch.float64) for name, kept in self._values.items()},
            "early": dict(self._early),
            "thumbnails": {name: [each.cpu() for each in kept] for name, kept in self._thumbnails.items()},
            "seen": self._seen,
            "checked": self._checked,
            "lasting": dict(self._lasting),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of `state_dict`; thumbnails are on the CPU."""
        self._values = {name: self._kept(kept.tolist()) for name, kept in state["values"].items()}
        self._early, self._lasting, self._seen = state["early"], state["lasting"], state["seen"]
        self._checked = state.get("checked", 0)
        for name, kept in state["thumbnails"].items():
            self._thumbnails[name] = deque(kept, maxlen=RECENT)


def _patience(steps: int) -> int:
    """The patience of a run of `steps` steps."""
    return min(max(steps // 20, SHORTEST), LONGEST)


def _is_loss(name: str) -> bool:
    """Whether a value of a step is a training loss."""
    return name not in ("copying", "waiting") and not name.endswith(("_accuracy", "_rejection"))


def _fake(domain: Domain) -> str:
    """The key of the thumbnails of frames that were translated to `domain`."""
    return f"fake_{domain}"


def _kind_of(prefix: str) -> str:
    """ "projected " for "projected_disc"; '' for PatchGANs."""
    kind = prefix.removesuffix("disc").removesuffix("_")
    return f"{kind} " if kind not in ("", "clip") else ""
