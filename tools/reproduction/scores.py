"""Scores of a model of the task `labels`, or of a yardstick: both tables, flicker, and a contact sheet."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recycle.domains import Domain
from recycle.evaluation.metrics import label_confusion, label_scores, warp_error
from recycle.street.paint import LABELS
from tools.reproduction.footage import Scene
from tools.reproduction.plan import ALL, CONDITIONS
from tools.reproduction.sheets import joined, save
from tools.reproduction.task import Clip, Scores

Render = Callable[[Scene, Domain], Clip]
"""Returns the replacement of a scene's true counterpart: video from label maps ("a"), label maps from video ("b")."""
Reader = Callable[[Clip], Clip]
"""Predicts label maps of video: the segmentation network."""


def yardsticks(scenes: Sequence[Scene]) -> dict[str, Render]:
    """Scores for comparison with those of a model.

    `truth`: the true counterparts (their `video` scores are the upper bound by the segmentation network); `input`: the
    source itself; `another scene`: the true counterparts of the next scene, as from a model that knows the target
    domain and ignores its input.
    """
    following = {id(one): other for one, other in zip(scenes, [*scenes[1:], scenes[0]], strict=True)}

    def counterpart(scene: Scene, to: Domain) -> Clip:
        return scene.video if to == "a" else scene.labels

    def source(scene: Scene, to: Domain) -> Clip:
        return scene.labels if to == "a" else scene.video

    def other(scene: Scene, to: Domain) -> Clip:
        clip = counterpart(following[id(scene)], to)
        return clip[np.arange(len(scene.video)) % len(clip)]

    return {"truth": counterpart, "input": source, "another scene": other}


def score(render: Render, scenes: Iterable[Scene], segmenter: Reader) -> Scores:
    """All scores, for each condition and for all: `labels_mp`, `labels_ac`, `labels_iou` in % (table 1); `video_mp`, …
    in % (table 2, the segmentation network's); `labels_warp` and `video_warp` (× 10⁻³).

    Label scores come from the pixel counts of all frames of a column; warp errors are means over pairs of frames,
    by the motion of the scene's real video in both directions.
    """
    counts: dict[tuple[str, str], Tensor] = {}
    warps: dict[tuple[str, str], list[float]] = defaultdict(list)
    for scene in scenes:
        made: dict[str, Clip] = {"labels": render(scene, "b"), "video": render(scene, "a")}
        read = {"labels": made["labels"], "video": segmenter(made["video"])}
        for name, maps in read.items():
            pairs = zip(maps, scene.labels, strict=True)
            confusion = torch.stack([label_confusion(one, true, LABELS) for one, true in pairs]).sum(0)
            errors = [
                warp_error(before, now, moved)
                for before, now, moved in zip(made[name][:-1], made[name][1:], scene.motions, strict=True)
            ]
            for column in (scene.condition, ALL):
                counts[name, column] = counts.get((name, column), torch.zeros_like(confusion)) + confusion
                warps[name, column] += [1000 * error for error in errors if error is not None]
    scores: Scores = defaultdict(dict)
    for (name, column), confusion in counts.items():
        for figure, value in label_scores(confusion)._asdict().items():
            scores[f"{name}_{figure}"][column] = value
    for (name, column), values in warps.items():
        if values:
            scores[f"{name}_warp"][column] = float(np.mean(values))
    return dict(scores)


def write_sheet(path: Path, render: Render, scenes: Sequence[Scene], segmenter: Reader) -> None:
    """One row per condition: video | translated | true labels, then labels | translated | labels predicted from it |
    true video."""
    rows = []
    for condition in CONDITIONS:
        scene = next((scene for scene in scenes if scene.condition == condition), None)
        if scene is None:
            continue
        middle = len(scene.video) // 2
        labels, video = render(scene, "b"), render(scene, "a")
        clips = (scene.video, labels, scene.labels, scene.labels, video, segmenter(video), scene.video)
        cells = [clip[middle] for clip in clips]
        rows.append(joined(cells, axis=1))
    save(path, joined(rows, axis=0))
