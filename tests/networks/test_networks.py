"""The networks have the published topology, and work on any size and batch."""

import pytest
import torch
from torch import nn

from recycle.config import DiscriminatorSettings, GeneratorSettings, PredictorSettings
from recycle.errors import ConfigError
from recycle.networks.discriminator import Discriminator
from recycle.networks.generator import Generator
from recycle.networks.norm import GroupNorm, InstanceNorm
from recycle.networks.predictor import make_predictor

SMALL = PredictorSettings(width=8, depth=3)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("blocks", "millions"), [(6, 7.84), (9, 11.38)])
def test_generator_has_the_published_number_of_parameters(blocks: int, millions: float) -> None:
    assert parameters(Generator(GeneratorSettings(blocks=blocks))) / 1e6 == pytest.approx(millions, abs=0.005)


def test_discriminator_has_the_published_number_of_parameters() -> None:
    assert parameters(Discriminator(DiscriminatorSettings())) / 1e6 == pytest.approx(2.76, abs=0.005)


@pytest.mark.parametrize(("depth", "millions"), [(7, 41.8), (8, 54.4)])
def test_pix2pix_predictor_has_the_published_number_of_parameters(depth: int, millions: float) -> None:
    predictor = make_predictor(PredictorSettings(kind="pix2pix", depth=depth), frames=3)
    assert parameters(predictor) / 1e6 == pytest.approx(millions, abs=0.05)


def test_a_logit_sees_70_by_70_pixels() -> None:
    disc = Discriminator(DiscriminatorSettings(width=4)).double()
    for layer in disc.modules():  # InstanceNorm sees the whole frame: measure the convolutions alone
        if isinstance(layer, nn.InstanceNorm2d):
            layer.forward = lambda x: x  # type: ignore
    frame = torch.randn(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = disc(frame)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert frame.grad is not None
    seen = frame.grad[0].abs().sum(0) > 0
    assert int(seen.any(0).sum()) == 70
    assert int(seen.any(1).sum()) == 70


@pytest.mark.parametrize("size", [(16, 16), (20, 36), (64, 48)])
def test_generator_keeps_size_and_range(size: tuple[int, int]) -> None:
    frames = torch.rand(2, 3, *size) * 2 - 1
    out = Generator(GeneratorSettings(width=8, blocks=2))(frames)
    assert out.shape == frames.shape
    assert out.abs().max() <= 1


@pytest.mark.parametrize("settings", [SMALL, PredictorSettings(kind="pix2pix", width=8, depth=4)])
@pytest.mark.parametrize("frames", [2, 3, 5])
def test_predictor_takes_any_size_and_window(settings: PredictorSettings, frames: int) -> None:
    out = make_predictor(settings, frames)(torch.rand(2, frames - 1, 3, 35, 50) * 2 - 1)
    assert out.shape == (2, 3, 35, 50)
    assert out.abs().max() <= 1


@pytest.mark.parametrize("settings", [SMALL, PredictorSettings(kind="pix2pix", width=8, depth=4)])
def test_predictor_treats_the_clips_of_a_batch_independently(settings: PredictorSettings) -> None:
    predictor = make_predictor(settings, 3).double()
    clips = torch.rand(3, 2, 3, 32, 32, dtype=torch.float64) * 2 - 1
    one_by_one = torch.cat([predictor(clip[None]) for clip in clips])
    torch.testing.assert_close(predictor(clips), one_by_one)


def test_an_unknown_encoder_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"networks\.predictor\.encoder 'nosuch'"):
        make_predictor(PredictorSettings(encoder="nosuch"), 3)


def test_a_generator_with_a_skip_starts_as_the_identity_and_learns() -> None:
    generator = Generator(GeneratorSettings(width=8, blocks=1, skip=True))
    frames = torch.rand(2, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(generator(frames), frames * 0.98, rtol=0, atol=1e-5)
    assert generator(torch.ones(1, 3, 16, 16)).isfinite().all()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    optimiser = torch.optim.Adam(generator.parameters(), 1e-3)
    for _ in range(2):  # the zero head passes no gradient on at first
        optimiser.zero_grad()
        (generator(frames) + frames).square().mean().backward()
        optimiser.step()
    changed = [key for key, value in generator.state_dict().items() if not torch.equal(value, before[key])]
    assert "model.1.weight" in changed


def test_up_sampling_starts_without_a_checkerboard() -> None:
    """A constant picture stays constant through a new transposed convolution, away from its edges."""
    up = next(m for m in Generator(GeneratorSettings(width=8, blocks=1)).modules() if isinstance(m, nn.ConvTranspose2d))
    inside = up(torch.ones(1, up.in_channels, 8, 8))[..., 2:-2, 2:-2]
    assert inside.flatten(2).std(dim=2).max() < 1e-6


def test_blurred_up_sampling_keeps_the_parameters_and_smooths_a_checkerboard() -> None:
    settings = GeneratorSettings(width=8, blocks=1)
    plain, blurred = Generator(settings), Generator(settings.model_copy(update={"blur": True}))
    blurred.load_state_dict(plain.state_dict())
    ups = [[m for m in g.modules() if isinstance(m, nn.ConvTranspose2d)] for g in (plain, blurred)]
    assert [len(each) for each in ups] == [2, 2]
    for one, other in zip(*ups, strict=True):
        nn.init.normal_(one.weight)
        other.load_state_dict(one.state_dict())
        x = torch.zeros(1, one.in_channels, 6, 6)
        x[:, :, 3, 3] = 1
        before, after = one(x), other(x)
        assert after.shape == before.shape
        torch.testing.assert_close(after.sum((2, 3)), before.sum((2, 3)))  # a blur keeps the brightness
        checkers = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(6, 6)
        assert (after * checkers).sum((2, 3)).abs().max() < 1e-3 * (before * checkers).sum((2, 3)).abs().max()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_norms_equal_those_of_torch(memory_format: torch.memory_format) -> None:
    x = (torch.randn(3, 8, 5, 7, dtype=torch.float64) * 3 + 1).contiguous(memory_format=memory_format)
    torch.testing.assert_close(InstanceNorm(8)(x), nn.InstanceNorm2d(8)(x))
    ours, theirs = GroupNorm(4, 8).double(), nn.GroupNorm(4, 8).double()
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, 0.5)
    torch.testing.assert_close(ours(x), theirs(x))
    one_by_one = torch.cat([InstanceNorm(8)(frame[None]) for frame in x])
    torch.testing.assert_close(InstanceNorm(8)(x), one_by_one, rtol=0, atol=0)
