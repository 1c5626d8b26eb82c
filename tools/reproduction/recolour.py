"""A yardstick without training: the colours of the target domain."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.dataset.shots import Shot, spread
from recycle.domains import Domain
from tools.reproduction.task import Clip, Translate

FRAMES = 64
"""Number of frames of each domain whose colours are measured, evenly spread over its footage."""

FLAT = 1e-2
"""Maximum standard deviation of footage that counts as a single colour, which is only shifted."""


def colour_transfer(shots: Mapping[Domain, Sequence[Shot]]) -> Translate:
    """Give every pixel the colours of the target: a translation without learning, which cannot flicker.

    Each channel of CIE L*a*b* is shifted and scaled so that a frame with the mean and the standard deviation of the
    source's footage gets those of the target's; one mapping for all frames.

    Source: Reinhard et al., "Color Transfer between Images" (IEEE CG&A 2001), eq. 10 and 11, with L*a*b* for lαβ and
    whole domains for single images.
    """
    looks = {domain: _look(own) for domain, own in shots.items()}

    def translate(frames: Clip, to: Domain) -> Clip:
        (mean, deviation), (wanted_mean, wanted_deviation) = looks["b" if to == "a" else "a"], looks[to]
        scale = np.where(deviation > FLAT, wanted_deviation / np.maximum(deviation, FLAT), 1).astype(np.float32)
        return np.stack([_pixels((_lab(frame) - mean) * scale + wanted_mean) for frame in frames])

    return translate


def _look(shots: Sequence[Shot]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each channel over all pixels: (3,) each."""
    lab = np.concatenate([_lab(frame).reshape(-1, 3) for frame in spread(shots, FRAMES)])
    return lab.mean(0), lab.std(0)


def _lab(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) RGB → L in [0, 100], a and b about [-127, 127]."""
    return np.asarray(cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def _pixels(lab: NDArray[np.float32]) -> NDArray[np.uint8]:
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.asarray((np.clip(rgb, 0, 1) * 255).round(), dtype=np.uint8)
