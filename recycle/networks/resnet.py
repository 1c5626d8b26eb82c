"""ResNet generator of CycleGAN and ReCycle-GAN."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import ResNetSettings
from recycle.networks.few import FewConv2d
from recycle.networks.generator import NEARLY_ONE, GeneratorNetwork, tapped
from recycle.networks.inference import Folded, layout, split
from recycle.networks.initialise import initialise, start_bilinear
from recycle.networks.norm import NORMS, Centred, InstanceNorm

ENCODER = 10
"""Number of modules before the first residual block."""
_MAPS = 8
"""Maximum number of full-size maps of `width` channels that inference holds at once."""
_FOLDED = 32
"""Maximum width at which folding the last convolution takes less time than splitting it: 0.7 times as long at width 16,
1.0 at 32 and 1.2 at 64."""


class ResidualBlock(nn.Module):
    """x + conv-norm-ReLU-conv-norm(x) with reflection padding (Johnson et al. 2016).

    Only convolutions before InstanceNorm have a bias, as in the published code.
    """

    def __init__(self, channels: int, norm: str = "instance") -> None:
        """`norm` is a key of NORMS."""
        super().__init__()
        conv = partial(nn.Conv2d, channels, channels, 3, bias=norm == "instance")
        self.conv_block = nn.Sequential(
            *(nn.ReflectionPad2d(1), conv(), NORMS[norm](channels), nn.ReLU(inplace=True)),
            *(nn.ReflectionPad2d(1), conv(), NORMS[norm](channels)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) float → the same shape."""
        return x + self.conv_block(x)


class BlurredConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution, followed by a blur with [1 2 1] in both directions, as after up-sampling in StyleGAN.

    Pixels of a transposed convolution are sums of different numbers of terms, which causes a checkerboard (Odena et al.
    2016); the blur removes it. Source: Karras et al., "A Style-Based Generator Architecture" (CVPR 2019), section 2.
    """

    blur: Tensor

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        hat = (0.25, 0.5, 0.25)
        self.register_buffer("blur", torch.tensor([[x * y for x in hat] for y in hat]), persistent=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) float → (B, out, 2 H, 2 W)."""
        frames = super().forward(x, output_size)
        kernel = self.blur.to(frames.dtype).expand(frames.shape[1], 1, 3, 3)
        return F.conv2d(F.pad(frames, (1, 1, 1, 1), mode="replicate"), kernel, groups=frames.shape[1])


class ResNetGenerator(GeneratorNetwork):
    """The ResNet generator of CycleGAN.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks" (ICCV 2017),
    appendix 7.2; ReCycle-GAN uses it unchanged. Module order and parameter names (`model.1.weight` …) are those of the
    published checkpoints, so that these can be loaded directly.
    """

    multiple = 4
    least_side = 16

    def __init__(self, settings: ResNetSettings) -> None:
        super().__init__()
        w = settings.width
        self.width, self.skip = w, settings.skip
        head = FewConv2d(w, 3, 7)
        self.centre = Centred()
        self.model = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(3, w, 7), InstanceNorm(w), nn.ReLU(inplace=True)),
            *halve(w, 2 * w),
            *halve(2 * w, 4 * w),
            *(ResidualBlock(4 * w) for _ in range(settings.blocks)),
            *double(4 * w, 2 * w, settings.blur),
            *double(2 * w, w, settings.blur),
            *(nn.ReflectionPad2d(3), head, nn.Tanh()),
        )
        initialise(self)
        for layer in self.model:
            if isinstance(layer, BlurredConvTranspose2d):
                start_bilinear(layer)
        if self.skip:
            nn.init.zeros_(head.weight)
        middle = ENCODER + settings.blocks // 2
        self._tapped = (6, ENCODER - 1, middle, ENCODER + settings.blocks - 1)
        self.feature_channels = (3, 2 * w, 4 * w, 4 * w, 4 * w)
        self.reach = 18 + 8 * settings.blocks  # of its convolutions: none reaches further

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → the same shape and range; H and W multiples of 4, at least 16.

        Frames may have a higher precision than the weights: a skip connection adds them unrounded. Values that noise
        moved out of range are passed to the network unchanged; the skip connection clamps them.
        """
        change = self.model[:-1](self.centre(frames).to(next(self.parameters()).dtype))
        if not self.skip:
            return torch.tanh(change)
        return torch.tanh(change + torch.atanh(frames.clamp(-1, 1) * NEARLY_ONE))

    def features(self, frames: Tensor) -> list[Tensor]:
        """The frames, the encoder's maps after each halving, and its maps at two residual blocks.

        (B, 3, H, W) → a list of (B, `feature_channels[i]`, H', W'): the layers of the contrastive loss (Park et al.
        2020).
        """
        return [frames, *tapped(self.model, self.centre(frames), self._tapped)]

    def bytes_per_frame(self, size: tuple[int, int], dtype: torch.dtype) -> int:
        """Estimated memory in bytes for a frame of `size` (height, width): at most 8 full-size maps of `width`
        channels."""
        return _MAPS * self.width * dtype.itemsize * size[0] * size[1]

    def for_inference(self, device: torch.device, dtype: torch.dtype) -> "ResNetGenerator":
        """A frozen copy, as for every generator; in reduced precision on a CPU the last convolution is folded, or split
        if the generator is wide (see `Folded` and `split`)."""
        ready = super().for_inference(device, dtype)
        assert isinstance(ready, ResNetGenerator)
        if device.type == "cpu" and dtype != torch.float32:
            head = ready.model[-2]
            assert isinstance(head, nn.Conv2d), "before the tanh"
            if self.width <= _FOLDED:
                folded = Folded(head)
                ready.model[-3] = nn.ReflectionPad2d(folded.padding)
                ready.model[-2] = folded.to(memory_format=layout(device, dtype))
            else:
                ready.model[-2] = split(head).to(memory_format=layout(device, dtype))
        return ready


def halve(channels: int, out: int) -> tuple[nn.Module, ...]:
    """The layers that halve the size of frames: convolution, normalisation, ReLU."""
    conv = nn.Conv2d(channels, out, 3, stride=2, padding=1)
    return conv, InstanceNorm(out), nn.ReLU(inplace=True)


def double(channels: int, out: int, blur: bool) -> tuple[nn.Module, ...]:
    """The layers that double the size of frames: transposed convolution, with `blur` blurred, normalisation, ReLU."""
    kind = BlurredConvTranspose2d if blur else nn.ConvTranspose2d
    conv = kind(channels, out, 3, stride=2, padding=1, output_padding=1)
    return conv, InstanceNorm(out), nn.ReLU(inplace=True)
