"""The tables that all tasks have: each direction's distances, structure, flicker, and scores against a known truth."""

from collections.abc import Mapping
from typing import Any

from recycle.domains import DIRECTIONS
from tools.reproduction.tables import cell, table

_JUDGED = {
    "kd_mid": ("KD, mid", 2),
    "kd_deep": ("KD, deep", 2),
    "structure": ("structure", 2),
    "edges": ("edges", 2),
    "warp": ("warp ÷ source's", 2),
}
_TRUTH = {"psnr": ("PSNR, dB", 2), "ssim": ("SSIM", 3), "warp_error": ("warp error, × 10⁻³", 2)}
"""Figure → head of its column, and digits."""
_INPUT = "untouched input"
_LEGEND = (
    "KD: kernel distance of Lite2's features (strides 8 and 32) from unseen real frames, lower is better. Structure: "
    "correlation of the gradients with the source's; edges: of their lengths. Warp: flicker, by the source's motion.\n"
)


def judged_page(results: Mapping[str, Any]) -> str:
    """A table for each direction, and the single seeds."""
    parts = ["## Judged by a network that no training used\n", _LEGEND]
    for source, target in DIRECTIONS:
        parts += [f"### {source} → {target}\n", _direction(results, source + target)]
    parts += ["### Single seeds: deep KD\n", _singles(results)]
    return "\n".join(parts)


def _direction(results: Mapping[str, Any], way: str) -> str:
    judged, truth, yardsticks = results["judged_summary"], results["summary"], results["judged_yardsticks"]
    known = {
        figure: head for figure, head in _TRUTH.items() if any(way in own.get(figure, {}) for own in truth.values())
    }
    seconds = results["step_seconds"]
    first = next(iter(seconds))
    bases = {f"deep ÷ {_INPUT}": yardsticks[_INPUT]["kd_deep"][way]}
    if "previous" in judged:
        bases["deep ÷ previous"] = judged["previous"]["kd_deep"][way]["mean"]
    rows = []
    for method, own in judged.items():
        deep = own["kd_deep"][way]["mean"]
        rows.append(
            [
                method,
                f"{seconds[method] / seconds[first]:.2f}" if method in seconds else "",
                *(cell(own[figure].get(way), digits) for figure, (_, digits) in _JUDGED.items()),
                *(f"{deep / base:.2f}" if base > 0 else "–" for base in bases.values()),
                *(cell(truth[method][figure].get(way), digits) for figure, (_, digits) in known.items()),
            ]
        )
    for name, scores in yardsticks.items():
        against = results["yardsticks"].get("input", {}) if name == _INPUT else {}
        rows.append(
            [
                f"*{name}*",
                "",
                *(_plain(scores, figure, way, digits) for figure, (_, digits) in _JUDGED.items()),
                *("" for _ in bases),
                *(_plain(against, figure, way, digits) for figure, (_, digits) in known.items()),
            ]
        )
    heads = [head for head, _ in _JUDGED.values()]
    return table(["", "step time", *heads, *bases, *(head for head, _ in known.values())], rows)


def _plain(scores: Mapping[str, Mapping[str, float]], figure: str, way: str, digits: int) -> str:
    value = scores.get(figure, {}).get(way)
    return "–" if value is None else f"{value:.{digits}f}"


def _singles(results: Mapping[str, Any]) -> str:
    rows = [
        [method, *(", ".join(f"{value:.2f}" for value in own["kd_deep"][a + b]["values"]) for a, b in DIRECTIONS)]
        for method, own in results["judged_summary"].items()
    ]
    return table(["", *(f"{a} → {b}" for a, b in DIRECTIONS)], rows)
