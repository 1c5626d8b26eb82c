"""PatchGAN discriminator."""

from torch import Tensor, nn

from recycle.config import DiscriminatorSettings
from recycle.networks.initialise import initialise
from recycle.networks.norm import InstanceNorm


class Discriminator(nn.Module):
    """Judge every patch of a frame: large logits for real, small for translated.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
    section 3.2.2 and appendix 6.1.2: with 3 layers each logit sees 70×70 pixels. Module order and
    parameter names are those of the published checkpoints.
    """

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        channels = [settings.width * min(2**i, 8) for i in range(settings.layers + 1)]
        modules: list[nn.Module] = [
            nn.Conv2d(3, channels[0], 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, True),
        ]
        for i in range(settings.layers):
            stride = 2 if i < settings.layers - 1 else 1
            modules += [
                nn.Conv2d(channels[i], channels[i + 1], 4, stride=stride, padding=1),
                InstanceNorm(channels[i + 1]),
                nn.LeakyReLU(0.2, True),
            ]
        modules.append(nn.Conv2d(channels[-1], 1, 4, padding=1))
        self.model = nn.Sequential(*modules)
        initialise(self)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → logits (B, 1, H', W'), unbounded; H' ≈ H/8 with 3 layers."""
        return self.model(frames)
