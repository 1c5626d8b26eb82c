"""Kinds of places are the same in both domains, for any colours and amounts."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from recycle.losses.colours import colour_loss, place_colours
from recycle.networks.by_kind import KINDS
from recycle.networks.features import open_network
from recycle.objective.kinds import FREE, Kinds

SIZE, COUNT = 64, 24
LOOKS = {"a": ((90, 150, 220), (150, 110, 60), 0.55), "b": ((190, 195, 200), (60, 110, 50), 0.25)}
"""Of each domain: colour of the sky, of the ground, and the part of the frame that is sky."""
SKY, GROUND = ({name: torch.tensor(look[n]) / 127.5 - 1 for name, look in LOOKS.items()} for n in (0, 1))


def frames(name: str) -> tuple[Tensor, Tensor]:
    """(COUNT, 3, SIZE, SIZE) in [-1, 1] of smooth sky above grassy ground; and (COUNT, SIZE, SIZE), what is sky."""
    random = np.random.default_rng(ord(name))
    sky, ground, part = LOOKS[name]
    made, masks = [], []
    for _ in range(COUNT):
        horizon = round(SIZE * (part + random.uniform(-0.08, 0.08)))
        frame = np.empty((SIZE, SIZE, 3))
        frame[:horizon] = sky
        frame[horizon:] = ground
        blades = random.normal(0, 60, (SIZE, SIZE, 1))
        frame[horizon:] += cv2.GaussianBlur(blades, (1, 5), 1)[horizon:, :, None]
        made.append(frame + random.normal(0, 1.5, frame.shape))
        masks.append(np.arange(SIZE)[:, None].repeat(SIZE, 1) < horizon)
    pictures = torch.from_numpy(np.stack(made).clip(0, 255)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pictures, torch.from_numpy(np.stack(masks))


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    kinds = Kinds(open_network("lite0"), (SIZE, SIZE))
    kinds.learn(*(kinds.places(frames(name)[0].split(8)) for name in "ab"))
    return kinds


def shares(kinds: Kinds, name: str) -> tuple[Tensor, Tensor]:
    """Of the places well within sky, and of those well within ground, the part of each kind: (KINDS + 1,) each."""
    pictures, sky = frames(name)
    found = kinds(pictures, name)
    cover = torch.nn.functional.adaptive_avg_pool2d(sky[:, None].float(), list(found.shape[1:]))[:, 0]  # type: ignore[arg-type]
    above, below = (torch.bincount(found[where], minlength=KINDS + 1).float() for where in (cover == 1, cover == 0))
    return above / above.sum(), below / below.sum()


def test_both_domains_have_the_same_kinds_of_sky_and_of_ground(kinds: Kinds) -> None:
    (sky_a, ground_a), (sky_b, ground_b) = shares(kinds, "a"), shares(kinds, "b")
    skies = {k for k in range(1, KINDS + 1) if sky_a[k] > ground_a[k]}
    assert float(sum(sky_b[k] for k in skies)) > 0.8
    assert float(sum(ground_b[k] for k in skies)) < 0.2


def test_each_kind_has_the_colours_of_its_domain(kinds: Kinds) -> None:
    sky, ground = shares(kinds, "a")
    for name in "ab":
        colours, ranges = kinds.colours_of(torch.arange(KINDS + 1), name)  # type: ignore[arg-type]
        known = ranges[:, 0] < FREE
        for part, wanted in ((sky, SKY[name]), (ground, GROUND[name])):
            weights = part * known
            assert ((weights[:, None] * colours).sum(0) / weights.sum() - wanted).abs().max() < 0.2


def test_exchanged_colours_cost_more_than_right_ones(kinds: Kinds) -> None:
    pictures, sky = frames("a")
    shown = kinds(pictures, "a")

    def loss(of_sky: Tensor, of_ground: Tensor) -> float:
        translated = torch.where(sky[:, None], of_sky[:, None, None], of_ground[:, None, None])
        found = place_colours(translated, (shown.shape[1], shown.shape[2]))
        return float(colour_loss(found, *kinds.colours_of(shown, "b")))

    right, wrong = loss(SKY["b"], GROUND["b"]), loss(GROUND["b"], SKY["b"])
    assert right < 0.1 * wrong
    assert right < 0.5 * loss(SKY["a"], GROUND["a"])


def test_shrunk_frames_show_the_same_kinds(kinds: Kinds) -> None:
    pictures, _ = frames("a")
    small = torch.nn.functional.interpolate(pictures, size=(SIZE // 2, SIZE // 2), mode="area")
    assert (kinds(pictures, "a") == kinds(small, "a")).float().mean() > 0.7


def test_what_is_learnt_lies_in_the_state_and_follows_from_the_footage(kinds: Kinds) -> None:
    again = Kinds(open_network("lite0"), (SIZE, SIZE))
    assert (again.ranges == FREE).all()
    again.learn(*(again.places(frames(name)[0].split(8)) for name in "ab"))
    torch.testing.assert_close(again.state_dict(), kinds.state_dict(), rtol=0, atol=0)
    assert not list(again.parameters())
    assert {"mean", "deviation", "centres", "colours", "ranges"} == set(again.state_dict())


def test_places_of_a_kind_that_one_domain_does_not_show_have_none() -> None:
    other = Kinds(open_network("lite0"), (SIZE, SIZE))
    pictures, _ = frames("a")
    flat = SKY["b"][None, :, None, None].expand(COUNT, 3, SIZE, SIZE) + 0.01 * torch.randn(COUNT, 3, SIZE, SIZE)
    other.learn(other.places([pictures]), other.places([flat]))
    alone = (other.ranges[..., 0] == FREE).any(0)
    assert alone.any()
    for shown, domain in ((flat, "b"), (pictures, "a")):
        numbers = other(shown, domain)
        assert not torch.isin(numbers, alone.nonzero() + 1).any()
    assert (numbers == 0).float().mean() > 0.2  # the ground, which the flat frames lack
    assert (other.colours_of(torch.tensor([0]), "a")[1] == FREE).all()
