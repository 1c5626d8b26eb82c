"""Derives the verdict of a report, in words, from the scores and the course of the training."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from recycle.domains import DIRECTIONS, LETTERS, Direction, Names
from recycle.evaluation.findings import find_failures
from recycle.plural import counted

HALF = 0.5
"""Minimum progress, from the untouched input (0) to real frames (1), at which a direction counts as translated. An
equal blend of input and real frame reaches it (docs/measurements/metrics.md)."""
ALIKE = 0.1
"""KID of the untouched input up to which the two domains cannot be distinguished; real frames of two films of the same
kind differ by more."""
WORSE = 1.05
"""Ratio of the last to the best validation score above which the run counts as having worsened."""
FLICKERS = 1.5
"""Ratio of the differences that the warp error squares to those of the source, or of the truth if these are larger,
from which flicker is reported. A translation with 1.5 times the contrast of its source reaches it, too."""
_FAULTS = 3
"""Maximum number of training faults that are shown."""

Tone = Literal["good", "unfinished", "failed", "unclear"]
_State = Literal["failed", "part", "lost", "unknown", "good"]
_WORST_FIRST: tuple[_State, ...] = ("failed", "part", "lost", "unknown", "good")


@dataclass(frozen=True)
class Learning:
    """Facts about the training of the scored model."""

    best: tuple[int, float] | None = None
    """Step and validation score of the best model; lower is better."""
    last: float | None = None
    """The last validation score; None if unknown."""
    reviews: int = 0
    """Number of validation scores."""
    improved_late: bool | None = None
    """Whether the score improved in the last third of the run; None if there are too few scores to decide."""
    too_short: str = ""
    """Why the training was too short to judge, and how long is enough; '' if it was long enough."""
    relative: bool = True
    """Whether scores are relative to the untouched input, which then scores about 1."""
    faults: Sequence[str] = ()
    """Problems that were detected during training, such as a runaway discriminator."""

    @property
    def improving(self) -> bool | None:
        """Whether longer training is likely to improve the model; None if the training cannot tell."""
        improving = self.improved_late and not self.worsened
        return None if self.too_short and not improving else improving

    @property
    def worsened(self) -> bool:
        """Whether the last score exceeds the best one by more than the factor WORSE."""
        return self.best is not None and self.last is not None and self.last > WORSE * self.best[1]


@dataclass(frozen=True)
class Verdict:
    """The summary at the start of a report."""

    tone: Tone
    headline: str
    """One sentence."""
    reasons: tuple[str, ...]
    """The scores and facts that support it, one sentence each."""


class _Way(NamedTuple):
    """The judgement of one direction."""

    name: str
    state: _State
    reasons: list[str]


def judge(scores: Mapping[str, float], learning: Learning | None = None, names: Names = LETTERS) -> Verdict:
    """Derive the verdict from the scores of `recycle.evaluation.evaluate.evaluate` and, if known, from the training.

    A direction is translated well if no failure is found and the translation has made at least HALF of the progress
    from the untouched input to real frames. Progress is the smaller one by the KID of deep and of middle features;
    without KID, it is measured by the distance from the truth. Without both, the verdict is that the scores cannot
    decide. `names` are those of the domains.
    """
    learning = learning or Learning()
    tested = [d for d in DIRECTIONS if any(key.endswith(f"_{d.name}") for key in scores)]
    ways = [_judge_way(scores, d, names) for d in tested]
    told = [reason for way in ways for reason in way.reasons]
    if not ways:
        headline = "The scores do not allow a verdict: no test video was translated. Look at the previews."
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
        return "unclear", "Translated, but content may be lost: compare the translated videos with their sources"
    if worst == "unknown":
        return "unclear", "The scores do not allow a verdict: look at the videos"
    if learning.improving:
        return "unfinished", "Unfinished: the model was still improving when training ended"
    if learning.too_short:
        return "unfinished", "Unfinished: the training was too short to judge"
    if worst == "failed":
        return "failed", "Failed, or not trained long enough" if learning.improving is None else "Failed"
    if learning.improving is False:
        return "failed", "Only partly translated, and the model had stopped improving"
    return (
        "unfinished",
        "Only partly translated; there are too few validation scores to say whether longer training helps",
    )


def _judge_way(scores: Mapping[str, float], d: Direction, names: Names) -> _Way:
    found = [finding for finding in find_failures(scores, names) if finding.direction == d]
    part, reason = _nearness(scores, d.name, names.of(d.target))
    reasons = [finding.text for finding in found]
    if reason:
        reasons.append(f"{names.way(d)}: {reason}")
    if flicker := _flicker(scores, d.name):
        reasons.append(f"{names.way(d)}: {flicker}")
    if any(finding.certain for finding in found) or (part is not None and part <= 0):
        state: _State = "failed"
    elif part is None:
        state = "unknown"
    elif found:
        state = "lost"
    else:
        state = "good" if part >= HALF else "part"
    return _Way(names.way(d), state, reasons)


def _flicker(scores: Mapping[str, float], way: str) -> str:
    """Advice if the translation flickers clearly more than its source and, if known, the truth; otherwise ''."""
    own = scores.get(f"warp_error_{way}", 0.0)
    twins = ("its source", "_input"), ("the truth", "_truth")
    usual, name = max((scores.get(f"warp_error_{way}{twin}", 0.0), name) for name, twin in twins)
    if not usual or (ratio := math.sqrt(own / usual)) < FLICKERS:
        return ""
    return f"the translation flickers {ratio:.1f} times as much as {name}; --stabilise reduces it"


def _nearness(scores: Mapping[str, float], way: str, target: str) -> tuple[float | None, str]:
    """Progress of the translation from the untouched input (0) to real frames (1), with an explanation.

    None if the scores do not allow one.
    """
    parts, alike = [], False
    for name, shown in (("kid", "KID"), ("kid_mid", "KID of textures")):
        own, untouched = scores.get(f"{name}_{way}"), scores.get(f"{name}_{way}_input")
        if own is not None and untouched is not None:
            alike = alike or untouched <= ALIKE
            if untouched > ALIKE:
                parts.append((1 - own / untouched, f"{shown} {own:.3g}, untouched input {untouched:.3g}"))
    if parts:
        part, figures = min(parts)
        if part <= 0:  # a finding already reports it
            return part, ""
        return part, (
            f"the translation is {min(part, 1):.0%} of the way from the untouched input to real frames of {target} "
            f"({figures})"
        )
    if alike:
        return (
            None,
            f"by the features that KID compares, the untouched input already looks like real frames of {target}",
        )
    closeness, before = scores.get(f"psnr_{way}"), scores.get(f"psnr_{way}_input")
    if closeness is not None and before is not None:
        part = 1 - 10 ** ((before - closeness) / 20)
        figures = f"(PSNR {closeness:.1f} dB, untouched input {before:.1f} dB)"
        if part <= 0:
            return part, f"the translation is no closer to the truth than the untouched input {figures}"
        return part, f"the translation is {part:.0%} of the way from the untouched input to the truth {figures}"
    return None, "there is neither a true counterpart nor a score against real frames to compare with"


def _of_training(learning: Learning) -> Iterator[str]:
    """Sentences about the training: the validation score, its trend, and faults."""
    if learning.best is not None:
        step, score = learning.best
        untouched = "; an untouched input scores about 1" if learning.relative else ""
        if learning.too_short and not learning.improving:
            trend = learning.too_short
        elif learning.improved_late is None:
            trend = f"too few validation scores ({learning.reviews}) to show a trend"
        elif learning.worsened:
            trend = f"at the end it was {learning.last:.3f}, so longer training alone will not help"
        elif learning.improved_late:
            trend = "it still fell in the last third of the run, so longer training should help"
        else:
            trend = "it did not fall in the last third of the run, so longer training alone will not help"
        yield f"Training: the validation score of the model, from step {step}, is {score:.3f}{untouched}; {trend}."
    elif learning.too_short:
        yield f"Training: {learning.too_short}."
    yield from (f"Training: {fault}." for fault in learning.faults[:_FAULTS])
    if (more := len(learning.faults) - _FAULTS) > 0:
        more_faults = counted(more, "more fault is", "more faults are")
        yield f"Training: {more_faults} in health.log in the run's folder."
