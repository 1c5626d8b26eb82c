"""The scores of the benchmark: equal to their formulas, and correct on translations with known faults."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchmetrics.image.kid import poly_mmd

from recycle.domains import Domain
from recycle.evaluation.metrics import Pixels, motion, psnr, ssim, warp_error
from recycle.networks.distance import kernel_distance
from recycle.networks.features import open_network, pooled
from recycle.street.film import Street
from tools.reproduction.judge import FIGURES, Judge, compose, describe, edges, structure
from tools.reproduction.task import Clip, Film, Films
from tools.reproduction.truth import score_truth


@pytest.fixture(scope="module")
def films() -> Films:
    """Two scenes by day, and two others by night, each with its truth."""
    day, night = Street(11, 80, 48, 6, 10), Street(12, 80, 48, 6, 10)

    def film(street: Street, start: int, look: str, other: str) -> Film:
        frames, truth = (np.stack([street.frame(start + i, it) for i in range(4)]) for it in (look, other))  # type: ignore[arg-type]
        return Film.of(frames, truth)

    return {
        "a": [film(day, start + 3, "day", "night") for start in day.cuts()],
        "b": [film(night, start + 3, "night", "day") for start in night.cuts()],
    }


@pytest.fixture(scope="module")
def judge(films: Films) -> Judge:
    return Judge.of(films, "cpu")


def untouched(frames: Clip, to: Domain) -> Clip:
    return frames


def test_the_kernel_distance_equals_its_formula() -> None:
    """Σ_{i≠j} k(x, x) / n(n−1) + Σ_{i≠j} k(y, y) / m(m−1) − 2 Σ k(x, y) / nm, k = (xᵀy / d + 1)³."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(5, 3, generator=draw), torch.randn(7, 3, generator=draw) + 0.5

    def k(one: torch.Tensor, other: torch.Tensor) -> float:
        return (sum(float(p) * float(q) for p, q in zip(one, other, strict=True)) / 3 + 1) ** 3

    literal = (
        sum(k(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / 20
        + sum(k(y[i], y[j]) for i in range(7) for j in range(7) if i != j) / 42
        - 2 * sum(k(p, q) for p in x for q in y) / 35
    )
    assert kernel_distance(x, y) == pytest.approx(literal, rel=1e-6)


def test_the_kernel_distance_of_equal_numbers_is_that_of_torchmetrics() -> None:
    draw = torch.Generator().manual_seed(1)
    x, y = (torch.randn(20, 16, generator=draw).double() + shift for shift in (0, 0.3))
    assert kernel_distance(x, y) == pytest.approx(float(poly_mmd(x, y, degree=3, gamma=None, coef=1.0)), rel=1e-9)


def test_samples_of_one_source_are_at_a_distance_of_about_0_on_either_side() -> None:
    draw = torch.Generator().manual_seed(2)
    found = [kernel_distance(torch.randn(24, 8, generator=draw), torch.randn(24, 8, generator=draw)) for _ in range(40)]
    assert min(found) < 0 < max(found)
    assert abs(np.mean(found)) < 3 * np.std(found) / 40**0.5


def grey_gradients(frame: Pixels) -> np.ndarray:
    """Sobel's two filters, written out; mirrored at the edges without repeating them."""
    g = np.pad(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(float), 1, mode="reflect")
    x = (g[:-2, 2:] + 2 * g[1:-1, 2:] + g[2:, 2:]) - (g[:-2, :-2] + 2 * g[1:-1, :-2] + g[2:, :-2])
    y = (g[2:, :-2] + 2 * g[2:, 1:-1] + g[2:, 2:]) - (g[:-2, :-2] + 2 * g[:-2, 1:-1] + g[:-2, 2:])
    return np.stack((x, y))


def test_structure_and_edges_are_correlations_of_gradients(films: Films) -> None:
    one, other = films["a"][0].frames[0], films["a"][1].frames[0]
    g, h = grey_gradients(one), grey_gradients(other)
    assert structure(one, other) == pytest.approx(np.corrcoef(g.ravel(), h.ravel())[0, 1], abs=1e-6)
    lengths = [np.hypot(*pair).ravel() for pair in (g, h)]
    assert edges(one, other) == pytest.approx(np.corrcoef(*lengths)[0, 1], abs=1e-6)


def test_structure_detects_a_negative_and_edges_ignore_it(films: Films) -> None:
    frame = films["a"][0].frames[0]
    assert structure(frame, frame) == edges(frame, frame) == pytest.approx(1)
    assert structure(255 - frame, frame) < -0.99
    assert edges(255 - frame, frame) > 0.99
    assert structure(frame // 2 + 40, frame) > 0.98, "contrast and brightness are not structure"
    noise = np.random.default_rng(0).integers(0, 255, frame.shape).astype(np.uint8)
    assert abs(structure(noise, frame)) < 0.1
    assert structure(np.full_like(frame, 90), frame) == 0


def test_features_are_lite2s_of_frames_enlarged_to_224_lines(films: Films) -> None:
    frames = list(films["a"][0].frames[:2])
    found = describe(frames)
    x = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        levels = open_network("lite2")(F.interpolate(x, (224, 373), mode="bilinear", align_corners=False))
    for figure, level in (("kd_mid", 2), ("kd_deep", 4)):
        torch.testing.assert_close(torch.from_numpy(found[figure]), pooled(levels[level]), atol=1e-4, rtol=1e-4)


def test_each_place_takes_the_features_of_the_most_similar_real_place() -> None:
    places = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-2.0, 0.0]]).T.reshape(1, 2, 1, 3)
    frames = torch.tensor([[5.0, 1.0], [0.1, 0.2], [-1.0, -0.5], [0.0, 9.0]]).T.reshape(1, 2, 2, 2)
    expected = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-2.0, 0.0], [0.0, 3.0]]).T.reshape(1, 2, 2, 2)
    torch.testing.assert_close(compose(frames, places), expected)


