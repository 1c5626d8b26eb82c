"""The judge: features of EfficientNet-Lite2, of any frames, and the distances that they make."""

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from recycle.config import Appearance, EvaluateSettings
from recycle.domains import AB, BA
from recycle.evaluation.evaluate import ClipSet, evaluate
from recycle.evaluation.features import Features, describe_broadly, describe_for_memorisation, open_features
from recycle.evaluation.lite import LINES, WIDEST, LiteNetwork
from recycle.evaluation.metrics import Pixels
from recycle.networks.features import open_network
from recycle.street.film import Street


@pytest.fixture(scope="module")
def lite() -> Features:
    return open_features("lite2", device="cpu")


def film(seed: int, look: Appearance, frames: int = 6) -> Pixels:
    return np.stack(list(Street(seed, 64, 48, 2, frames / 2).frames(look)))


def test_features_are_the_pooled_levels_of_strides_8_and_32(lite: Features) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (LINES, LINES, 3), dtype=np.uint8)
    levels = open_network("lite2")(torch.from_numpy(frame).permute(2, 0, 1)[None] / 127.5 - 1)
    expected = [F.normalize(levels[n].mean((2, 3))[0], dim=0) * levels[n].shape[1] ** 0.5 for n in (2, 4)]
    found = lite([frame])
    assert found.shape == (1, lite.mid + expected[1].numel())
    assert torch.allclose(found[0, : lite.mid], expected[0], atol=1e-4)
    assert torch.allclose(found[0, lite.mid :], expected[1], atol=1e-4)


def test_frames_keep_their_shape_up_to_a_bound_on_memory() -> None:
    assert LiteNetwork.size_for(112, 148) == (LINES, 296)
    assert LiteNetwork.size_for(640, 360) == (398, LINES)
    assert LiteNetwork.size_for(16, 16000) == (LINES, WIDEST * LINES)
    assert LiteNetwork.size_for(16000, 16) == (WIDEST * LINES, LINES)


def test_copies_are_looked_for_among_thumbnails(lite: Features) -> None:
    """A training frame that was blurred stays nearer to it than another frame is; by these features it does not."""
    assert describe_for_memorisation(lite) is describe_for_memorisation(None) is describe_broadly
    frame, other = film(3, "day")[0], film(4, "day")[0]
    blurred = np.asarray(cv2.GaussianBlur(frame, (0, 0), 1.5), np.uint8)
    for describe, seen in ((describe_broadly, True), (lite, False)):
        vectors = describe([frame, blurred, other])
        assert ((vectors[1] - vectors[0]).norm() < 0.6 * (vectors[2] - vectors[0]).norm()) == seen


def test_frames_of_different_sizes_are_described_together(lite: Features) -> None:
    small, large = film(1, "day")[0], np.stack(list(Street(1, 96, 64, 2, 1.0).frames("day")))[0]
    both = lite([small, large])
    assert torch.allclose(both, torch.cat((lite([small]), lite([large]))), atol=1e-4)


def test_real_frames_score_best_the_input_worst_and_half_of_both_between(lite: Features) -> None:
    day, night, other = film(3, "day"), film(3, "night"), film(4, "night")
    half = ((day.astype(int) + night) // 2).astype(np.uint8)
    settings = EvaluateSettings()
    assert settings.features == "lite2"
    scores = {
        name: evaluate({AB: [ClipSet(day, made)], BA: [ClipSet(other, other)]}, settings, features=lite)
        for name, made in (("real", night), ("half", half), ("input", day))
    }
    for figure in ("kid_ab", "kid_mid_ab", "fid_ab"):
        assert scores["real"][figure] < scores["half"][figure] < scores["input"][figure], figure
        assert scores["input"][figure] == scores["real"][f"{figure}_input"]
    assert scores["real"]["kid_ab"] < 0.5 * scores["real"]["kid_ab_input"]
