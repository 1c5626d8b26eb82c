"""When memory runs out frames are translated in parts, and the parts fit together."""

import pytest
import torch
from torch import Tensor, nn

from recycle.config import ResNetSettings
from recycle.errors import RecycleError
from recycle.networks.export import likeness
from recycle.networks.generator import at_any_size
from recycle.networks.inference import layout
from recycle.networks.norm import InstanceNorm
from recycle.networks.resnet import ResNetGenerator
from recycle.street.film import Street
from recycle.translation.tiles import RAMP, Network, WithinMemory
from recycle.vocabulary import Appearance


class Small:
    """A network with memory for `pixels` pixels at a time; keeps the sizes of what it did and counts its failures."""

    def __init__(self, pixels: int, network: Network) -> None:
        self.pixels, self.network, self.sizes, self.failures = pixels, network, list[tuple[int, ...]](), 0

    def __call__(self, frames: Tensor) -> Tensor:
        if frames.numel() // frames.shape[1] > self.pixels:
            self.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(tuple(frames.shape))
        out: Tensor = self.network(frames)
        return out


@pytest.fixture
def blur() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 3, 5, padding=2, padding_mode="reflect") for _ in range(4)]
    return nn.Sequential(*layers).requires_grad_(False)


def test_a_smaller_batch_gives_the_same(blur: nn.Module) -> None:
    frames = torch.rand(5, 3, 40, 60)
    network = Small(2 * 40 * 60, blur)
    torch.testing.assert_close(WithinMemory(network)(frames), blur(frames))
    assert {size[0] for size in network.sizes} <= {1, 2}
    assert {size[2:] for size in network.sizes} == {(40, 60)}


@pytest.mark.parametrize("size", [(256, 640), (640, 256), (516, 772)])
def test_tiles_of_what_looks_around_a_little_are_the_whole(blur: nn.Module, size: tuple[int, int]) -> None:
    frames = torch.rand(2, 3, *size)
    network = Small(size[0] * size[1] // 3, blur)
    torch.testing.assert_close(WithinMemory(network)(frames), blur(frames))
    assert all(side % 4 == 0 and side >= 2 * RAMP for _, _, *sides in network.sizes for side in sides)


@pytest.mark.parametrize(("size", "failures"), [((8, 3, 256, 320), 2), ((1, 3, 512, 640), 1)])
def test_what_did_not_fit_once_is_not_tried_again(blur: nn.Module, size: tuple[int, ...], failures: int) -> None:
    network = Small(3 * 256 * 320, blur)
    within = WithinMemory(network)
    for frames in (torch.rand(size), torch.rand(size)):
        torch.testing.assert_close(within(frames), blur(frames))
        assert network.failures == failures  # a batch of eight, of four; a whole frame


def test_seams_are_invisible_where_tiles_differ() -> None:
    """A network that answers with its tile's mean: neighbouring pixels never differ by more than a step of the ramp."""
    frames = torch.linspace(-1, 1, 512).expand(1, 3, 128, 512).contiguous()

    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3), keepdim=True).expand_as(x)

    out = WithinMemory(Small(128 * 300, Mean()))(frames)
    assert float(out.max() - out.min()) > 0.5
    assert float(out.diff(dim=-1).abs().max()) < 2.4 * float(out.max() - out.min()) / (2 * RAMP)


def test_too_little_memory_is_one_clear_line(blur: nn.Module) -> None:
    with pytest.raises(RecycleError, match="not enough memory for a tile of"):
        WithinMemory(Small(100, blur))(torch.rand(1, 3, 512, 512))


def test_other_errors_pass() -> None:
    def broken(frames: Tensor) -> Tensor:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        WithinMemory(broken)(torch.rand(4, 3, 16, 16))


@pytest.fixture(scope="module")
def trained() -> ResNetGenerator:
    """A small ResNet that has learned, in 16 steps, to turn the street by day into the street by night."""
    torch.manual_seed(0)
    generator = ResNetGenerator(ResNetSettings(blocks=2, width=8))
    day, night = (street(64, 96, appearance) for appearance in ("day", "night"))
    optimiser = torch.optim.Adam(generator.parameters(), 4e-3)
    first = last = 0.0
    for step in range(16):
        optimiser.zero_grad()
        loss = (generator(day) - night).abs().mean()
        loss.backward()
        optimiser.step()
        first, last = (float(loss) if step == 0 else first), float(loss)
    assert last < 0.7 * first
    return generator.eval().requires_grad_(False)


def street(height: int, width: int, appearance: Appearance) -> Tensor:
    picture = next(iter(Street(1, width, height, 25, 0.1).frames(appearance)))
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.mark.parametrize("size", [(160, 323), (322, 160)])
def test_tiles_of_a_trained_model_are_the_whole_to_half_a_grey_level(
    trained: ResNetGenerator, size: tuple[int, int]
) -> None:
    frame = street(*size, "day")

    def whole(x: Tensor) -> Tensor:
        return at_any_size(trained, x, multiple=4, least=16)

    network = Small(size[0] * size[1] // 2 + 11_000, whole)
    with torch.inference_mode():
        expected = whole(frame)
        given = WithinMemory(network, reach=trained.reach)(frame)
        alone = whole(frame[..., : size[0] // 2, : size[1] // 2])
    assert len(network.sizes) >= 2
    assert float((given - expected).abs().max()) * 127.5 < 0.5
    inner = (..., slice(0, 30), slice(0, 30))
    assert float((alone[inner] - expected[inner]).abs().max()) * 127.5 > 2, "statistics of the part alone differ"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("level", [-1.0, 0.3])
def test_tiles_of_a_flat_frame_are_flat(trained: ResNetGenerator, level: float, dtype: torch.dtype) -> None:
    cpu = torch.device("cpu")
    network = trained.for_inference(cpu, dtype)
    frame = torch.full((2, 3, 256, 320), level, dtype=dtype).to(memory_format=layout(cpu, dtype))
    with torch.inference_mode():
        expected = network(frame[..., :64, :64])[..., :1, :1].expand(frame.shape)
        given = WithinMemory(Small(256 * 320 // 2, network), reach=trained.reach)(frame)
    assert float((given - expected).abs().max()) * 127.5 < 0.5


def test_tiles_of_a_dark_frame_of_low_contrast_are_exact_in_bfloat16_too(trained: ResNetGenerator) -> None:
    cpu = torch.device("cpu")
    network, sizes = trained.for_inference(cpu, torch.bfloat16), []

    def within(x: Tensor) -> Tensor:
        sizes.append(x.shape)
        return network(x.contiguous(memory_format=torch.channels_last)).float()

    frame = street(160, 320, "day") * 0.02 - 0.98
    with torch.inference_mode():
        given = WithinMemory(Small(160 * 320 // 2 + 11_000, within), reach=trained.reach)(frame)
        assert len(sizes) >= 2
        assert likeness(given, trained(frame)) >= 40


def test_every_tile_fails_if_one_does() -> None:
    """Tiles wait for one another; an error in one must not leave the others waiting."""
    norm, seen = InstanceNorm(3), []

    def network(frames: Tensor) -> Tensor:
        if frames.shape[-1] == 512:
            raise torch.OutOfMemoryError("CUDA out of memory")
        seen.append(frames.shape[-1])
        if len(seen) == 2:
            raise ValueError("broken")
        return norm(frames)

    with pytest.raises(ValueError, match="broken"):
        WithinMemory(network)(torch.rand(1, 3, 128, 512))
