"""Chooses a pipeline for given footage, machine and time, with a reason for each setting.

The constants below are the rules. They follow from the measurements in docs/measurements.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from recycle.config import Pipeline, parse_pipeline
from recycle.config.networks import ProjectedSettings
from recycle.config.write import to_toml
from recycle.dataset.survey import Side, Survey
from recycle.domains import Names
from recycle.errors import FootageError, RecycleError
from recycle.plural import counted
from recycle.runs.machine import Machine
from recycle.runs.pace import expected_steps, step_seconds
from recycle.runs.preset_start import Start
from recycle.runs.reasons import (
    LARGE,
    SLOW_FPS,
    about,
    complete_footage,
    complete_masks,
    complete_schedule,
    duration,
    explain_networks,
)
from recycle.system.memory import in_gib
from recycle.training.memory import Reckoning, reckon

EVENING = 4.0
"""Default length of a training in hours."""
EVENING_STEPS = 24_000
"""Desired number of steps in EVENING hours. Other times should have EVENING_STEPS × (hours ÷ EVENING)^¾ steps: 8500 in
an hour, 92 000 in a day. Larger frames and batches are chosen only if this number of steps remains possible."""
SIDES = (64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 320, 384, 448, 512)
"""Short sides in pixels that are tried."""
RECKONED_AT = 128
"""Height and width in pixels at which the needs of a step are estimated, which takes one or two seconds. From 64 to 512
pixels, memory ÷ pixels differs from this estimate by 5 % (label maps of 64 pixels in 16 bits: 11 %), and operations ÷
pixels by 3 %."""
WIDTHS: Mapping[str, tuple[int, ...]] = {"cpu": (32,), "gpu": (64, 32)}
"""Channels of ResNets and PatchGANs, and twice the channels of U-Nets. The first width is chosen with which frames of
WIDE_FROM pixels fit, else the last."""
VIEWS = 30
"""Maximum number of steps for each frame of the shorter domain, at SLOW_FPS, if neither a time nor steps are requested.
Between photographs, shapes stayed as they were with 30, and changed with 100 (docs/measurements/photographs.md, "Longer
runs")."""
WIDE_FROM = 128
NARROW = {
    "cpu": "wider networks take too long on a CPU",
    "gpu": f"wider networks are chosen only if frames of {WIDE_FROM} pixels still fit",
}
"""Reasons against wider networks."""
BATCH = 8
"""Maximum number of clips in a batch."""
LEAST = 4
"""Minimum number of frames of a domain."""
SMALL = 176
"""Short side in pixels below which a discriminator with a receptive field of 70 pixels sees most of a frame."""
UNEQUAL = 0.25
"""Gap between photographs from which the domains are assumed to show things in different amounts, such as more sky and
less road. Measured gaps: two people in one room 0.20, two simulated roads 0.32, cows and a camel 0.60, a simulated and
a real road 0.73."""

USED = {"cpu": 0.5, "gpu": 0.8}
"""Share of the free memory for which a step is planned. A computer runs other programs; GPU memory is fragmented."""


@dataclass(frozen=True)
class Choice:
    """A chosen pipeline, with the reasons."""

    pipeline: Pipeline
    reasons: dict[str, str]
    """Reasons by the dotted names of settings, including settings that keep their defaults."""
    head: tuple[str, ...]
    """Lines on what the pipeline was chosen for, and on its estimated time and memory."""
    words: tuple[str, ...]
    """Lines that describe the footage."""
    memory: int
    """Estimated memory of a step in bytes."""
    seconds: float
    """Estimated duration of a step."""
    steps: int
    """Expected number of steps."""

    def toml(self) -> str:
        """The text of a pipeline file, with the reasons as comments. It parses to an equal pipeline."""
        return to_toml(self.pipeline, self.reasons, (*self.head, *self.words))


def choose(
    facts: Survey,
    machine: Machine,
    *,
    name: str = "recycle",
    footage: Mapping[str, Any] | None = None,
    hours: float | None = None,
    steps: int | None = None,
    domains: Sequence[str] | None = None,
    start: Start | None = None,
) -> Choice:
    """Choose a pipeline for the footage `facts` on `machine`, for `hours` or `steps`; by default, for EVENING hours, or
    fewer if there is little footage (see VIEWS).

    With `start`, training starts from a model, and has its networks and at most its size. `name`, `footage` and
    `domains` are copied into the pipeline. The choice is deterministic. Raises FootageError if the frames are too small
    or too few; ConfigError for invalid names of domains; RecycleError if not even the smallest networks fit into
    memory.
    """
    names = parse_pipeline({} if domains is None else {"domains": domains}, where="the command line").domains
    _check(facts, names)
    time, reasons = hours or EVENING, dict[str, str]()
    draft = _Draft(facts, machine, time, start, timed=hours is not None or steps is not None)
    side, width, why = draft.size()
    batch = draft.batch(side, width)
    chosen = draft.settings(side, width)
    needed = draft.reckoned(side, width)
    seconds = draft.seconds(needed, batch)
    expected = steps or expected_steps(time, seconds)
    if draft.little and draft.wanted <= expected:
        steps = expected = draft.wanted
        reasons["train.steps"] = f"{VIEWS} for each frame of the shorter domain: in longer runs, shapes change"
    reasons |= {"train.size": why, "networks.generator.width": NARROW[machine.kind]}
    given = {"name": name, "domains": names, "footage": dict(footage or {})}
    data: dict[str, Any] = given | chosen | {"extract": {}, "evaluate": {}}
    complete_footage(facts, side, data, reasons)
    explain_networks(facts, side, data, reasons)
    complete_masks(data, reasons)
    if start is not None:
        start.complete(data, reasons)
    train = data["train"]
    if batch > 1:
        train["batch_size"] = batch
        reasons["train.batch_size"] = f"memory and time allow it with about {about(_wanted(time))} steps"
    if steps is None:
        train["hours"] = time
        reasons["train.hours"] = "training ends after this time; --hours overrides it, also when a run continues"
    else:
        train["steps"] = steps
    complete_schedule(facts, expected, seconds, train, reasons)
    pipeline = parse_pipeline(data, where="the chosen pipeline")
    memory = needed.networks + batch * needed.clip
    head = _head(name, machine, duration(time) if steps is None else counted(steps, "step"), expected, seconds, memory)
    if batch * expected > draft.most:
        head += (f"With so little footage, more than {about(draft.most)} steps may change shapes: watch the previews.",)
    sides = f"{names.a}: {_described(facts.a)}; {names.b}: {_described(facts.b)}"
    words = (f"Footage {sides}.", *(f"{line[0].upper()}{line[1:]}." for line in facts.in_words(names)))
    return Choice(pipeline, reasons, head, words, memory, seconds, expected)


def _check(facts: Survey, names: Names) -> None:
    for domain, side in zip(names, (facts.a, facts.b), strict=True):
        if side.frames < LEAST:
            raise FootageError(
                f"domain {domain} has too little footage: {counted(side.frames, 'frame')}; "
                f"give at least {LEAST}, preferably a few minutes of video; 'recycle probe FOLDER' shows which "
                "files of a folder are left out, and why"
            )
        if side.short_side < 16:
            raise FootageError(
                f"the frames of domain {domain} are too small ({side.width}x{side.height}); each side needs at least "
                "16 pixels; choose larger footage"
            )


def _head(name: str, machine: Machine, length: str, steps: int, seconds: float, memory: int) -> tuple[str, ...]:
    return (
        f"{name}: chosen for this footage, for {machine} and for {length}.",
        "You may edit the pipeline file: the same command then uses it (docs/guide/train.md).",
        f"Estimate: {about(steps)} steps of {seconds:.2g} s, {in_gib(memory)} of memory.",
    )


def _most_steps(facts: Survey) -> int:
    """Number of steps that the footage allows; see VIEWS."""
    if not facts.photographs:
        return sys.maxsize
    return round(VIEWS * min(side.frames * min(1.0, SLOW_FPS / side.fps) for side in (facts.a, facts.b)))


def _wanted(hours: float) -> int:
    """Desired number of steps in this time; see EVENING_STEPS."""
    return max(1, round(EVENING_STEPS * (hours / EVENING) ** 0.75))


class _Draft:
    """Finds the largest frames, width and batch that memory and time allow."""

    def __init__(
        self, facts: Survey, machine: Machine, hours: float, start: Start | None = None, *, timed: bool = False
    ) -> None:
        """`timed`: whether the user asked for a time or for steps."""
        self._facts, self._machine, self._hours, self._start = facts, machine, hours, start
        self.wanted, self.most = _wanted(hours), _most_steps(facts)
        self.little = not timed and self.most < self.wanted
        """Whether fewer steps than the hours allow are desired, because there is little footage."""
        self.wanted = self.most if self.little else self.wanted
        self._usable = USED[machine.kind] * machine.memory
        self._most = min(facts.a.short_side, facts.b.short_side, *([start.config.short_side] if start else []))
        most = self._most // 4 * 4
        self._sides = [side for side in SIDES if side <= most] or [most]

    def size(self) -> tuple[int, int, str]:
        """Short side in pixels, width, and the reason why the side is not larger."""
        widths = WIDTHS[self._machine.kind][-1:] if self._start else WIDTHS[self._machine.kind]
        for width in widths:
            side, why = self._largest(width)
            if side is not None and (side >= min(WIDE_FROM, self._sides[-1]) or width == widths[-1]):
                return side, width, why
        raise RecycleError(
            f"{self._machine} has not enough memory to train on frames of {self._sides[0]} pixels; close other "
            "programs, or train on another machine"
        )

    def batch(self, side: int, width: int) -> int:
        """Number of clips in a batch; doubled as long as memory and time allow."""
        needed, batch = self.reckoned(side, width), 1
        most = 1 if self.little else BATCH
        while 2 * batch <= most and self._fits(needed, 2 * batch) and self._in_time(needed, 2 * batch):
            batch *= 2
        return batch

    def settings(self, side: int, width: int) -> dict[str, Any]:
        """The settings of networks, losses and training that depend only on the kind of footage, side and width."""
        patch: dict[str, Any] = {"width": width}
        layers = next((n for n in (3 if side >= SMALL else 2, 2, 1) if 3 * 2**n <= side), 1)
        scales = 2 if (side >= LARGE or side < SMALL) and 3 * 2 ** (layers + 1) <= side else 1
        patch |= {"layers": layers, "scales": scales}
        networks = {
            "generator": generator(self._facts, width),
            "discriminator": discriminators(self._facts, side, patch),
        }
        return {
            "networks": networks | (self._start.networks(side) if self._start else {}),
            "losses": losses(self._facts),
            "train": {"size": [side, side], **({"pool_size": 0} if self._facts.photographs else {})},
        }

    def reckoned(self, side: int, width: int) -> Reckoning:
        """Estimated needs of a step of one clip, scaled from RECKONED_AT pixels. All but `networks` is proportional to
        the number of pixels."""
        pipeline = parse_pipeline(self.settings(RECKONED_AT, width), where="a candidate pipeline")
        needed, scale = _reckon(pipeline.model_dump_json(), self._machine.dtype), (side / RECKONED_AT) ** 2
        return Reckoning(needed.networks, round(scale * needed.clip), round(scale * needed.operations))

    def seconds(self, needed: Reckoning, batch: int) -> float:
        """Estimated duration of a step in seconds."""
        return step_seconds(self._machine, batch * needed.operations, photographs=self._facts.photographs)

    def _largest(self, width: int) -> tuple[int | None, str]:
        """The largest side that memory and time allow, and the limiting reason.

        If only time is too short, the smallest side; None if not even that fits into memory.
        """
        why = f"the largest size that recycle chooses ({SIDES[-1]} pixels)"
        if self._sides[-1] != SIDES[-1]:
            short_side = min(self._facts.a.short_side, self._facts.b.short_side)
            why = f"the largest that the footage allows (its short side has {short_side} pixels)"
            if self._most < short_side:
                why = "the size of the model from which training starts"
        for side in self._sides[::-1]:
            needed = self.reckoned(side, width)
            if not self._fits(needed, 1):
                why = f"the largest that fits into the memory planned for training ({in_gib(round(self._usable))})"
            elif side > self._sides[0] and not self._in_time(needed, 1):
                why = f"the largest with which about {about(self.wanted)} steps fit into {duration(self._hours)}"
            else:
                return side, why
        return None, why

    def _fits(self, needed: Reckoning, batch: int) -> bool:
        return needed.networks + batch * needed.clip <= self._usable

    def _in_time(self, needed: Reckoning, batch: int) -> bool:
        return self._hours * 3600 / self.seconds(needed, batch) >= self.wanted


def generator(facts: Survey, width: int) -> dict[str, Any]:
    """Settings of the generator; `width` is the number of channels that a ResNet would have.

    Between photographs, a pretrained encoder separates objects from their background: a whole sleeve takes the new
    colour, and the wall behind it keeps its own. With label maps, it was not better than the ResNet beyond the spread
    of seeds. Between different kinds of sensors it was, without the skip connection.
    """
    if facts.labelled:
        return {"width": width}
    return {"kind": "unet", "width": width // 2, "skip": facts.photographs}


def discriminators(facts: Survey, side: int, patch: dict[str, Any]) -> Any:
    """Settings of the discriminators; `patch` holds those of the PatchGAN for frames of `side` pixels.

    Frozen features help between photographs, and harm between video and label maps or thermal images. Photographs are
    judged by the kind of place, because the domains show kinds in different amounts. That requires spectral
    normalisation: by InstanceNorm, a patch depends on the amounts of colours in the whole frame.
    """
    if not facts.photographs or side < ProjectedSettings().least_side:
        return patch
    return [{"kind": "patch", **patch, "norm": "spectral", "by_kind": True}, {"kind": "projected", "by_kind": True}]


def losses(facts: Survey) -> dict[str, Any]:
    """Settings of the objective. With label maps, and between different kinds of sensors: the defaults.

    Between photographs: self-similarity, identity and synthetic motion. From a gap of UNEQUAL also the loss of colours
    and a weak cycle loss, without which training invents things where one domain always shows the same. Nearer domains
    have no cycle loss, because it would also preserve what should change.
    """
    if not facts.photographs:
        return {}
    weights = {"self_similarity": 5.0, "identity": 2.0, "unsupervised_spatial": 10.0}
    return {"weights": weights | ({"colours": 10.0, "cycle": 2.0} if facts.gap >= UNEQUAL else {})}


@lru_cache(maxsize=64)
def _reckon(pipeline: str, dtype: torch.dtype) -> Reckoning:
    return reckon(Pipeline.model_validate_json(pipeline), dtype)


def _described(side: Side) -> str:
    kind = "label maps" if side.labels else "greyscale" if side.grey else "colour"
    return f"{side.frames} frames of {side.width}x{side.height}, {side.fps:.3g} frames per second, {kind}"
