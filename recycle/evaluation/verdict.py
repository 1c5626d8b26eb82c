"""The verdict of a report: whether the translation worked, as far as scores can tell, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from recycle.domains import DIRECTIONS, LETTERS, Direction, Names
from recycle.evaluation.findings import find_failures

HALF = 0.5
"""Part of the way from the untouched input to real frames from which on a direction counts as translated. A mixture of
input and real frame, half and half, is there (docs/measurements/metrics.md)."""
ALIKE = 0.1
"""KID of the untouched input up to which its domain cannot be told from the other: real frames of two films of one kind
differ by more."""
WORSE = 1.05
"""Factor by which the last validation score lies above the best one from which on the run is said to have worsened."""
_FAULTS = 3
"""Faults of the training that are shown."""

Tone = Literal["good", "unfinished", "failed", "unclear"]
_State = Literal["failed", "part", "lost", "unknown", "good"]
_WORST_FIRST: tuple[_State, ...] = ("failed", "part", "lost", "unknown", "good")


@dataclass(frozen=True)
class Learning:
    """What is known of the training of the model that was scored."""

    best: tuple[int, float] | None = None
    """Step and validation score of the best model; lower is better."""
    last: float | None = None
    """The last validation score."""
    reviews: int = 0
    """Validation scores that there are."""
    improved_late: bool | None = None
    """Whether the score improved in the last third of the run; None: too few to tell."""
    relative: bool = True
    """Whether the untouched input has a validation score of about 1."""
    faults: Sequence[str] = ()
    """What the run noticed of itself, such as a discriminator that ran away."""

    @property
    def improving(self) -> bool | None:
        """Whether longer training promises a better model; None: too few scores to tell."""
        return None if self.improved_late is None else self.improved_late and not self.worsened

    @property
    def worsened(self) -> bool:
        """Whether the last score is clearly worse than the best one."""
        return self.best is not None and self.last is not None and self.last > WORSE * self.best[1]


@dataclass(frozen=True)
class Verdict:
    """What a report begins with."""

    tone: Tone
    headline: str
    """One sentence."""
    reasons: tuple[str, ...]
    """The figures that it rests on, one sentence each."""


class _Way(NamedTuple):
    """One direction, judged."""

    name: str
    state: _State
    reasons: list[str]


def judge(scores: Mapping[str, float], learning: Learning | None = None, names: Names = LETTERS) -> Verdict:
    """The verdict by the scores of recycle.evaluation.evaluate and, where known, by how the model was trained.

    A direction is translated well if no failure is found and the translation is at least HALF of the way from the
    untouched input to real frames: by KID of deep and of middle features, the lesser one; without KID, by the distance
    from the truth. Without either, the verdict says that it cannot tell. names: of the domains.
    """
    learning = learning or Learning()
    tested = [d for d in DIRECTIONS if any(key.endswith(f"_{d.name}") for key in scores)]
    ways = [_judge_way(scores, d, names) for d in tested]
    told = [reason for way in ways for reason in way.reasons]
    if not ways:
        headline = "The scores cannot tell: no test video was translated. Look at the previews."
        return Verdict("unclear", headline, tuple(_of_training(learning)))
    worst = next(state for state in _WORST_FIRST if any(way.state == state for way in ways))
    bad = [way.name for way in ways if way.state == worst]
    good = [way.name for way in ways if way.state == "good"]
    tone, text = _headline(worst, learning)
    where = " and ".join(bad) if len(bad) < 2 else "both directions"
    headline = f"{text} ({where})."
    if good and worst != "good":
        headline += f" {good[0]} is translated well."
    return Verdict(tone, headline, (*told, *_of_training(learning)))


def _headline(worst: _State, learning: Learning) -> tuple[Tone, str]:
    if worst == "good":
        return "good", "Translated well"
    if worst == "lost":
        return "unclear", "Translated, but perhaps with lost content: compare it with the source in the videos"
    if worst == "unknown":
        return "unclear", "The scores cannot tell: look at the videos"
    if learning.improving:
        return "unfinished", "Unfinished: the model was still improving when training ended"
    if worst == "failed":
        return "failed", "Failed, or not trained for long enough" if learning.improving is None else "Failed"
    if learning.improving is False:
        return "failed", "Translated in part only, and the model had stopped improving"
    return "unfinished", "Translated in part only; too few validation scores to tell whether longer training helps"


def _judge_way(scores: Mapping[str, float], d: Direction, names: Names) -> _Way:
    found = [finding for finding in find_failures(scores, names) if finding.direction == d]
    part, reason = _nearness(scores, d.name, names.of(d.target))
    reasons = [finding.text for finding in found]
    if reason:
        reasons.append(f"{names.way(d)}: {reason}")
    if any(finding.certain for finding in found) or (part is not None and part <= 0):
        state: _State = "failed"
    elif part is None:
        state = "unknown"
    elif found:
        state = "lost"
    else:
        state = "good" if part >= HALF else "part"
    return _Way(names.way(d), state, reasons)


def _nearness(scores: Mapping[str, float], way: str, target: str) -> tuple[float | None, str]:
    """How much of the way from the untouched input to real frames the translation has gone, and in words."""
    parts, alike = [], False
    for name, shown in (("kid", "KID"), ("kid_mid", "KID of textures")):
        own, untouched = scores.get(f"{name}_{way}"), scores.get(f"{name}_{way}_input")
        if own is not None and untouched is not None:
            alike = alike or untouched <= ALIKE
            if untouched > ALIKE:
                parts.append((1 - own / untouched, f"{shown} {own:.3g}, the input's {untouched:.3g}"))
    if parts:
        part, figures = min(parts)
        if part <= 0:  # a finding says so
            return part, ""
        return part, (
            f"the translation is {min(part, 1):.0%} of the way from the untouched input to real frames of {target} "
            f"({figures})"
        )
    if alike:
        return None, f"the untouched input already looks like real frames of {target} to the network that compares"
    closeness, before = scores.get(f"psnr_{way}"), scores.get(f"psnr_{way}_input")
    if closeness is not None and before is not None:
        part = 1 - 10 ** ((before - closeness) / 20)
        figures = f"(PSNR {closeness:.1f} dB, the input's {before:.1f} dB)"
        if part <= 0:
            return part, f"the translation is no nearer to the truth than the untouched input is {figures}"
        return part, f"the translation is {part:.0%} of the way from the untouched input to the truth {figures}"
    return None, "neither the truth nor scores of real frames are there to compare with"


def _of_training(learning: Learning) -> Iterator[str]:
    """What its training says of a model."""
    if learning.best is not None:
        step, score = learning.best
        untouched = "; an untouched input scores about 1" if learning.relative else ""
        if learning.improved_late is None:
            trend = f"with {learning.reviews} of them there is no trend to see"
        elif learning.worsened:
            trend = f"at the end it was {learning.last:.3f}, so longer training alone will not help"
        elif learning.improved_late:
            trend = "it still fell in the last third of the run, so longer training should help"
        else:
            trend = "it did not fall in the last third of the run, so longer training alone will not help"
        yield f"Training: the best validation score is {score:.3f}, at step {step}{untouched}; {trend}."
    yield from (f"Training: {fault}." for fault in learning.faults[:_FAULTS])
    if (more := len(learning.faults) - _FAULTS) > 0:
        yield f"Training: {more} more {'fault' if more == 1 else 'faults'} are in health.log in the run's folder."
