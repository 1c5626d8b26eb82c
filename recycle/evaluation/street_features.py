"""A small network trained on the procedural street: features for FID and KID without a download."""

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import Appearance
from recycle.errors import OutputError
from recycle.events import Job
from recycle.street.film import Street
from recycle.street.paint import LABELS
from recycle.system.atomic import atomic_path

VERSION = 1
"""Version of the cached weights. Increment it when the network, its training, or the street changes."""
SIZE = (96, 160)
"""Height and width to which frames are resized."""
SCENES = 64
STEPS = 300
"""Numbers of street scenes and of steps for training."""

_SEED = 20_180_805
_MOMENTS = (0.5, 3.0)  # seconds from the start of a scene
_LOOKS: tuple[Appearance, ...] = ("day", "night", "labels")
_BATCH = 16
_RATE = 4e-3


class StreetNetwork(nn.Module):
    """Maps uint8 RGB (N, 3, *SIZE) to features (N, 64) float32 with a pooled convolutional encoder.

    It is trained on frames of the street with exact labels. The encoder predicts the share of each class in every cell
    of 16 × 16 pixels. The pooled features predict the appearance of a frame and the strengths of added blur and noise.
    The features therefore represent content, appearance and artefacts. Each has a mean of about 0 and a variance of
    about 1 on the street.
    """

    mid = 0
    """Number of leading features that are from a middle level."""
    num_features = 64

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 48, self.num_features)
        blocks = [_block(a, b, stride=2) for a, b in pairwise(widths)]
        self.encoder = nn.Sequential(*blocks, _block(self.num_features, self.num_features, stride=1))
        self.scale = nn.BatchNorm1d(self.num_features, affine=False, eps=1e-2)
        self.cells = nn.Conv2d(self.num_features, len(LABELS), 1)
        self.whole = nn.Linear(self.num_features, len(_LOOKS) + 2)

    @staticmethod
    def size_for(height: int, width: int) -> tuple[int, int]:
        """Height and width to which a frame is resized, whatever its own."""
        return SIZE

    def forward(self, frames: Tensor) -> Tensor:
        """Features (N, 64) of frames (N, 3, *SIZE) uint8."""
        return self.pooled(self.encoder(frames.float() / 127.5 - 1))

    def pooled(self, encoded: Tensor) -> Tensor:
        """Pool the encoder's output (N, 64, H/16, W/16) to normalised features (N, 64)."""
        return self.scale(encoded.mean((2, 3)))


def street_network(*, job: Job | None = None) -> StreetNetwork:
    """The trained network, in evaluation mode on the CPU; trained at the first use, then loaded from the cache.

    During training, the job's progress counts scenes and steps. Raises OutputError if the cache cannot be written, and
    Interrupted if the job is cancelled; the next call then starts the training again.
    """
    file = cache_file()
    network = StreetNetwork()
    try:
        network.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError):  # missing, damaged or from other code: train again
        network = train_street_network(scenes=SCENES, steps=STEPS, job=job)
        weights = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        try:
            with atomic_path(file) as temporary:
                save_file(weights, temporary)
        except OSError as error:
            raise OutputError(
                f"cannot write {file}: {error.strerror}; set XDG_CACHE_HOME to a folder that can be written"
            ) from error
    return network.eval().requires_grad_(False)


def cache_file() -> Path:
    """Path of the trained weights, below XDG_CACHE_HOME or ~/.cache."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "recycle" / f"street-features-{VERSION}.safetensors"


def train_street_network(*, scenes: int, steps: int, job: Job | None = None) -> StreetNetwork:
    """Render scenes of the street and train the network on them.

    The result is the same on one machine with one number of threads. Raises Interrupted if the job is cancelled.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network = StreetNetwork()
    random = torch.Generator().manual_seed(_SEED)
    count = (job or Job()).counting("training the feature network, once", total=scenes + steps, unit="steps")
    frames, shares, looks = _film(scenes, count)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=_RATE, total_steps=steps)
    for step in range(steps):
        chosen = torch.randint(len(frames), (_BATCH,), generator=random)
        loss = _loss(network, frames[chosen], shares[chosen // len(_LOOKS)], looks[chosen], random)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        count(scenes + step + 1)
    return network


def _loss(network: StreetNetwork, frames: Tensor, shares: Tensor, looks: Tensor, random: torch.Generator) -> Tensor:
    """Cross-entropy of class shares and of appearance, plus the squared error of the strengths of blur and noise.

    Frames are flipped, blurred and made noisy at random.
    """
    flip = torch.rand(len(frames), 1, 1, 1, generator=random) < 0.5
    frames = torch.where(flip, frames.flip(3), frames).float() / 127.5 - 1
    shares = torch.where(flip, shares.flip(3), shares)
    strength = torch.rand(len(frames), 2, generator=random) * (torch.rand(len(frames), 2, generator=random) < 0.5)
    blur, noise = (column[:, None, None, None] for column in strength.unbind(1))
    soft = F.interpolate(F.avg_pool2d(frames, 4), scale_factor=4, mode="bilinear")
    frames = frames + blur * (soft - frames) + 0.4 * noise * torch.randn(frames.shape, generator=random)
    encoded = network.encoder(frames.clamp(-1, 1))
    told = network.whole(network.pooled(encoded))
    look, faults = told[:, : len(_LOOKS)], told[:, len(_LOOKS) :]
    return F.cross_entropy(network.cells(encoded), shares) + F.cross_entropy(look, looks) + F.mse_loss(faults, strength)


def _film(scenes: int, count: Callable[[int], None]) -> tuple[Tensor, Tensor, Tensor]:
    """Render frames (N, 3, *SIZE) uint8, class shares (N / 3, classes, H/16, W/16) in [0, 1], and appearances (N,).

    The three appearances of one moment are adjacent.
    """
    height, width = SIZE
    colours = np.array(list(LABELS.values()), np.uint8)
    frames, shares = [], []
    for scene in range(scenes):
        street = Street(_SEED + scene, width, height, fps=2, seconds=4.0)
        for moment in _MOMENTS:
            seen = [street.frame(round(moment * street.fps), look) for look in _LOOKS]
            frames += seen
            one_hot = (seen[-1][:, :, None] == colours).all(-1).astype(np.float32)
            shares.append(cv2.resize(one_hot, (width // 16, height // 16), interpolation=cv2.INTER_AREA))
        count(scene + 1)
    looks = torch.arange(len(_LOOKS)).repeat(len(shares))
    return _first_channels(np.stack(frames)), _first_channels(np.stack(shares)), looks


def _first_channels(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def _block(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
