"""Scores of single frames, pairs of frames and thumbnails, as pure functions.

All frames are uint8 RGB (H, W, 3) with at least `SMALLEST` pixels per side. `recycle.evaluation.evaluate` averages the
scores over clips.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from recycle.evaluation.palette import Palette
from recycle.video.flow import Flow, ends, optical_flow, sample

Pixels = NDArray[np.uint8]

SMALLEST = 16
"""Minimum height and width in pixels of a frame that can be scored (optical flow needs 12)."""
PSNR_CAP = 100.0
"""Maximum PSNR in dB, reported for identical frames: JSON has no infinity."""
THUMBNAIL = 32
"""Side in pixels of the thumbnails that `diversity` compares."""
_DIVERSITY_FRAMES = 64


def psnr(frame: Pixels, truth: Pixels) -> float:
    """Peak signal-to-noise ratio in dB with peak 255, at most PSNR_CAP. Higher is better."""
    value = peak_signal_noise_ratio(_batch(frame), _batch(truth), data_range=255.0)
    return min(float(value), PSNR_CAP)


def ssim(frame: Pixels, truth: Pixels) -> float:
    """Structural similarity in [-1, 1], 1 for identical frames (Wang et al. 2004; Gaussian window, σ = 1.5)."""
    value = structural_similarity_index_measure(_batch(frame), _batch(truth), data_range=255.0)
    assert isinstance(value, Tensor)  # torchmetrics returns a tuple only with the full image
    return float(value)


def mean_difference(frame: Pixels, other: Pixels) -> float:
    """Mean absolute difference in grey levels, 0 to 255."""
    return float(cv2.absdiff(frame, other).mean())


def structure(frame: Pixels, source: Pixels) -> float | None:
    """Correlation of the gradient magnitudes of both frames, in [-1, 1]: whether edges are where the source has them.

    1 for identical frames, about 0 for unrelated ones. None if the source is flat; 0 if only `frame` is flat. Gradients
    are those of luminance by the 3 × 3 Sobel operator. Magnitudes make light on dark equivalent to dark on light. Based
    on the gradient correlation of Penney et al. (IEEE TMI 1998), which correlates each component separately.
    """
    ours, theirs = (_edges(picture) for picture in (frame, source))
    spread = float(ours.std()), float(theirs.std())
    if spread[1] < 1e-3:
        return None
    return float((ours * theirs).mean()) / (spread[0] * spread[1]) if spread[0] >= 1e-3 else 0.0


class LabelScores(NamedTuple):
    """The three scores of the paper's Viper table in percent (definitions: Long et al., CVPR 2015, §5)."""

    mp: float
    """Mean pixel accuracy: correct pixels / all pixels."""
    ac: float
    """Mean class accuracy: mean recall of the classes."""
    iou: float
    """Mean intersection over union of the classes, TP / (TP + FP + FN)."""


def label_confusion(predicted: Pixels, truth: Pixels, palette: Palette) -> Tensor:
    """Confusion matrix of pixel counts, int64 (classes, classes): row = true, column = predicted, in palette order.

    Each pixel is assigned to the class with the nearest colour in RGB. This applies to the truth as well, because video
    codecs blur label colours.
    """
    return multiclass_confusion_matrix(
        torch.from_numpy(_nearest(predicted, palette)),
        torch.from_numpy(_nearest(truth, palette)),
        num_classes=len(palette),
        validate_args=False,
    )


def label_scores(confusion: Tensor) -> LabelScores:
    """Scores of a confusion matrix (classes, classes) with rows = truth, summed over all scored frames.

    Means over classes include only classes that occur in the truth. A class that is predicted but never true is not
    included; its pixels still lower the scores of their true classes.
    """
    counts = confusion.double()
    correct, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    occurs = true > 0
    recall = correct[occurs] / true[occurs]
    overlap = correct[occurs] / (true + predicted - correct)[occurs]
    return LabelScores(*(100 * float(v) for v in (correct.sum() / true.sum(), recall.mean(), overlap.mean())))


class Motion(NamedTuple):
    """Motion of each pixel of the current frame since the previous frame."""

    position: NDArray[np.float32]
    """(H, W, 2): position (x, y) in the previous frame, in pixels."""
    visible: NDArray[np.bool_]
    """(H, W): False where the previous frame does not show the point or the flow is unreliable."""
    forward: Flow
    """(H, W, 2): the flow from the previous to the current frame, from `optical_flow`."""


