"""When memory runs out frames are translated in parts, and the parts fit together."""

import pytest
import torch
from torch import Tensor, nn

from recycle.errors import RecycleError
from recycle.translation.tiles import LEAST, OVERLAP, WithinMemory


class Small:
    """A network with memory for `pixels` pixels at a time; keeps the sizes of what it did and counts its failures."""

    def __init__(self, pixels: int, network: nn.Module) -> None:
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
    assert all(side % 4 == 0 and side >= LEAST for _, _, *sides in network.sizes for side in sides)


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
    assert float(out.diff(dim=-1).abs().max()) < 2.4 * float(out.max() - out.min()) / OVERLAP


def test_too_little_memory_is_one_clear_line(blur: nn.Module) -> None:
    with pytest.raises(RecycleError, match="not enough memory for a tile of"):
        WithinMemory(Small(100, blur))(torch.rand(1, 3, 512, 512))


def test_other_errors_pass() -> None:
    def broken(frames: Tensor) -> Tensor:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        WithinMemory(broken)(torch.rand(4, 3, 16, 16))
