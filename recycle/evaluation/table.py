"""The table of scores: the name, better direction and explanation of each figure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from recycle.domains import DIRECTIONS, LETTERS, Names

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Figure:
    """Presentation of one figure."""

    name: str
    unit: str
    better: Better
    """The direction of improvement; '' if the table shows none."""
    reading: str
    """Explanation for the reader."""
    digits: int = 2
    """Decimal places."""
    scale: float = 1.0
    """Factor by which values are multiplied for display."""


FIGURES: Mapping[str, Figure] = {
    "psnr": Figure("PSNR", "dB", "higher", "Similarity to the true counterpart, pixel by pixel. 100: identical."),
    "ssim": Figure("SSIM", "", "higher", "Similarity to the true counterpart, by local structure. 1: identical.", 3),
    "mp": Figure("Mean pixel accuracy", "%", "higher", "Share of pixels with the true label (MP).", 1),
    "ac": Figure("Mean class accuracy", "%", "higher", "The same, averaged over the classes (AC).", 1),
    "iou": Figure("Mean IoU", "%", "higher", "Overlap of true and predicted areas, averaged over the classes.", 1),
    "fid": Figure(
        "FID",
        "",
        "lower",
        "Distance of the output from real frames, by the features of a network. Compare only scores from one machine, "
        "one feature network and equal numbers of frames.",
    ),
    "kid": Figure(
        "KID",
        "",
        "lower",
        "Like FID, but unbiased for few frames. About 0, or slightly below: like real frames. Not below the score of "
        "the untouched input: the translation gained nothing.",
        4,
    ),
    "kid_mid": Figure("KID of textures", "", "lower", "KID of the features of small image parts (stride 8).", 4),
    "structure": Figure(
        "Structure kept",
        "",
        "",
        "Agreement of the output's edges with those of the input. 1: all edges are kept. If the truth is known, "
        "its score is the value to expect.",
    ),
    "cycle_error": Figure(
        "Cycle error",
        "grey levels",
        "",
        "Lower is better: difference between the input and its translation translated back. It is informative only if "
        "the change is large, because an untouched input has no error.",
    ),
    "change": Figure("Change", "grey levels", "", "Difference between output and input. Near 0: hardly any change."),
    "warp_error": Figure(
        "Warp error",
        "× 10⁻³",
        "lower",
        "Flicker that motion does not explain. Dark or flat frames have a low score anyway, so compare it with that of "
        "the truth, if known.",
        scale=1000,
    ),
    "tof": Figure(
        "tOF",
        "pixels",
        "lower",
        "Difference of the motion from that of the truth, or of the input if no truth is known. Still water, sky and "
        "darkness hide motion.",
        3,
    ),
    "diversity": Figure(
        "Diversity",
        "grey levels",
        "",
        "How much the frames of a video differ from each other.",
    ),
    "collapse": Figure(
        "Diversity kept",
        "",
        "",
        "Diversity ÷ that of the truth, or of the input if no truth is known. 1: as diverse; near 0: perceptual mode "
        "collapse.",
    ),
    "memorisation": Figure(
        "Distance from training",
        "",
        "",
        "Distance from the nearest training frames ÷ that of real unseen frames. Near 1 or above: not copied; near 0: "
        "training frames are copied.",
    ),
}


NONE = "–"
"""Text of a missing value."""
STEP = "step"
"""Key of the scored model's training step among the scores; not a figure."""


@dataclass(frozen=True)
class Cell:
    """One direction of one figure, as text.

    `wins` is whether the translation is better than the untouched input.
    """

    value: str = NONE
    untouched: str = NONE
    truth: str = NONE
    wins: bool = False


@dataclass(frozen=True)
class ScoreRow:
    """A row of the table."""

    figure: Figure
    cells: tuple[Cell, ...]
    """One cell for each of `DIRECTIONS`."""


def score_rows(metrics: Mapping[str, float]) -> list[ScoreRow]:
    """The rows of the table, in the order of FIGURES; other figures follow by name.

    `metrics` are the scores of `recycle.evaluation.evaluate.evaluate`.
    """
    rows = []
    for name, figure in figures(metrics):
        if name in metrics:  # a figure that has no direction
            cells = Cell(text(metrics[name], figure)), *(Cell() for _ in DIRECTIONS[1:])
        else:
            cells = tuple(_cell(metrics, f"{name}_{d.name}", figure) for d in DIRECTIONS)
        rows.append(ScoreRow(figure, cells))
    return rows


def score_lines(metrics: Mapping[str, float], names: Names = LETTERS) -> list[str]:
    """Format the table for a terminal, as lines of at most 80 columns.

    There is a section for each direction with scores: those of the translation, the untouched input and the truth.
    `names` are those of the domains.
    """
    shown = [d for d in DIRECTIONS if any(f"{name}_{d.name}" in metrics for name, _ in figures(metrics))]
    lines, rows = [], score_rows(metrics)
    for d in shown:
        title = names.way(d)
        above, head = ("", title) if len(title) <= 36 else (title, "")
        lines += ["", *filter(None, [above]), f"{head:<36}{'translation':>12}{'input':>11}{'truth':>11}  better"]
        for row in rows:
            cell = row.cells[DIRECTIONS.index(d)]
            if cell == Cell():
                continue
            unit = f", {row.figure.unit}" if row.figure.unit else ""
            name = f"{row.figure.name}{unit}"
            mark = " ✓" if cell.wins else ""
            lines.append(
                f"{name:<36}{cell.value:>12}{cell.untouched:>11}{cell.truth:>11}  {row.figure.better}{mark}".rstrip()
            )
    return [*lines[1:], "", "✓: better than the untouched input; see docs/measurements/metrics.md"]


def figures(keys: Iterable[str]) -> list[tuple[str, Figure]]:
    """Names and presentations of the figures that have scores among `keys`, in the order of rows."""
    names = {_figure_of(key) for key in keys if key != STEP}
    known = [name for name in FIGURES if name in names]
    unknown = sorted(name for name in names if name not in FIGURES)
    return [(name, FIGURES.get(name, Figure(name.replace("_", " "), "", "", ""))) for name in known + unknown]


def text(value: float | None, figure: Figure) -> str:
    """Format a score in the figure's unit; NONE for None."""
    return NONE if value is None else f"{value * figure.scale:.{figure.digits}f}"


def _figure_of(key: str) -> str:
    key = key.removesuffix("_input").removesuffix("_truth")
    endings = (f"_{d.name}" for d in DIRECTIONS)
    return next((key.removesuffix(ending) for ending in endings if key.endswith(ending)), key)


def _cell(metrics: Mapping[str, float], key: str, figure: Figure) -> Cell:
    value, untouched = metrics.get(key), metrics.get(f"{key}_input")
    wins = False
    if value is not None and untouched is not None and figure.better:
        wins = value > untouched if figure.better == "higher" else value < untouched
    truth = metrics.get(f"{key}_truth")
    return Cell(text(value, figure), text(untouched, figure), text(truth, figure), wins)
