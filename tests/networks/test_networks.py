"""The networks have the published topology, and work on any size and batch."""

import pytest
import timm
import torch
from torch import nn

from recycle.config import PatchSettings, Pix2PixSettings, PredictorSettings, ResNetSettings, SmpSettings
from recycle.errors import ConfigError
from recycle.networks.discriminator import MinibatchStd, PatchDiscriminator
from recycle.networks.norm import GroupNorm, InstanceNorm
from recycle.networks.projector import Projector
from recycle.networks.registry import make_predictor
from recycle.networks.resnet import ResNetGenerator

SMALL = SmpSettings(width=8, depth=3)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("blocks", "millions"), [(6, 7.84), (9, 11.38)])
def test_generator_has_the_published_number_of_parameters(blocks: int, millions: float) -> None:
    assert parameters(ResNetGenerator(ResNetSettings(blocks=blocks))) / 1e6 == pytest.approx(millions, abs=0.005)


def test_discriminator_has_the_published_number_of_parameters() -> None:
    assert parameters(PatchDiscriminator(PatchSettings())) / 1e6 == pytest.approx(2.76, abs=0.005)


@pytest.mark.parametrize(("depth", "millions"), [(7, 41.8), (8, 54.4)])
def test_pix2pix_predictor_has_the_published_number_of_parameters(depth: int, millions: float) -> None:
    predictor = make_predictor(Pix2PixSettings(depth=depth))
    assert parameters(predictor) / 1e6 == pytest.approx(millions, abs=0.05)


