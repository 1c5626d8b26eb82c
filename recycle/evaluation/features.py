"""Frames as vectors, in which distances between pictures are measured: thumbnails, or a network's features."""

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

    network: StreetNetwork | InceptionNetwork | LiteNetwork
    device: str

    @property
    def mid(self) -> int:
        """How many of the first features are of a middle level of the network, with a KID of their own; 0: none."""
        return self.network.mid if isinstance(self.network, LiteNetwork) else 0

    def __call__(self, frames: Sequence[Pixels], /) -> Tensor:
        """Features (N, D): frames are resized to the network's size, averaged over areas where that is smaller."""
        with torch.inference_mode():
            found = [self.network(batch.to(self.device)).float().cpu() for batch in self._batches(frames)]
        return torch.cat(found).clone()

    def _batches(self, frames: Sequence[Pixels]) -> Iterator[Tensor]:
        """The frames (N, 3, H, W) uint8 in the network's size: all at once, where that is the same for all."""
        sizes = [
            self.network.size_for(*frame.shape[:2]) if isinstance(self.network, LiteNetwork) else self.network.size
            for frame in frames
        ]
        fitted = [_resize(frame, width, height) for frame, (height, width) in zip(frames, sizes, strict=True)]
        for batch in [fitted] if len(set(sizes)) == 1 else [[frame] for frame in fitted]:
            yield torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)


def describe_for_memorisation(features: Features | None) -> Describe:
    """How frames are compared with training frames: by these features, or by thumbnails where those tell copies better.

    Those of lite2 hang on fine texture: of signers, copies after JPEG or a blur lie as far from the training frames as
    honest translations do, 1.8 to 4.2 times as far as unseen frames, by thumbnails 0.4 to 0.9 and 3.3.
    """
    return describe_broadly if features is None or features.mid else features


def open_features(which: Literal["lite2", "street"] | Path, *, device: str = "auto") -> Features:
    """The feature network of EvaluateSettings.features, on a device.

    'street' trains on the CPU at the first use (see street_network, which shows how far it is). Raises BundleError for
    a file that is no Inception network, ConfigError for a device or a package that is absent, OutputError if the
    street's network cannot be kept.
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