def test_the_untranslated_input_keeps_everything_and_is_far_from_the_target(judge: Judge) -> None:
    scores = judge(untouched)
    assert set(scores) == set(FIGURES)
    for way in ("ab", "ba"):
        assert scores["structure"][way] == scores["edges"][way] == pytest.approx(1)
        assert scores["warp"][way] == 1
        assert scores["kd_deep"][way] > 1


def test_frames_of_the_target_are_near_it_and_have_another_structure(judge: Judge, films: Films) -> None:
    """A perfect translation is nearer than the input; films of the target itself are at a distance below 0."""
    truths = {id(film.frames): film.truth for own in films.values() for film in own}
    perfect = judge(lambda frames, to: np.asarray(truths[id(frames)]))
    source = judge(untouched)
    copies = {"a": films["a"], "b": films["b"]}
    copied = judge(lambda frames, to: copies[to][0].frames)
    for way in ("ab", "ba"):
        assert perfect["kd_deep"][way] < source["kd_deep"][way]
        assert perfect["kd_mid"][way] < source["kd_mid"][way]
        assert copied["structure"][way] < 0.5 * perfect["structure"][way]


def test_warp_is_the_flicker_beside_the_sources_own(judge: Judge, films: Films) -> None:
    def flickering(frames: Clip, to: Domain) -> Clip:
        dark = np.arange(len(frames))[:, None, None, None] % 2
        return (frames * (1 - 0.2 * dark)).astype(np.uint8)

    found = judge(flickering)["warp"]["ab"]
    moves = {id(film): [motion(*pair) for pair in pairwise(film.frames)] for film in films["a"]}

    def mean(clips: dict[int, Clip]) -> float:
        errors = [
            warp_error(*pair, moved)
            for key, clip in clips.items()
            for pair, moved in zip(pairwise(clip), moves[key], strict=True)
        ]
        return float(np.mean([error for error in errors if error is not None]))

    own = mean({id(film): film.frames for film in films["a"]})
    assert found == pytest.approx(mean({id(film): flickering(film.frames, "b") for film in films["a"]}) / own)
    assert found > 1.5


def test_scores_against_the_truth_are_means_over_its_frames(films: Films) -> None:
    scores = score_truth(untouched, films)
    pairs = [
        pair for film in films["a"] if film.truth is not None for pair in zip(film.frames, film.truth, strict=True)
    ]
    assert scores["psnr"]["ab"] == pytest.approx(np.mean([psnr(*pair) for pair in pairs]))
    assert scores["ssim"]["ab"] == pytest.approx(np.mean([ssim(*pair) for pair in pairs]))
    assert set(scores["warp_error"]) == {"ab", "ba"}
    assert score_truth(untouched, {domain: [Film(own[0].frames, ())] for domain, own in films.items()}) == {}