def test_a_logit_sees_70_by_70_pixels() -> None:
    disc = PatchDiscriminator(PatchSettings(width=4)).double()
    for layer in disc.modules():  # InstanceNorm sees the whole frame: measure the convolutions alone
        if isinstance(layer, nn.InstanceNorm2d):
            layer.forward = lambda x: x  # type: ignore
    frame = torch.randn(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    (logits,) = disc(frame).logits
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert frame.grad is not None
    seen = frame.grad[0].abs().sum(0) > 0
    assert int(seen.any(0).sum()) == 70
    assert int(seen.any(1).sum()) == 70


@pytest.mark.parametrize("scales", [1, 3])
def test_each_scale_looks_at_a_smaller_frame_and_gives_its_layers(scales: int) -> None:
    disc = PatchDiscriminator(PatchSettings(width=4, layers=2, scales=scales), channels=6)
    logits, layers, _ = disc(torch.rand(2, 6, 96, 64))
    sizes = [tuple(x.shape[-2:]) for x in logits]
    assert sizes == [(96 // 4 // 2**i - 2, 64 // 4 // 2**i - 2) for i in range(scales)]
    assert len(layers) == scales * 3
    assert all(len(x) == 2 for x in (*logits, *layers))


def test_spectral_normalisation_makes_every_layer_at_most_1_lipschitz() -> None:
    disc = PatchDiscriminator(PatchSettings(width=4, layers=2, norm="spectral"))
    assert not any(isinstance(module, nn.InstanceNorm2d) for module in disc.modules())
    convolutions = [module for module in disc.modules() if isinstance(module, nn.Conv2d)]
    for name, parameter in disc.named_parameters():
        if name.endswith("original"):
            nn.init.normal_(parameter, std=3.0)
    for _ in range(60):  # one power iteration each
        disc(torch.rand(1, 3, 32, 32))
    disc.eval()
    for module in convolutions:
        assert float(torch.linalg.matrix_norm(module.weight.flatten(1), 2)) == pytest.approx(1, abs=0.02)


def test_minibatch_deviation_is_that_of_the_batch() -> None:
    x = torch.randn(4, 3, 5, 6, dtype=torch.float64)
    out = MinibatchStd()(x)
    torch.testing.assert_close(out[:, :3], x)
    expected = x.std(0, unbiased=False).mean()
    torch.testing.assert_close(out[:, 3], expected.expand(4, 5, 6), rtol=1e-6, atol=1e-6)
    assert float(MinibatchStd()(x[:1].expand(4, -1, -1, -1))[0, 3, 0, 0]) == pytest.approx(0, abs=1e-3)


def test_features_are_those_on_the_way_to_the_output() -> None:
    generator = ResNetGenerator(ResNetSettings(width=4, blocks=3)).double()
    frames = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    layers = generator.features(frames)
    assert tuple(x.shape[1] for x in layers) == generator.feature_channels
    torch.testing.assert_close(layers[0], frames)
    last = layers[-1]  # after the last residual block: the rest of the network makes the output of it
    torch.testing.assert_close(generator.model[13:](last), generator(frames))


def test_projections_lie_on_the_unit_sphere() -> None:
    out = Projector((3, 8))([torch.randn(2, 5, 3), torch.randn(2, 7, 8)])
    assert [tuple(x.shape) for x in out] == [(2, 5, 256), (2, 7, 256)]
    for x in out:
        torch.testing.assert_close(x.norm(dim=-1), torch.ones(x.shape[:2]))


@pytest.mark.parametrize("size", [(16, 16), (20, 36), (64, 48)])
def test_generator_keeps_size_and_range(size: tuple[int, int]) -> None:
    frames = torch.rand(2, 3, *size) * 2 - 1
    out = ResNetGenerator(ResNetSettings(width=8, blocks=2))(frames)
    assert out.shape == frames.shape
    assert out.abs().max() <= 1


@pytest.mark.parametrize("settings", [SMALL, Pix2PixSettings(width=8, depth=4)])
@pytest.mark.parametrize("past", [1, 2, 4])
def test_predictor_takes_any_size_and_window(settings: PredictorSettings, past: int) -> None:
    predictor = make_predictor(settings.model_copy(update={"past": past}))
    out = predictor(torch.rand(2, past, 3, 35, 50) * 2 - 1)
    assert out.shape == (2, 3, 35, 50)
    assert out.abs().max() <= 1


@pytest.mark.parametrize("settings", [SMALL, Pix2PixSettings(width=8, depth=4)])
def test_predictor_treats_the_clips_of_a_batch_independently(settings: PredictorSettings) -> None:
    predictor = make_predictor(settings).double()
    clips = torch.rand(3, 2, 3, 32, 32, dtype=torch.float64) * 2 - 1
    one_by_one = torch.cat([predictor(clip[None]) for clip in clips])
    torch.testing.assert_close(predictor(clips), one_by_one)


def test_an_unknown_encoder_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"networks\.predictor\.encoder 'nosuch'"):
        make_predictor(SmpSettings(encoder="nosuch"))


def test_an_smp_predictor_starts_as_a_copy_of_the_last_frame_and_learns() -> None:
    predictor = make_predictor(SmpSettings(width=16, depth=3))
    past = torch.rand(2, 2, 3, 16, 24) * 2 - 1
    torch.testing.assert_close(predictor(past), past[:, -1], rtol=0, atol=0)
    before = {key: value.clone() for key, value in predictor.state_dict().items()}
    optimiser = torch.optim.Adam(predictor.parameters(), 1e-3)
    for _ in range(2):  # the zero head passes no gradient on at first
        optimiser.zero_grad()
        (predictor(past) - past[:, 0]).abs().mean().backward()
        optimiser.step()
    changed = [key for key, value in predictor.state_dict().items() if not torch.equal(value, before[key])]
    assert len(changed) > 0.9 * len(before)


def test_a_generator_with_a_skip_starts_as_the_identity_and_learns() -> None:
    generator = ResNetGenerator(ResNetSettings(width=8, blocks=1, skip=True))
    frames = torch.rand(2, 3, 16, 16) * 2 - 1
    torch.testing.assert_close(generator(frames), frames * 0.98, rtol=0, atol=1e-5)
    noisy = torch.tensor([-1.3, -1.0, 1.0, 1.3]).repeat(1, 3, 16, 4).requires_grad_()
    out = generator(noisy)
    torch.testing.assert_close(out, noisy.clamp(-1, 1) * 0.98, rtol=0, atol=1e-5)
    out.sum().backward()
    assert noisy.grad is not None
    assert noisy.grad.isfinite().all()
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
    settings = ResNetSettings(width=8, blocks=1, blur=True)
    up = next(m for m in ResNetGenerator(settings).modules() if isinstance(m, nn.ConvTranspose2d))
    inside = up(torch.ones(1, up.in_channels, 8, 8))[..., 2:-2, 2:-2]
    assert inside.flatten(2).std(dim=2).max() < 1e-6


def test_blurred_up_sampling_keeps_the_parameters_and_smooths_a_checkerboard() -> None:
    plain, blurred = (ResNetGenerator(ResNetSettings(width=8, blocks=1, blur=blur)) for blur in (False, True))
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


def test_an_encoder_whose_norms_hold_its_activations_keeps_them() -> None:
    """timm's BatchNormAct2d is norm and activation in one."""
    names = [type(m).__name__ for m in make_predictor(SmpSettings(encoder="tu-efficientnet_b0", depth=3)).modules()]
    plain = timm.create_model("efficientnet_b0", features_only=True, out_indices=(0, 1, 2))
    wanted = [type(module).__name__ for module in plain.modules()]
    assert "BatchNormAct2d" not in names
    assert names.count("SiLU") == wanted.count("SiLU") > 10
