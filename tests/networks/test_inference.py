"""Networks prepared for inference give the values of the trained ones."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from recycle.config import CutSettings, GeneratorSettings, Pix2PixHDSettings, ResNetSettings, UNetSettings
from recycle.networks.inference import Folded, split
from recycle.networks.initialise import initialise
from recycle.networks.norm import InstanceNorm
from recycle.networks.registry import make_generator
from recycle.networks.resnet import ResNetGenerator

CPU = torch.device("cpu")


@pytest.mark.parametrize(("outs", "kernel", "bias"), [(3, 7, True), (3, 7, False), (5, 3, True), (1, 1, True)])
def test_a_split_convolution_has_the_same_values(outs: int, kernel: int, bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, outs, kernel, bias=bias).double()
    x = torch.randn(2, 6, 11, 13, dtype=torch.float64)
    torch.testing.assert_close(split(conv)(x), conv(x))


@pytest.mark.parametrize(("outs", "kernel", "bias"), [(3, 7, True), (3, 7, False), (5, 3, True), (2, 9, True)])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_a_folded_convolution_has_the_same_values(
    outs: int, kernel: int, bias: bool, form: torch.memory_format
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, outs, kernel, bias=bias).double()
    folded = Folded(conv)
    x = torch.randn(2, 6, 11, 12, dtype=torch.float64).to(memory_format=form)
    around = (kernel // 2,) * 4
    expected = conv(F.pad(x, around, mode="reflect"))
    torch.testing.assert_close(folded(F.pad(x, folded.padding, mode="reflect")), expected)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("blur", [False, True])
@pytest.mark.parametrize("width", [16, 36])
def test_reduced_precision_agrees_to_40_decibels(skip: bool, blur: bool, width: int) -> None:
    torch.manual_seed(1)
    generator = (
        ResNetGenerator(ResNetSettings(blocks=6, width=width, skip=skip, blur=blur)).eval().requires_grad_(False)
    )
    initialise(generator, std=0.05)
    frames = torch.rand(2, 3, 64, 48) * 2 - 1
    exact = generator.for_inference(CPU, torch.float32)(frames)
    assert torch.equal(exact, generator(frames))
    assert (exact - frames).abs().mean() > 0.2
    close = generator.for_inference(CPU, torch.bfloat16)(frames.contiguous(memory_format=torch.channels_last))
    error = (close.float() - exact).pow(2).mean()
    assert 10 * torch.log10(4 / error) >= 40


@pytest.mark.parametrize("contrast", [1, 0.1, 0.02])
@pytest.mark.parametrize("base", [-1.0, 0.9])
@pytest.mark.parametrize(
    "settings",
    [
        ResNetSettings(blocks=3, width=16, skip=True),
        ResNetSettings(blocks=3, width=16),
        CutSettings(blocks=3, width=16),
        Pix2PixHDSettings(blocks=2, width=16, halvings=2, local_blocks=1),
        UNetSettings(width=16),
    ],
    ids=["resnet with a skip", "resnet", "cut", "pix2pixhd", "unet"],
)
def test_dark_and_bright_frames_of_low_contrast_agree_too(
    settings: GeneratorSettings, base: float, contrast: float
) -> None:
    torch.manual_seed(0)
    generator = make_generator(settings).eval().requires_grad_(False)
    initialise(generator, std=0.05)
    for layer in generator.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
            layer.bias.uniform_(-0.5, 0.5)
    coarse = F.interpolate(torch.rand(1, 3, 16, 12), scale_factor=4, mode="bilinear")
    frames = contrast * (coarse * 2 - 1) + base * (1 - contrast)
    exact = generator.for_inference(CPU, torch.float32)(frames)
    close = generator.for_inference(CPU, torch.bfloat16)(frames.contiguous(memory_format=torch.channels_last))
    error = (close.float() - exact).pow(2).mean()
    assert 10 * torch.log10(4 / error) >= 40


def test_the_trained_generator_stays_as_it_is() -> None:
    generator = ResNetGenerator(ResNetSettings(blocks=1, width=4))
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    generator.for_inference(CPU, torch.bfloat16)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in generator.parameters())
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_instance_normalisation_is_exact_where_a_channel_is_nearly_flat(
    layout: torch.memory_format, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    x = (torch.randn(2, 8, 256, 448) + 30).to(dtype).to(memory_format=layout)
    exact = x.double()
    exact = (exact - exact.mean((2, 3), keepdim=True)) / exact.std((2, 3), keepdim=True, unbiased=False)
    with torch.inference_mode():
        assert (InstanceNorm(8)(x).double() - exact).abs().max() < 0.05
