"""Frames without content, such as the last ones of a fade to black, are left as they are; all others are translated."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recycle.config import NetworkSettings, ResNetSettings, UNetSettings
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.flat import keep_flat
from recycle.networks.initialise import initialise
from recycle.translation.translator import Translator
from recycle.video.frame import Pixels


@pytest.fixture(scope="module", params=["without a skip connection", "pretrained"])
def translator(request: pytest.FixtureRequest) -> Translator:
    torch.manual_seed(0)
    unet = request.param == "pretrained"
    generator = UNetSettings(width=8) if unet else ResNetSettings(blocks=1, width=4)
    bundle = Bundle(BundleConfig(name="tiny", networks=NetworkSettings(generator=generator), short_side=32))
    initialise(bundle, std=0.2)
    return Translator(bundle, precision="fp32")


def faded(frame: Pixels, contrast: float) -> Pixels:
    return (frame * contrast).round().astype(frame.dtype)


@given(colour=st.tuples(*3 * [st.integers(0, 65535)]), size=st.tuples(*2 * [st.integers(1, 70)]), deep=st.booleans())
def test_a_flat_frame_stays_as_it_is(
    translator: Translator, colour: tuple[int, int, int], size: tuple[int, int], deep: bool
) -> None:
    levels: Pixels = np.array(colour, np.uint16) if deep else (np.array(colour) >> 8).astype(np.uint8)
    frame = np.broadcast_to(levels, (*size, 3)).copy()
    np.testing.assert_array_equal(translator(frame, to="b"), frame)


def test_a_fade_to_black_ends_in_black_without_a_jump(translator: Translator) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    film = np.stack([faded(frame, contrast) for contrast in np.linspace(0.1, 0, 201)])
    translated = translator(film, to="b").astype(float)
    assert np.abs(translated[0] - film[0]).mean() > 10
    np.testing.assert_array_equal(translated[-20:], film[-20:])
    steps = np.abs(np.diff(translated, axis=0)).mean((1, 2, 3))
    assert steps.max() < 15  # without blending, the last step is from grey to black


@pytest.mark.parametrize("varies", [0, 1, 2])
def test_a_frame_with_content_in_one_channel_is_translated_exactly(varies: int) -> None:
    frames = torch.zeros(2, 3, 32, 32)
    frames[:, varies] += 0.1 * torch.randn(2, 32, 32)
    translated = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(keep_flat(frames, translated), translated)


def test_each_frame_of_a_batch_counts_for_itself() -> None:
    frames = torch.stack([torch.full((3, 16, 16), -1.0), torch.rand(3, 16, 16)])
    translated = torch.rand(2, 3, 16, 16)
    kept = keep_flat(frames, translated)
    assert torch.equal(kept[0], frames[0])
    assert torch.equal(kept[1], translated[1])
