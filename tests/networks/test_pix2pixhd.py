"""The coarse-to-fine generator computes what the published one computes, and keeps the rules of generators."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recycle import export
from recycle.config import NetworkSettings, Pix2PixHDSettings, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import ConfigError
from recycle.networks.bundle import Bundle, BundleConfig, check_networks
from recycle.networks.generator import at_any_size
from recycle.networks.initialise import initialise
from recycle.networks.pix2pixhd import Pix2PixHDGenerator
from recycle.training.loop import train
from tests.training.test_loop import write_frames

pytestmark = pytest.mark.usefixtures("small_looks")

TINY = Pix2PixHDSettings(width=4, blocks=2, local_blocks=1, halvings=2)


class Published(nn.Module):
    """`LocalEnhancer` of pix2pixHD's models/networks.py, transcribed, with InstanceNorm and reflection padding."""

    def __init__(self, ngf: int, n_downsample: int, n_blocks: int, n_local: int, n_blocks_local: int) -> None:
        super().__init__()
        self.n_local_enhancers = n_local
        norm, act = partial(nn.InstanceNorm2d, affine=False), nn.ReLU(True)
        g = ngf * 2**n_local
        model: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, g, kernel_size=7, padding=0), norm(g), act]
        for i in range(n_downsample):
            mult = 2**i
            conv = nn.Conv2d(g * mult, g * mult * 2, kernel_size=3, stride=2, padding=1)
            model += [conv, norm(g * mult * 2), act]
        model += [Block(g * 2**n_downsample) for _ in range(n_blocks)]
        for i in range(n_downsample):
            mult = 2 ** (n_downsample - i)
            up = nn.ConvTranspose2d(g * mult, g * mult // 2, 3, stride=2, padding=1, output_padding=1)
            model += [up, norm(g * mult // 2), act]
        self.model = nn.Sequential(*model)
        for n in range(1, n_local + 1):
            g = ngf * 2 ** (n_local - n)
            down = [
                *(nn.ReflectionPad2d(3), nn.Conv2d(3, g, kernel_size=7, padding=0), norm(g), nn.ReLU(True)),
                *(nn.Conv2d(g, g * 2, kernel_size=3, stride=2, padding=1), norm(g * 2), nn.ReLU(True)),
            ]
            up_: list[nn.Module] = [Block(g * 2) for _ in range(n_blocks_local)]
            up_ += [nn.ConvTranspose2d(g * 2, g, 3, stride=2, padding=1, output_padding=1), norm(g), nn.ReLU(True)]
            if n == n_local:
                up_ += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, kernel_size=7, padding=0), nn.Tanh()]
            setattr(self, f"model{n}_1", nn.Sequential(*down))
            setattr(self, f"model{n}_2", nn.Sequential(*up_))
        self.downsample = nn.AvgPool2d(3, stride=2, padding=[1, 1], count_include_pad=False)  # type: ignore[arg-type]

    def forward(self, input: Tensor) -> Tensor:
        input_downsampled = [input]
        for _ in range(self.n_local_enhancers):
            input_downsampled.append(self.downsample(input_downsampled[-1]))
        output_prev: Tensor = self.model(input_downsampled[-1])
        for n in range(1, self.n_local_enhancers + 1):
            model_downsample, model_upsample = getattr(self, f"model{n}_1"), getattr(self, f"model{n}_2")
            input_i = input_downsampled[self.n_local_enhancers - n]
            output_prev = model_upsample(model_downsample(input_i) + output_prev)
        return output_prev


class Block(nn.Module):
    """`ResnetBlock` of the same file."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        norm = partial(nn.InstanceNorm2d, affine=False)
        self.conv_block = nn.Sequential(
            *(nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, kernel_size=3), norm(dim), nn.ReLU(True)),
            *(nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, kernel_size=3), norm(dim)),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv_block(x)
        return out


@pytest.mark.parametrize("enhancers", [1, 2])
def test_it_computes_what_the_published_network_computes(enhancers: int) -> None:
    torch.manual_seed(0)
    published = Published(4, 2, 2, enhancers, 3)
    settings = Pix2PixHDSettings(width=4, halvings=2, blocks=2, enhancers=enhancers, blur=False)
    ours = Pix2PixHDGenerator(settings)
    initialise(published, std=0.1)
    ours.load_state_dict(published.state_dict())  # the same names
    frames = torch.rand(2, 3, 48, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(ours(frames), published(frames), rtol=0, atol=1e-5)
    with torch.inference_mode():
        ready = ours.for_inference(torch.device("cpu"), torch.float32)
        torch.testing.assert_close(ready(frames), published(frames), rtol=0, atol=1e-5)


def test_it_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        ours, published = Pix2PixHDGenerator(Pix2PixHDSettings()), Published(32, 4, 9, 1, 3)
    numbers = [sum(p.numel() for p in network.parameters()) for network in (ours, published)]
    assert numbers[0] == numbers[1]
    assert numbers[0] / 1e6 == pytest.approx(182.70, abs=0.01)
    assert (ours.multiple, ours.least_side) == (32, 64)


@pytest.mark.parametrize("enhancers", [1, 2])
def test_the_smallest_frame_and_any_other_size_work(enhancers: int) -> None:
    generator = Pix2PixHDGenerator(TINY.model_copy(update={"enhancers": enhancers}))
    multiple, least = generator.multiple, generator.least_side
    for size in ((1, 3, least, least), (2, 3, least + 5, 7)):
        frames = torch.rand(size) * 2 - 1
        with torch.no_grad():
            out = at_any_size(generator, frames, multiple=multiple, least=least)
        assert out.shape == frames.shape
        assert out.abs().max() <= 1


def test_with_a_skip_it_starts_as_the_identity_and_its_features_have_the_stated_channels() -> None:
    generator = Pix2PixHDGenerator(TINY.model_copy(update={"skip": True}))
    frames = torch.rand(2, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(generator(frames), frames * 0.98, rtol=0, atol=1e-5)
        layers = generator.features(frames)
    assert tuple(layer.shape[1] for layer in layers) == generator.feature_channels
    assert [layer.shape[-1] for layer in layers] == [48, 12, 6, 6]


def test_wrong_sizes_are_refused_before_training() -> None:
    config = BundleConfig(networks=NetworkSettings(generator=Pix2PixHDSettings()))
    check_networks(config, size=(512, 512))
    with pytest.raises(ConfigError, match="'pix2pixhd': height and width must be multiples of 32 and at least 64"):
        check_networks(config, size=(512, 520))


def test_bundles_keep_it() -> None:
    config = BundleConfig(networks=NetworkSettings(generator=TINY), predictors=False)
    again = BundleConfig.model_validate_json(config.model_dump_json())
    assert again.networks.generator == TINY
    assert isinstance(Bundle(again).gen_ab, Pix2PixHDGenerator)


def test_it_trains_with_feature_matching_on_several_scales_and_is_exported(tmp_path: Path) -> None:
    a, b = (find_shots(write_frames(tmp_path / name, 40, seed=seed)) for seed, name in enumerate("ab"))
    generator = {"kind": "pix2pixhd", "width": 4, "blocks": 1, "local_blocks": 1, "halvings": 1}
    groups = {
        "networks": {"generator": generator, "discriminator": {"width": 4, "layers": 1, "scales": 2}},
        "losses": {"weights": {"cycle": 1, "feature_matching": 10, "patch_nce": 1}},
        "train": {"steps": 2, "size": [16, 16], "precision": "fp32", "device": "cpu", "held_out": 6},
    }
    train(parse_pipeline(groups, where="test"), a, b, tmp_path / "run")
    report = export(tmp_path / "run", tmp_path / "b.pt2", to="b")
    assert report.about["kind"] == "pix2pixhd"
    assert report.about["sizes"] == "multiples of 4, at least 8 pixels"
    assert all(each.decibels > 80 for each in report.likeness)
