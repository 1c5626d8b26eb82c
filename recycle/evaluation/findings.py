"""Failures that the scores give away, in plain words."""

from collections.abc import Iterator, Mapping

from recycle.domains import DIRECTIONS, LETTERS, Direction, Names

COLLAPSED = 0.4
"""`collapse` below which perceptual mode collapse is reported; the truth of other clips lies at 0.8 to 1.5."""
COPIED = 0.4
"""`memorisation` below which copying is reported."""
LOST = 0.7
"""`structure` below which, and below the truth's where that is known, lost content is reported."""


def findings(scores: Mapping[str, float], names: Names = LETTERS) -> list[str]:
    """One line for each failure among the scores of recycle.evaluation.evaluate; `names` are those of the domains."""
    lines = []
    for d in DIRECTIONS:
        direction, name = d.name, names.way(d)
        kept = scores.get(f"collapse_{direction}")
        if kept is not None and kept < COLLAPSED:
            lines.append(
                f"{name}: perceptual mode collapse: frames that differ give nearly the same output "
                f"({kept:.2f} of the diversity that is due is left; below {COLLAPSED:g} is too little)"
            )
        ratio = scores.get(f"memorisation_{direction}")
        if ratio is not None and ratio < COPIED:
            lines.append(
                f"{name}: the output copies training frames: it is {ratio:.2f} times as far from the nearest of "
                f"them as real unseen frames are (below {COPIED:g} is too near)"
            )
        lines += _nearness(scores, d, names)
        kept, due = scores.get(f"structure_{direction}"), scores.get(f"structure_{direction}_truth", 1.0)
        if kept is not None and kept < min(LOST, due):
            lines.append(
                f"{name}: the content was not kept: {kept:.2f} of the structure of the input is left (below "
                f"{min(LOST, due):.2g} is too little, unless the other domain is drawn otherwise, as label maps are)"
            )
    return lines


def _nearness(scores: Mapping[str, float], d: Direction, names: Names) -> Iterator[str]:
    """Whether the translation is nearer to real frames of its domain than the input was that nobody touched."""
    farther = []
    for figure, shown in (("kid", "KID"), ("kid_mid", "KID of textures")):
        value, untouched = (scores.get(f"{figure}_{d.name}{twin}") for twin in ("", "_input"))
        if value is not None and untouched is not None and value >= untouched:
            farther.append(f"{shown} {value:.3g}, the input's {untouched:.3g}")
    if farther:
        yield (
            f"{names.way(d)}: the translation is no nearer to real frames of {names.of(d.target)} than the untouched "
            f"input is ({'; '.join(farther)})"
        )
