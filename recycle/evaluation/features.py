"""Describes frames as vectors to measure distances between them: thumbnails or features of a network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from recycle.evaluation.inception import InceptionNetwork, load_inception
from recycle.evaluation.lite import LiteNetwork
from recycle.evaluation.metrics import Pixels, thumbnail
from recycle.evaluation.street_features import StreetNetwork, street_network
from recycle.system.devices import find_device


class Describe(Protocol):
    """Converts N frames, uint8 RGB (H, W, 3) of equal or different sizes, to vectors (N, D) float32 on the CPU."""

    def __call__(self, frames: Sequence[Pixels], /) -> Tensor:
        """The vectors of `frames`, one row per frame."""


def describe_broadly(frames: Sequence[Pixels]) -> Tensor:
    """Thumbnails as vectors (N, 3072) whose Euclidean distance is the RMS difference in grey levels."""
    pixels = np.stack([thumbnail(frame) for frame in frames]).reshape(len(frames), -1)
    return torch.from_numpy(pixels).float() / pixels.shape[1] ** 0.5


@dataclass(frozen=True)
class Features:
    """A feature network on a device; see open_features."""

    network: StreetNetwork | InceptionNetwork | LiteNetwork
    device: str

    @property
    def mid(self) -> int:
        """Number of leading features that are from a middle level of the network; 0 if there are none."""
        return self.network.mid

    def __call__(self, frames: Sequence[Pixels], /) -> Tensor:
        """Features (N, D) of frames resized to the network's size; shrinking averages over areas."""
        with torch.inference_mode():
            found = [self.network(batch.to(self.device)).float().cpu() for batch in self._batches(frames)]
        return torch.cat(found).clone()

    def _batches(self, frames: Sequence[Pixels]) -> Iterator[Tensor]:
        """Yield batches uint8 (N, 3, H, W) in the network's size: a single one, or one per frame if sizes differ."""
        sizes = [self.network.size_for(*frame.shape[:2]) for frame in frames]
        fitted = [_resize(frame, width, height) for frame, (height, width) in zip(frames, sizes, strict=True)]
        for batch in [fitted] if len(set(sizes)) == 1 else [[frame] for frame in fitted]:
            yield torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)


def describe_for_memorisation(features: Features | None) -> Describe:
    """The description with which to compare output and training frames: `features`, or thumbnails for lite2 and None.

    lite2 depends on fine texture and does not recognise degraded copies. For footage of signers, copies after JPEG or
    blur are 1.8 to 4.2 times as far from the training frames as unseen frames are, no nearer than genuine translations.
    With thumbnails, copies are 0.4 to 0.9 times as far, and genuine translations 3.3 times.
    """
    return describe_broadly if features is None or features.mid else features


def open_features(which: Literal["lite2", "street"] | Path, *, device: str = "auto") -> Features:
    """Open the feature network for a value of EvaluateSettings.features on a device.

    `which` is 'lite2', 'street', or the path of Inception weights. 'street' trains its network on the CPU at the first
    use (see street_network). Raises BundleError if a file does not hold the expected network, ConfigError if the device
    or a package is missing, OutputError if the street's network cannot be saved.
    """
    kind = find_device(device)
    network: StreetNetwork | InceptionNetwork | LiteNetwork
    if which == "lite2":
        network = LiteNetwork()
    else:
        network = street_network() if which == "street" else load_inception(Path(which))
    return Features(network.to(kind), kind)


def _resize(frame: Pixels, width: int, height: int) -> Pixels:
    shrinks = frame.shape[0] >= height and frame.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), dtype=np.uint8)
