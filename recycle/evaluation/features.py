"""Frames as vectors, in which distances between pictures are measured: thumbnails, or a network's features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from recycle.devices import find_device
from recycle.evaluation.inception import InceptionNetwork, load_inception
from recycle.evaluation.metrics import Pixels, thumbnail
from recycle.evaluation.street_features import StreetNetwork, street_network


class Describe(Protocol):
    """Turns frames, (H, W, 3) uint8 RGB of equal or different sizes, into vectors (N, D) float32 on the CPU."""

    def __call__(self, frames: Sequence[Pixels], /) -> Tensor:
        """One row for each frame."""


def describe_broadly(frames: Sequence[Pixels]) -> Tensor:
    """Thumbnails as vectors (N, 3072), so that the Euclidean distance of two is their RMS difference in grey levels."""
    pixels = np.stack([thumbnail(frame) for frame in frames]).reshape(len(frames), -1)
    return torch.from_numpy(pixels).float() / pixels.shape[1] ** 0.5


@dataclass(frozen=True)
class Features:
    """Features of a network; see open_features."""

    network: StreetNetwork | InceptionNetwork
    device: str

    def __call__(self, frames: Sequence[Pixels], /) -> Tensor:
        """Features (N, D): frames are resized to the network's size, averaged over areas where that is smaller."""
        height, width = self.network.size
        pixels = np.stack([_resize(frame, width, height) for frame in frames])
        with torch.inference_mode():
            batch = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
            return self.network(batch).float().cpu().clone()


def open_features(which: Literal["street"] | Path, *, device: str = "auto") -> Features:
    """The feature network of EvaluateSettings.features, on a device.

    'street' trains on the CPU at the first use (see street_network, which shows how far it is). Raises BundleError for
    a file that is no Inception network, ConfigError for a device that is absent, OutputError if the street's network
    cannot be kept.
    """
    kind = find_device(device)
    network = street_network() if which == "street" else load_inception(Path(which))
    return Features(network.to(kind), kind)


def _resize(frame: Pixels, width: int, height: int) -> Pixels:
    shrinks = frame.shape[0] >= height and frame.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), dtype=np.uint8)
