"""Smooths translated video with the predictor, as in the paper."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recycle.networks.flat import keep_flat


def smooth(
    frames: Tensor, past: Tensor, cuts: Sequence[bool], predictor: nn.Module, length: int
) -> tuple[Tensor, Tensor]:
    """y_t = ½ (G(x_t) + P(G(x_{t−length}), …, G(x_{t−1}))) for consecutive frames; in the paper length = 2.

    P gets the translations before they are smoothed. A frame stays unchanged if fewer than `length` translations
    precede it in its shot, or if it is flat (see `recycle.networks.flat`): a predictor paints something into the black
    after a fade. Source: Bansal et al., "Recycle-GAN" (ECCV 2018), section 3, inference.

    `frames` (N, 3, H, W) are the translations G(x_t), floats. `past` (K, 3, H, W), K ≤ length, are the translations
    before them in the same shot, as returned by the previous call; at the start, it is empty. `cuts` tells for each
    frame whether a new shot begins with it. `predictor` maps (B, length, 3, H, W) to (B, 3, H, W). Returns the smoothed
    frames (N, 3, H, W) and the `past` of the next call. The result does not depend on how a video is split into calls.
    """
    history = torch.cat((past, frames))
    known = len(past)
    predictable = []
    for index, cut in enumerate(cuts):
        known = 0 if cut else known
        if known >= length:
            predictable.append(index)
        known += 1
    if predictable:
        first = len(past) - length
        windows = torch.stack([history[first + i : first + i + length] for i in predictable])
        smoothed = list(frames.unbind())
        for i, prediction in zip(predictable, predictor(windows).to(frames.dtype), strict=True):
            smoothed[i] = (smoothed[i] + prediction) / 2
        frames = keep_flat(frames, torch.stack(smoothed))
    return frames, history[len(history) - min(known, length) :]
