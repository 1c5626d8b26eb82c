"""Generators, discriminators and predictors."""

from typing import Literal, Self

from pydantic import Field, model_validator

from recycle.config.base import Settings


class GeneratorSettings(Settings):
    """ResNet generator of CycleGAN and ReCycle-GAN."""

    blocks: int = Field(6, ge=1, le=32)
    """Residual blocks: 6 or 9 in the published networks."""
    width: int = Field(64, ge=4, le=512)
    """Channels of the stem: 64 in the published networks."""
    skip: bool = False
    """Add the frame itself to the output before its tanh (the global skip of DeblurGAN, Kupyn et al. 2018):
    the network starts as the identity and learns in minutes where both domains share their layout. The
    published networks have none."""
    blur: bool = True
    """Start each up-sampling as bilinear interpolation and blur after it (Karras et al. 2019): no checkerboard,
    which short runs do not unlearn. The published networks do neither; the parameters are the same."""


class DiscriminatorSettings(Settings):
    """PatchGAN discriminator; 3 layers see 70×70 pixels."""

    layers: int = Field(3, ge=1, le=6)
    width: int = Field(64, ge=4, le=512)
    norm: Literal["instance", "spectral"] = "instance"
    """'instance': InstanceNorm, as published; 'spectral': spectral normalisation of the weights instead (Miyato
    et al. 2018)."""
    scales: int = Field(1, ge=1, le=4)
    """Discriminators of one domain, each looking at frames half as large as the one before (Wang et al. 2018,
    pix2pixHD); more than 1 for frames much larger than what one sees."""
    minibatch_std: bool = False
    """Show the last layer how much the frames of a batch differ (Karras et al. 2018), against mode collapse."""


class PredictorSettings(Settings):
    """U-Net from the past frames to the next."""

    past: int = Field(2, ge=1, le=16)
    """Frames that the predictor sees: 2 in the paper."""

    kind: Literal["smp", "pix2pix"] = "smp"
    """'smp': segmentation_models_pytorch.Unet; 'pix2pix': the U-Net of the paper."""
    width: int = Field(64, ge=4, le=512)
    """Channels of the finest level of the pix2pix U-Net, or of the smp decoder's coarsest level ÷ 4."""
    encoder: str = Field("tu-resnet18", pattern=r"^[A-Za-z0-9_.\-]{1,80}$")
    """Encoder of the smp U-Net, by smp's name; 'tu-…' are timm's, built no deeper than `depth`."""
    depth: int = Field(4, ge=3, le=8)
    """Halvings of the resolution: up to 5 for smp; 7 (128 px) or 8 (256 px) in the paper's pix2pix form."""

    @model_validator(mode="after")
    def _smp_depth(self) -> Self:
        if self.kind == "smp" and self.depth > 5:
            raise ValueError(f"'depth' of an smp predictor is at most 5, got {self.depth}")
        return self


class NetworkSettings(Settings):
    """The three kinds of network; both domains use the same settings."""

    generator: GeneratorSettings = GeneratorSettings()
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    predictor: PredictorSettings = PredictorSettings()
