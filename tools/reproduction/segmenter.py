"""The segmentation network of the FCN score (Isola et al., CVPR 2017, §4.1), applied to translated frames.

It is trained once, on real frames of all conditions with their label maps. The more realistic a translated frame is,
the better it predicts the label map from which the frame was translated.
"""

import json
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.events import Job
from recycle.networks.predictor import pad_to_multiple
from recycle.street.paint import LABELS
from recycle.system.atomic import atomic_path, write_text
from recycle.system.devices import find_device
from recycle.training.fabric import make_fabric
from tools.reproduction.footage import read_all
from tools.reproduction.plan import FootageSize, SegmenterSettings, digest
from tools.reproduction.task import Clip, TrainingFootage

COLOURS = np.array(list(LABELS.values()), np.uint8)
"""(classes, 3) colours of the label maps, in the order of LABELS."""
_DEPTH = 4


class Segmenter:
    """Predicts label maps from frames."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self._network = network.to(device).eval().requires_grad_(False)
        self._device = device

    @torch.inference_mode()
    def __call__(self, frames: Clip) -> Clip:
        """The label map of each frame, (T, H, W, 3) uint8, in exactly the colours of LABELS."""
        height, width = frames.shape[1:3]
        logits = self._network(pad_to_multiple(_floats(frames).to(self._device), 2**_DEPTH))
        return COLOURS[logits[..., :height, :width].argmax(1).cpu().numpy()]


def make_segmenter(
    settings: SegmenterSettings,
    size: FootageSize,
    footage: TrainingFootage,
    folder: Path,
    *,
    device: str,
    job: Job,
) -> Path:
    """The weights file in `folder` for these settings; trains the network if there is none."""
    weights = folder / f"segmenter-{digest(settings, size)}.safetensors"
    if weights.is_file():
        return weights
    device = find_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = _network(settings).to(device)
        losses = _train(network, settings, footage, device, job)
    with atomic_path(weights) as temporary:
        save_file({key: value.cpu().contiguous() for key, value in network.state_dict().items()}, temporary)
    write_text(weights.with_suffix(".json"), json.dumps({"loss": losses[:: max(1, len(losses) // 50)]}) + "\n")
    return weights


def open_segmenter(weights: Path, settings: SegmenterSettings, device: str) -> Segmenter:
    """The network with weights written by `make_segmenter`."""
    network = _network(settings)
    network.load_state_dict(load_file(weights))
    return Segmenter(network, find_device(device))


def _network(settings: SegmenterSettings) -> nn.Module:
    channels = [max(settings.width * 4 >> i, 16) for i in range(_DEPTH)]
    network: nn.Module = smp.Unet(
        "tu-resnet18",
        encoder_depth=_DEPTH,
        encoder_weights=None,
        decoder_channels=channels,
        classes=len(LABELS),
    )
    return network


def _train(
    network: nn.Module, settings: SegmenterSettings, footage: TrainingFootage, device: str, job: Job
) -> list[float]:
    """Train with AdamW, one cycle of the learning rate, and random flips; returns the loss of each step."""
    fabric = make_fabric(device, "auto")
    frames, classes = read_all(footage.a), _classes(read_all(footage.labels_of_a))
    rng = np.random.default_rng(settings.seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=settings.learning_rate, total_steps=settings.steps + 1
    )
    network.train()
    count = job.counting("training the segmentation network", total=settings.steps, unit="steps")
    losses = []
    for step in range(settings.steps):
        chosen = rng.integers(len(frames), size=settings.batch_size)
        x, y = _floats(frames[chosen]), torch.from_numpy(classes[chosen]).long()
        if rng.random() < 0.5:
            x, y = x.flip(-1), y.flip(-1)
        height, width = y.shape[-2:]
        with fabric.autocast():
            logits = network(pad_to_multiple(x.to(device), 2**_DEPTH))[..., :height, :width]
        loss = F.cross_entropy(logits.float(), y.to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        count(step + 1, detail=f"loss {losses[-1]:.2f}")
    return losses


def _floats(frames: Clip) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _classes(labels: Clip) -> NDArray[np.uint8]:
    """(T, H, W) class numbers from exact label colours."""
    classes = np.zeros(labels.shape[:3], np.uint8)
    for number, colour in enumerate(COLOURS):
        classes[(labels == colour).all(-1)] = number
    return classes
