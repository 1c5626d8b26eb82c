"""Means, spreads and ratios of the runs' scores, and the tables of the task `labels`."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tools.reproduction.plan import ALL, COLUMNS
from tools.reproduction.task import Scores

Summary = dict[str, dict[str, dict[str, dict[str, Any]]]]
"""Method → figure → column → `mean`, `sd` (None for a single value), `values` (one for each seed)."""

PAPER_LABELS = {
    "MP": ((35.8, 38.9, 51.2, 31.8, 27.4, 35.5), (48.7, 71.0, 60.9, 57.1, 45.2, 56.0)),
    "AC": ((7.8, 6.7, 7.4, 7.0, 4.7, 7.1), (11.9, 12.2, 10.5, 11.1, 6.5, 11.3)),
    "IoU": ((4.9, 3.9, 4.9, 4.0, 2.2, 4.2), (7.9, 9.6, 7.1, 8.2, 4.1, 8.2)),
}
"""Video → labels of the paper's Viper table (Bansal et al. 2018): CycleGAN's row and ReCycle-GAN's, by COLUMNS."""
PAPER_VIDEO = ((0.33, 0.27, 0.39, 0.29, 0.37, 0.30), (0.33, 0.51, 0.37, 0.43, 0.40, 0.39))
"""Labels → video: the normalised FCN scores."""
_NAMES = ("MP", "AC", "IoU")
_OTHER = "another scene"


def normalised(scores: Scores, ceiling: Scores) -> Scores:
    """Add `norm_mp`, `norm_ac`, `norm_iou`: the segmentation network's scores ÷ those on real frames."""
    figures = {f"norm_{name.lower()}": f"video_{name.lower()}" for name in _NAMES}
    return scores | {
        norm: {column: value / ceiling[figure][column] for column, value in scores[figure].items()}
        for norm, figure in figures.items()
    }


def summarise(runs: Sequence[Mapping[str, Any]], of: str = "scores") -> Summary:
    """Mean and spread over the seeds of each method; `runs` have `method` and scores under the key `of`."""
    summary: Summary = {}
    for method in dict.fromkeys(run["method"] for run in runs):
        own = [run[of] for run in runs if run["method"] == method]
        summary[method] = {
            figure: {column: _spread([scores[figure][column] for scores in own]) for column in own[0][figure]}
            for figure in own[0]
        }
    return summary


def _spread(values: list[float]) -> dict[str, Any]:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": sd, "values": values}


def markdown(results: Mapping[str, Any]) -> str:
    """Everything in tables, ready for the docs."""
    parts = [facts(results)]
    parts += [_ablation(results)] if results["ablation"] else _both_tables(results)
    return "\n".join(parts)


def _both_tables(results: Mapping[str, Any]) -> list[str]:
    summary, yardsticks = results["summary"], results["yardsticks"]
    floor = {_OTHER: yardsticks[_OTHER]}
    warped = {name: yardsticks[name] for name in ("input", "truth")}
    untouched = {"untouched label maps": yardsticks["input"]}
    ceiling = {"real frames": yardsticks["truth"]}
    labels = {name: f"labels_{name.lower()}" for name in _NAMES}
    video = {name: f"video_{name.lower()}" for name in _NAMES}
    norm = {f"{name} ÷ real": f"norm_{name.lower()}" for name in _NAMES}
    return [
        "### Video → labels (%)\n",
        _scores(summary, labels, floor, digits=1),
        _ratios(summary, labels, {n: tuple(r / c for c, r in zip(*PAPER_LABELS[n], strict=True)) for n in _NAMES}),
        "### Labels → video: what a segmentation network reads in it (%)\n",
        _scores(summary, video, ceiling | untouched | floor, digits=1),
        "Normalised: ÷ the score on real frames.\n",
        _scores(summary, norm, untouched | floor, digits=2),
        _ratios(summary, norm, {name: tuple(r / c for c, r in zip(*PAPER_VIDEO, strict=True)) for name in norm}),
        "### Flicker: warp error, × 10⁻³, by the motion of the real video\n",
        _scores(summary, {"video → labels": "labels_warp", "labels → video": "video_warp"}, warped, digits=2),
        "### Single seeds, `all`\n",
        _singles(summary, labels | norm),
    ]