def motion(previous: Pixels, current: Pixels) -> Motion:
    """Optical flow between consecutive frames in both directions (see optical_flow), with visibility.

    Visibility is determined by forward-backward consistency and motion boundaries, as in Ruder et al., GCPR 2016,
    eq. 5–6. A pixel is not visible where |w + ŵ|² > 0.01 (|w|² + |ŵ|²) + 0.5, where |∇u|² + |∇v|² > 0.01 |ŵ|² + 0.002,
    or where its position is outside the previous frame.
    """
    backward, forward = optical_flow(current, previous), optical_flow(previous, current)
    height, width = current.shape[:2]
    position = ends(backward)
    returned = sample(forward, position)
    inside = ((position >= 0) & (position <= (width - 1, height - 1))).all(-1)
    mismatch = _square(backward + returned)
    occluded = mismatch > 0.01 * (_square(backward) + _square(returned)) + 0.5
    slope = sum(_square(np.gradient(backward, axis=axis)) for axis in (0, 1))
    boundary = slope > 0.01 * _square(backward) + 0.002
    return Motion(position, inside & ~occluded & ~boundary, forward)


def warp_error(previous: Pixels, current: Pixels, moved: Motion) -> float | None:
    """Temporal warp error E_warp of Lai et al., ECCV 2018: flicker that motion does not explain.

    The previous frame is warped to the current one by `moved`. The result is the mean squared difference of values in
    [0, 1] over visible pixels and channels. `moved` must be the motion of the *source* video, so that the untouched
    input and its translation are scored with the same motion. None if no pixel is visible.
    """
    if not moved.visible.any():
        return None
    carried = sample(previous.astype(np.float32), moved.position)
    difference = (carried - current)[moved.visible] / 255
    return float(np.square(difference).mean())


def flow_difference(moved: Flow, reference: Flow) -> float:
    """tOF of TecoGAN (Chu et al., ACM TOG 2020, §4): difference in motion between two videos, in pixels.

    ‖OF(b_{t−1}, b_t) − OF(g_{t−1}, g_t)‖: the length of the difference of two flows (H, W, 2) between the same two
    times, averaged over all pixels. 0 for equal motion.
    """
    return float(np.sqrt(_square(moved - reference)).mean())


def thumbnail(frame: Pixels) -> Pixels:
    """Shrink a frame to uint8 (THUMBNAIL, THUMBNAIL, 3) by averaging over areas."""
    small = cv2.resize(frame, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8)


def evenly(count: int, most: int) -> NDArray[np.int_]:
    """At most `most` of the numbers below `count`, evenly spread: with the first, and with the last if `most` > 1."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def diversity(thumbnails: Sequence[Pixels]) -> float:
    """Mean absolute difference in grey levels between all pairs of at most 64 evenly spaced thumbnails.

    In perceptual mode collapse, the diversity of the output is far below that of the input: frames that differ in the
    input differ by only a few grey levels in the output. 0 for a constant video and for fewer than two frames.
    """
    if len(thumbnails) < 2:
        return 0.0
    chosen = [thumbnails[i] for i in evenly(len(thumbnails), _DIVERSITY_FRAMES)]
    flat = torch.from_numpy(np.stack(chosen)).flatten(1).float()
    return float(torch.pdist(flat, p=1).mean()) / flat.shape[1]


def _batch(frame: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()


def _edges(frame: Pixels) -> NDArray[np.float64]:
    """Gradient magnitudes of luminance (H, W), minus their mean."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    x, y = (cv2.Sobel(grey, cv2.CV_64F, *order) for order in ((1, 0), (0, 1)))
    length = np.hypot(x, y)
    return np.asarray(length - length.mean())


def _nearest(frame: Pixels, palette: Palette) -> NDArray[np.intp]:
    """Index (H, W) of the label with the nearest colour at each pixel; the first of equally near labels."""
    pixels = frame.astype(np.int32)
    nearest, least = np.zeros(frame.shape[:2], np.intp), np.full(frame.shape[:2], np.iinfo(np.int32).max)
    for number, colour in enumerate(palette.values()):
        distance = np.square(pixels - colour).sum(-1)
        nearest[distance < least] = number
        least = np.minimum(least, distance)
    return nearest


def _square(vectors: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.square(vectors).sum(-1))
