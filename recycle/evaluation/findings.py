"""Detects failures of a translation from its scores and describes them in words."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from recycle.domains import DIRECTIONS, LETTERS, Direction, Names

COLLAPSED = 0.4
"""`collapse` below which perceptual mode collapse is reported; the ground truth of other clips has 0.8 to 1.5."""
COPIED = 0.4
"""`memorisation` below which copying is reported."""
LOST = 0.7
"""`structure` below which lost content is reported; the truth's value is the limit if it is lower."""


class Finding(NamedTuple):
    """A failure of one direction."""

    direction: Direction
    text: str
    certain: bool = True
    """Whether the scores prove it; if not, a person must look at the videos."""


def findings(scores: Mapping[str, float], names: Names = LETTERS) -> list[str]:
    """One message per failure in `scores` (of `recycle.evaluation.evaluate.evaluate`); `names` are of the domains."""
    return [finding.text for finding in find_failures(scores, names)]


def find_failures(scores: Mapping[str, float], names: Names = LETTERS) -> list[Finding]:
    """Like `findings`, with the direction and certainty of each failure."""
    return [finding for d in DIRECTIONS for finding in _of_direction(scores, d, names)]


def _of_direction(scores: Mapping[str, float], d: Direction, names: Names) -> Iterator[Finding]:
    name = names.way(d)
    kept = scores.get(f"collapse_{d.name}")
    if kept is not None and kept < COLLAPSED:
        yield Finding(
            d,
            f"{name}: perceptual mode collapse: different frames give nearly the same output "
            f"(diversity kept {kept:.2f}; below {COLLAPSED:g} is too little)",
        )
    ratio = scores.get(f"memorisation_{d.name}")
    if ratio is not None and ratio < COPIED:
        yield Finding(
            d,
            f"{name}: the output copies training frames: its distance from the nearest of them is {ratio:.2f} times "
            f"that of real unseen frames (below {COPIED:g} is too near)",
        )
    yield from _nearness(scores, d, names)
    kept, truth = scores.get(f"structure_{d.name}"), scores.get(f"structure_{d.name}_truth")
    due = LOST if truth is None else min(LOST, truth)
    if kept is not None and kept < due:
        yield Finding(
            d,
            f"{name}: the content is not preserved: structure kept {kept:.2f} (below {due:.2g} is too little, unless "
            "the other domain looks fundamentally different, as label maps do)",
            certain=truth is not None,
        )


def _nearness(scores: Mapping[str, float], d: Direction, names: Names) -> Iterator[Finding]:
    """Yield a finding if the translation is no nearer to real frames of its domain than the untouched input."""
    farther = []
    for figure, shown in (("kid", "KID"), ("kid_mid", "KID of textures")):
        value, untouched = (scores.get(f"{figure}_{d.name}{twin}") for twin in ("", "_input"))
        if value is not None and untouched is not None and value >= untouched:
            farther.append(f"{shown} {value:.3g}, untouched input {untouched:.3g}")
    if farther:
        yield Finding(
            d,
            f"{names.way(d)}: the translation is no closer to real frames of {names.of(d.target)} than the untouched "
            f"input ({'; '.join(farther)})",
        )
