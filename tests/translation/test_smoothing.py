import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from recycle.translation.smoothing import smooth


class Extrapolate(nn.Module):
    """A predictor that depends on the order of its past."""

    def forward(self, past: Tensor) -> Tensor:
        weights = torch.arange(1, past.shape[1] + 1, dtype=past.dtype)
        return torch.tanh((past * weights[:, None, None, None]).sum(dim=1) - 0.3)


def literally(frames: Tensor, cuts: list[bool], predictor: nn.Module, length: int) -> Tensor:
    """The paper's formula, one frame at a time."""
    smoothed = []
    for t in range(len(frames)):
        start = max(s for s in range(t + 1) if s == 0 or cuts[s])
        if t - start < length:
            smoothed.append(frames[t])
        else:
            past = torch.stack([frames[t - k] for k in range(length, 0, -1)])
            smoothed.append(0.5 * (frames[t] + predictor(past[None])[0]))
    return torch.stack(smoothed)


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.booleans(), min_size=1, max_size=12),
    length=st.integers(1, 3),
    batch=st.integers(1, 5),
)
def test_batches_with_cuts_equal_the_formula(cuts: list[bool], length: int, batch: int) -> None:
    frames = torch.rand(len(cuts), 3, 12, 13, dtype=torch.float64) * 2 - 1
    expected = literally(frames, cuts, Extrapolate(), length)
    past, done = frames[:0], []
    for start in range(0, len(cuts), batch):
        part = slice(start, start + batch)
        out, past = smooth(frames[part], past, cuts[part], Extrapolate(), length)
        assert len(past) <= length
        done.append(out)
    torch.testing.assert_close(torch.cat(done), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 2])
def test_a_short_clip_is_left_as_it_is(length: int) -> None:
    frames = torch.rand(length, 3, 4, 4)
    out, past = smooth(frames, frames[:0], [False] * length, Extrapolate(), length)
    assert torch.equal(out, frames)
    assert torch.equal(past, frames)


def test_a_fade_to_black_ends_in_black() -> None:
    """The predictor alone would make the first black frame grey, and keep painting into the others."""
    light = torch.rand(4, 3, 16, 16)
    black = torch.full((4, 3, 16, 16), -1.0)
    frames = torch.cat((light, black))
    out, _ = smooth(frames, frames[:0], [False] * 8, Extrapolate(), 2)
    assert torch.equal(out[4:], black)
    assert not torch.equal(out[2:4], light[2:])
