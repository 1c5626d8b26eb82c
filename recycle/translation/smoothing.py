"""The paper's smoothing of translated video by the predictor."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def smooth(
    frames: Tensor, past: Tensor, cuts: Sequence[bool], predictor: nn.Module, length: int
) -> tuple[Tensor, Tensor]:
    """y_t = ½ (G(x_t) + P(G(x_{t−length}), …, G(x_{t−1}))) for consecutive frames; in the paper length = 2.

    P sees the translations before their smoothing. A frame with fewer than `length` translations before it
    in its shot stays as it is. Source: Bansal et al., "Recycle-GAN" (ECCV 2018), section 3, inference.

    `frames`: (N, 3, H, W) float, the translations G(x_t). `past`: (K, 3, H, W), K <= length, the
    translations before them in the same shot, which the previous call returned (empty at the start). `cuts`:
    for each frame, whether a new shot begins with it. `predictor`: (B, length, 3, H, W) → (B, 3, H, W).
    Returns the smoothed frames (N, 3, H, W) and the past of the next call. Splitting a video into calls
    changes nothing.
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
        frames = torch.stack(smoothed)
    return frames, history[len(history) - min(known, length) :]
