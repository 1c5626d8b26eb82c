"""Scores against the true counterpart, for the tasks whose footage has one."""

import numpy as np

from recycle.domains import DIRECTIONS
from recycle.evaluation.metrics import psnr, ssim
from tools.reproduction.judge import mean_warp_error
from tools.reproduction.task import Films, Scores, Translate


def score_truth(translate: Translate, films: Films) -> Scores:
    """`psnr` (dB) and `ssim`, means over all frames, and `warp_error` (× 10⁻³, by the source's motion).

    For each direction whose films have a truth; empty where none has.
    """
    scores: Scores = {}
    for source, target in DIRECTIONS:
        known = [film for film in films[source] if film.truth is not None]
        if not known:
            continue
        made = [translate(film.frames, target) for film in known]
        pairs = [
            pair
            for clip, film in zip(made, known, strict=True)
            if film.truth is not None
            for pair in zip(clip, film.truth, strict=True)
        ]
        way = source + target
        scores.setdefault("psnr", {})[way] = float(np.mean([psnr(*pair) for pair in pairs]))
        scores.setdefault("ssim", {})[way] = float(np.mean([ssim(*pair) for pair in pairs]))
        error = mean_warp_error(made, [film.motions for film in known])
        if error is not None:
            scores.setdefault("warp_error", {})[way] = 1000 * error
    return scores
