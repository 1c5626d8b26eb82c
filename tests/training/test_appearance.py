"""Real frames have distance 0, untranslated ones 1; unrelated content is detected."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from recycle.config import Appearance as Look
from recycle.networks.distance import kernel_distance
from recycle.networks.features import FeatureNetwork, open_network
from recycle.street.film import Street
from recycle.training.appearance import LEAST_GAP, Appearance, Content

SIGNERS = Path(__file__).parents[3] / "shared" / "footage" / "signers"


@pytest.fixture(scope="module")
def eyes() -> FeatureNetwork:
    return open_network("lite2")


def film(seed: int, look: Look, first: int = 0, frames: int = 12) -> Tensor:
    street = Street(seed, 80, 48, 12, 6)
    pictures = np.stack([street.frame(first + i, look) for i in range(frames)])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_the_kernel_distance_is_the_unbiased_mean_over_pairs() -> None:
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(5, 4, generator=random), torch.randn(3, 4, generator=random)

    def k(one: Tensor, other: Tensor) -> float:
        return (float(one @ other) / 4 + 1) ** 3

    own = np.mean([k(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
    theirs = np.mean([k(y[i], y[j]) for i in range(3) for j in range(3) if i != j])
    across = np.mean([k(one, other) for one in x for other in y])
    assert kernel_distance(x, y) == pytest.approx(own + theirs - 2 * across, rel=1e-5)
    assert kernel_distance(x[:1], y) == 0


def test_appearance_orders_real_half_and_untouched_frames(eyes: FeatureNetwork) -> None:
    day, night = film(3, "day"), film(3, "night")
    look = Appearance(torch.cat([film(seed, "night") for seed in (3, 4, 5)]), day, eyes)
    assert look.distance(day) == 1
    assert 0 <= look.distance(night) < 0.35 < look.distance((day + night) / 2) < 1
    assert look.distance(F.avg_pool2d(night, 5, 1, 2)) > 0.5  # blur
    few = look.distance(night[::2]), look.distance(((day + night) / 2)[::2])
    assert few[0] == pytest.approx(look.distance(night), abs=0.1)
    assert few[1] == pytest.approx(look.distance((day + night) / 2), abs=0.1)


def test_similar_domains_do_not_inflate_the_distance(eyes: FeatureNetwork) -> None:
    day = film(3, "day", frames=24)
    look = Appearance(day[::2], day[1::2], eyes)
    assert look.distance(day[1::2]) < 0.2
    other = Appearance(day[::2], film(9, "night"), eyes)
    assert look.distance(film(4, "day")) * LEAST_GAP > other.distance(film(4, "day")) * LEAST_GAP


def test_content_follows_in_true_counterparts_and_not_in_other_frames() -> None:
    day = film(3, "day", frames=24)
    content = Content(day)
    assert content.lost(day) == content.lost(-day) == 0
    assert content.lost(film(3, "night", frames=24)) == 0
    assert content.lost(film(3, "labels", frames=24)) < 0.2
    for other in (film(4, "night", frames=24), film(3, "night", first=40, frames=24), day[:1].expand_as(day)):
        assert content.lost(other) > 0.6


def test_static_content_does_not_count() -> None:
    """Two people in front of one wall: the wall is equal, and their motion differs."""
    wall = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wall = F.interpolate(wall, (48, 64), mode="nearest").repeat(16, 1, 1, 1)

    def person(where: list[int]) -> Tensor:
        clip = wall.clone()
        for frame, x in zip(clip, where, strict=True):
            frame[:, 16:40, x : x + 10] = 1
        return clip

    there, elsewhere = list(range(4, 36, 2)), [40, 4, 28, 12, 44, 8, 20, 36, 6, 30, 48, 16, 2, 24, 42, 10]
    content = Content(person(there))
    assert content.lost(person(there) * 0.6) < 0.1
    assert content.lost(person(elsewhere)) > 0.7
    assert Content(wall).lost(person(there)) == 0  # nothing to follow
    assert Content(wall[:1]).lost(wall[:1]) == 0