def _scores(summary: Summary, figures: Mapping[str, str], yardsticks: Mapping[str, Scores], *, digits: int) -> str:
    rows = []
    for name, figure in figures.items():
        for method, own in summary.items():
            rows.append([f"{name}, {method}", *(cell(own[figure].get(column), digits) for column in COLUMNS)])
        for yardstick, scores in yardsticks.items():
            values = [scores[figure].get(column) for column in COLUMNS]
            rows.append([f"{name}, *{yardstick}*", *("–" if v is None else f"{v:.{digits}f}" for v in values)])
    return table(["", *COLUMNS], rows)


def _ratios(summary: Summary, figures: Mapping[str, str], paper: Mapping[str, Sequence[float]]) -> str:
    """Every method ÷ cycle, of the means, and below it the paper's recycle ÷ cycle."""
    if "cycle" not in summary or len(summary) < 2:
        return ""
    rows = []
    for name, figure in figures.items():
        base = summary["cycle"][figure]
        for method, own in summary.items():
            if method != "cycle":
                values = [_quotient(own[figure].get(c), base.get(c)) for c in COLUMNS]
                rows.append([f"{name}, {method} ÷ cycle", *values])
        rows.append([f"{name}, *paper: recycle ÷ cycle*", *(f"{value:.2f}" for value in paper[name])])
    return table(["", *COLUMNS], rows)


def _quotient(value: Mapping[str, Any] | None, base: Mapping[str, Any] | None) -> str:
    return "–" if value is None or base is None or not base["mean"] else f"{value['mean'] / base['mean']:.2f}"


def _singles(summary: Summary, figures: Mapping[str, str]) -> str:
    rows = []
    for method, own in summary.items():
        cells = [", ".join(f"{v:.{2 if v < 2 else 1}f}" for v in own[f][ALL]["values"]) for f in figures.values()]
        rows.append([method, *cells])
    return table(["", *figures], rows)


def _ablation(results: Mapping[str, Any]) -> str:
    summary, seconds = results["summary"], results["step_seconds"]
    first = next(iter(summary))
    columns = {
        **{f"{name}, v → l": (f"labels_{name.lower()}", 1) for name in _NAMES},
        **{f"{name} ÷ real, l → v": (f"norm_{name.lower()}", 2) for name in _NAMES},
        "warp v → l": ("labels_warp", 2),
        "warp l → v": ("video_warp", 2),
    }
    rows = [
        [
            method,
            f"{seconds[method] / seconds[first]:.2f}",
            *(cell(own[figure].get(ALL), digits) for figure, digits in columns.values()),
        ]
        for method, own in summary.items()
    ]
    for name in (_OTHER, "truth"):
        scores = results["yardsticks"][name]
        cells = [f"{scores[figure][ALL]:.{digits}f}" for figure, digits in columns.values()]
        rows.append([f"*{name}*", "", *cells])
    return "### Ablation, column `all`\n\n" + table(["objective", "step time", *columns], rows)


def facts(results: Mapping[str, Any]) -> str:
    """Methods, durations and machine of the runs."""
    machine, runs = results["machine"], results["runs"]
    counts = {run["method"]: run["steps"] for run in runs}
    steps = ", ".join(
        f"{method} {counts[method]} steps of {seconds:.3f} s" for method, seconds in results["step_seconds"].items()
    )
    seeds = len({run["seed"] for run in runs})
    budget = results["command"]["seconds"]
    each = f"{budget:g} s of training for each run" if budget else "equal steps"
    return (
        f"Size `{results['command']['size']}`, {seeds} seeds, {each}: {steps}. {machine['processor']}, "
        f"{machine['cores']} cores, {results['command']['jobs']} runs at once, {machine['device']}, "
        f"torch {machine['torch']}; {results['date']}. "
        f"Mean ± standard deviation over seeds.\n"
    )


def cell(value: Mapping[str, Any] | None, digits: int) -> str:
    """Mean and spread of an entry of a Summary."""
    if value is None:
        return "–"
    spread = "" if value["sd"] is None else f" ± {value['sd']:.{digits}f}"
    return f"{value['mean']:.{digits}f}{spread}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
