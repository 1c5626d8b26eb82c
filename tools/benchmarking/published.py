"""Literal transcription of the published order of work, with which the benchmarks compare.

Facts of the original implementation of ReCycle-GAN (Bansal et al., ECCV 2018): one frame at a time in float32, 32
network calls and 9 backward passes in a training step; at test time four generator passes for each frame, which is read
from a PNG file and written to one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from torch import Tensor, nn

from recycle.config import Pipeline
from recycle.networks.bundle import Bundle
from recycle.networks.few import FewConv2d
from recycle.networks.norm import InstanceNorm
from recycle.networks.resample import Double, Halve
from recycle.objective.discriminators import Discriminators
from recycle.objective.translators import Translators

Losses = dict[str, Tensor]


class PublishedRecycleGAN:
    """The six networks, their three optimisers, and the step in the published order.

    The pipeline must be that of the published method: three frames, recycle and recurrent losses, predictions of real
    frames judged without opposition. Without frame pools, as in its scripts.
    """

    def __init__(self, pipeline: Pipeline, device: torch.device | str = "cpu") -> None:
        torch.manual_seed(pipeline.train.seed)
        self.translators, self.discriminators = Translators(pipeline), Discriminators(pipeline)
        for networks in (self.translators, self.discriminators):
            as_published(networks).to(device)
        self.weights = pipeline.losses.weights
        rates = {"lr": pipeline.train.learning_rate, "betas": pipeline.train.betas}
        translating = [*self.translators.generators(), *self.translators.predictors()]
        self.optimizer_g = torch.optim.Adam(translating, **rates)  # type: ignore[arg-type]
        disc = self.discriminators.networks
        self.optimizer_d_a = torch.optim.Adam(disc["disc_a"].parameters(), **rates)  # type: ignore[arg-type]
        self.optimizer_d_b = torch.optim.Adam(disc["disc_b"].parameters(), **rates)  # type: ignore[arg-type]

    def step(self, a: Tensor, b: Tensor) -> Losses:
        """Train on clips (1, 3, 3, H, W) in [-1, 1]."""
        (a0, a1, a2), (b0, b1, b2) = a.unbind(1), b.unbind(1)
        gen_ab, gen_ba = self.translators.gen_ab, self.translators.gen_ba
        pred_a, pred_b = self.translators.pred_a, self.translators.pred_b
        assert pred_a is not None
        assert pred_b is not None
        self.optimizer_g.zero_grad()
        fake_b0, fake_b1 = gen_ab(a0), gen_ab(a1)
        fake_b2 = pred_b(torch.stack((fake_b0, fake_b1), dim=1))
        fake_a0, fake_a1 = gen_ba(b0), gen_ba(b1)
        fake_a2 = pred_a(torch.stack((fake_a0, fake_a1), dim=1))
        deceived = [self._judge("disc_b", fake, 1) for fake in (fake_b0, fake_b1, fake_b2)]
        deceived += [self._judge("disc_a", fake, 1) for fake in (fake_a0, fake_a1, fake_a2)]
        next_a, next_b = pred_a(torch.stack((a0, a1), dim=1)), pred_b(torch.stack((b0, b1), dim=1))
        losses = {
            "adversarial": torch.stack(deceived).sum(),
            "recycle": _l1(gen_ba(fake_b2), a2) + _l1(gen_ab(fake_a2), b2),
            "recurrent": _l1(next_a, a2) + _l1(next_b, b2),
        }
        weights = self.weights
        sum(weights.of(name, "ab") * loss for name, loss in losses.items()).backward()  # type: ignore[union-attr]
        self.optimizer_g.step()

        self.optimizer_d_a.zero_grad()
        losses["disc_a"] = self._pairs("disc_a", (a0, a1, a2, a2), (fake_a0, fake_a1, fake_a2, next_a))
        self.optimizer_d_a.step()
        self.optimizer_d_b.zero_grad()
        losses["disc_b"] = self._pairs("disc_b", (b0, b1, b2, b2), (fake_b0, fake_b1, fake_b2, next_b))
        self.optimizer_d_b.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def _pairs(self, name: str, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """Accumulate a discriminator's gradients, with a backward pass for each pair; returns the sum of the losses."""
        total = real[0].new_zeros(())
        for one, other in zip(real, fake, strict=True):
            loss = 0.5 * (self._judge(name, one, 1) + self._judge(name, other.detach(), 0))
            loss.backward()
            total = total + loss.detach()
        return total

    def _judge(self, name: str, frame: Tensor, wanted: float) -> Tensor:
        (logits,) = self.discriminators.networks[name](frame).logits
        return ((logits - wanted) ** 2).mean()


def as_published(module: nn.Module) -> nn.Module:
    """Replace our layers in `module` by PyTorch's, in place, with the same weights."""
    for name, child in module.named_children():
        if isinstance(child, InstanceNorm):
            setattr(module, name, nn.InstanceNorm2d(child.num_features))
        elif isinstance(child, Halve | Double | FewConv2d):
            own = nn.ConvTranspose2d if isinstance(child, Double) else nn.Conv2d
            size: Any = child.kernel_size, child.stride, child.padding
            plain = own(child.in_channels, child.out_channels, *size)
            plain.weight, plain.bias = child.weight, child.bias
            setattr(module, name, plain)
        else:
            as_published(child)
    return module


def translate_as_published(bundle: Bundle, source: Path, output: Path, folder: Path, *, passes: int = 4) -> int:
    """Video → PNG files → float32 passes one after the other → PNG files → video; returns the number of frames.

    `bundle` consists of `as_published` networks. The first of `passes` produces the frame; the others are what the
    original computes in addition (there and back for both domains), and are discarded.
    """
    device = next(bundle.parameters()).device
    with av.open(str(source)) as container:
        rate = container.streams.video[0].average_rate
        count = 0
        for count, frame in enumerate(container.decode(video=0), 1):
            cv2.imwrite(str(folder / f"{count:06d}.png"), frame.to_ndarray(format="bgr24"))
    for number in range(1, count + 1):
        pixels = cv2.cvtColor(cv2.imread(str(folder / f"{number:06d}.png")), cv2.COLOR_BGR2RGB)
        x = torch.from_numpy(pixels).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            y = bundle.gen_ab(x)
            others = (bundle.gen_ba, bundle.gen_ba, bundle.gen_ab)[: passes - 1]
            for network in others:
                network(x)
        done = ((y[0].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).byte().cpu().numpy()
        cv2.imwrite(str(folder / f"{number:06d}-b.png"), cv2.cvtColor(done, cv2.COLOR_RGB2BGR))
    with av.open(str(output), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        for number in range(1, count + 1):
            pixels = np.asarray(cv2.imread(str(folder / f"{number:06d}-b.png")), dtype=np.uint8)
            if number == 1:
                stream.height, stream.width = pixels.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode(None))
    return count


def _l1(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().mean()
