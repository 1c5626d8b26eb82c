"""Failures that the scores give away, in plain words."""

from collections.abc import Mapping

COLLAPSED = 0.4
"""`collapse` below which perceptual mode collapse is reported; the truth of other clips lies at 0.8 to 1.5."""
COPIED = 0.4
"""`memorisation` below which copying is reported."""

_NAMES = {"ab": "a → b", "ba": "b → a"}


def findings(scores: Mapping[str, float]) -> list[str]:
    """One line for each failure among the scores of recycle.evaluation.evaluate; empty where there is none."""
    lines = []
    for direction, name in _NAMES.items():
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
    return lines
