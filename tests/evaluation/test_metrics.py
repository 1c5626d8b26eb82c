"""The figures have known answers on frames whose differences and motion are known."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recycle.evaluation.metrics import (
    PSNR_CAP,
    Pixels,
    diversity,
    evenly,
    flow_difference,
    label_confusion,
    label_scores,
    mean_difference,
    motion,
    psnr,
    ssim,
    structure,
    thumbnail,
    warp_error,
)
from recycle.video.flow import optical_flow

PALETTE = {"road": (128, 64, 128), "car": (0, 0, 142), "sky": (70, 130, 180)}


def texture(height: int, width: int, seed: int = 0) -> Pixels:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 2)
    return np.asarray(cv2.normalize(smooth, np.empty(0), 0, 255, cv2.NORM_MINMAX), dtype=np.uint8)


def moving(frames: int, height: int = 64, width: int = 96) -> list[Pixels]:
    """A texture that moves by (2, 1) pixels per frame."""
    large = texture(height + frames, width + 2 * frames)
    return [large[i : i + height, 2 * i : 2 * i + width].copy() for i in range(frames)]


def labels(rows: list[str]) -> Pixels:
    colours = {name[0]: colour for name, colour in PALETTE.items()}
    return np.array([[colours[letter] for letter in row] for row in rows], dtype=np.uint8)


def test_identical_frames_score_the_best() -> None:
    frame = texture(48, 64)
    assert psnr(frame, frame) == PSNR_CAP
    assert ssim(frame, frame) == pytest.approx(1)
    assert mean_difference(frame, frame) == 0


def test_structure_is_kept_by_other_colours_and_lost_by_other_pictures() -> None:
    frame = texture(48, 64)
    assert structure(frame, frame) == pytest.approx(1)
    assert structure(255 - frame, frame) == pytest.approx(1)  # light on dark, for dark on light
    assert structure(frame // 2 + 60, frame) == pytest.approx(1, abs=0.02)
    assert abs(structure(texture(48, 64, seed=1), frame) or 1) < 0.2
    assert structure(np.full_like(frame, 90), frame) == 0
    assert structure(frame, np.full_like(frame, 90)) is None
    shifted = [structure(np.roll(frame, pixels, 1), frame) or 0 for pixels in (1, 2, 4)]
    assert 1 > shifted[0] > shifted[1] > shifted[2]


def test_structure_is_the_correlation_of_sobel_lengths() -> None:
    """Against Sobel's masks, written out, away from the borders."""
    one, other = (np.repeat(texture(24, 32, seed)[..., :1], 3, 2) for seed in (0, 1))

    def lengths(frame: Pixels) -> list[float]:
        p = frame[..., 0].astype(int)
        found = []
        for y in range(1, 23):
            for x in range(1, 31):
                right = p[y - 1, x + 1] + 2 * p[y, x + 1] + p[y + 1, x + 1]
                left = p[y - 1, x - 1] + 2 * p[y, x - 1] + p[y + 1, x - 1]
                below = p[y + 1, x - 1] + 2 * p[y + 1, x] + p[y + 1, x + 1]
                above = p[y - 1, x - 1] + 2 * p[y - 1, x] + p[y - 1, x + 1]
                found.append(((right - left) ** 2 + (below - above) ** 2) ** 0.5)
        return found

    expected = np.corrcoef(lengths(one), lengths(other))[0, 1]
    assert structure(one, other) == pytest.approx(expected, abs=0.05)  # cv2 takes the borders, too


def test_psnr_and_difference_of_a_known_offset() -> None:
    frame = np.full((32, 32, 3), 100, np.uint8)
    assert psnr(frame, frame + 10) == pytest.approx(20 * np.log10(255 / 10), abs=1e-4)
    assert mean_difference(frame + 10, frame) == 10
    assert mean_difference(frame, frame + 10) == 10


def test_ssim_falls_with_lost_structure() -> None:
    frame = texture(48, 64)
    blurred = np.asarray(cv2.GaussianBlur(frame, (0, 0), 3), dtype=np.uint8)
    assert ssim(texture(48, 64, seed=1), frame) < ssim(blurred, frame) < ssim(frame, frame)


def test_label_scores_computed_by_hand() -> None:
    truth = labels(["rrrr", "rrcc", "ssss"])  # 6 road, 2 car, 4 sky
    predicted = labels(["rrrc", "rrcs", "ssss"])  # road: 5 of 6; car: 1 of 2; sky: 4 of 4
    scores = label_scores(label_confusion(predicted, truth, PALETTE))
    assert scores.mp == pytest.approx(100 * 10 / 12)
    assert scores.ac == pytest.approx(100 * (5 / 6 + 1 / 2 + 1) / 3)
    assert scores.iou == pytest.approx(100 * (5 / 6 + 1 / 3 + 4 / 5) / 3)


def test_class_absent_from_the_truth_is_no_term_of_the_means() -> None:
    scores = label_scores(label_confusion(labels(["rrrs"]), labels(["rrrr"]), PALETTE))
    assert scores == pytest.approx((75, 75, 75))


def test_blurred_label_colours_count_as_the_nearest_class() -> None:
    truth = labels(["rrcc", "ssrr"])
    noise = np.random.default_rng(0).integers(-9, 10, truth.shape)
    noisy = (truth + noise).clip(0, 255).astype(np.uint8)
    assert label_scores(label_confusion(noisy, truth, PALETTE)) == pytest.approx((100, 100, 100))


@given(
    truth=arrays.arrays(np.intp, (5, 7), elements=st.integers(0, 2)),
    predicted=arrays.arrays(np.intp, (5, 7), elements=st.integers(0, 2)),
)
@settings(deadline=None)
def test_label_scores_equal_a_plain_loop(truth: np.ndarray, predicted: np.ndarray) -> None:
    colours = np.array(list(PALETTE.values()), dtype=np.uint8)
    recalls, overlaps = [], []
    for label in range(3):
        pairs = [(p == label, t == label) for p, t in zip(predicted.flat, truth.flat, strict=True)]
        if any(t for _, t in pairs):
            both = sum(p and t for p, t in pairs)
            recalls.append(both / sum(t for _, t in pairs))
            overlaps.append(both / sum(p or t for p, t in pairs))
    correct = sum(p == t for p, t in zip(predicted.flat, truth.flat, strict=True)) / truth.size
    expected = [100 * v for v in (correct, sum(recalls) / len(recalls), sum(overlaps) / len(overlaps))]
    scores = label_scores(label_confusion(colours[predicted], colours[truth], PALETTE))
    assert scores == pytest.approx(expected)


def test_flow_finds_a_known_motion() -> None:
    before, now = moving(2)
    moved = motion(before, now)
    x, y = np.meshgrid(np.arange(96), np.arange(64))
    shift = moved.position - np.stack((x, y), axis=-1)
    assert np.median(shift[..., 0]) == pytest.approx(2, abs=0.1)
    assert np.median(shift[..., 1]) == pytest.approx(1, abs=0.1)
    assert not moved.visible[:, -2:].any()  # came into view from the right
    assert moved.visible.mean() > 0.85


def test_motion_keeps_the_flow_that_it_was_made_from() -> None:
    before, now = moving(2)
    assert (motion(before, now).forward == optical_flow(before, now)).all()


def test_equal_motion_of_other_colours_has_no_flow_difference() -> None:
    before, now = moving(2)
    assert flow_difference(optical_flow(before, now), optical_flow(before, now)) == 0
    dark = flow_difference(optical_flow(before // 2, now // 2), optical_flow(before, now))
    assert dark < 0.1


def test_flow_difference_is_the_length_of_what_is_missing() -> None:
    video = moving(3)  # by (2, 1) pixels per frame
    reference = optical_flow(video[0], video[1])
    still = flow_difference(optical_flow(video[0], video[0]), reference)
    fast = flow_difference(optical_flow(video[0], video[2]), reference)
    assert still == pytest.approx(5**0.5, rel=0.05)
    assert fast == pytest.approx(5**0.5, rel=0.1)
    exact = np.zeros((4, 4, 2), np.float32)
    assert flow_difference(exact + np.array([3, 4], np.float32), exact) == 5


def test_uncovered_background_is_not_visible() -> None:
    background, square = texture(64, 96), texture(24, 24, seed=1)
    before, now = background.copy(), background.copy()
    before[20:44, 30:54] = square
    now[20:44, 36:60] = square
    assert motion(before, now).visible[24:40, 31:35].mean() < 0.5  # the square hid this strip


def test_warp_error_forgives_motion_and_finds_flicker() -> None:
    video = moving(6)
    flickering = [frame // 2 + (30 if i % 2 else 10) for i, frame in enumerate(video)]
    for (a, b), (c, d) in zip(pairwise(video), pairwise(flickering), strict=True):
        moved = motion(a, b)
        still = warp_error(a, b, moved)
        flicker = warp_error(c, d, moved)
        assert still is not None
        assert flicker is not None
        assert still < 1e-5
        assert flicker == pytest.approx((20 / 255) ** 2, rel=0.02)


def test_warp_error_of_a_still_video_is_zero() -> None:
    frame = texture(32, 32)
    assert warp_error(frame, frame, motion(frame, frame)) == 0


def test_warp_error_is_undefined_where_nothing_is_visible() -> None:
    frame = texture(32, 32)
    nowhere = motion(frame, frame)._replace(visible=np.zeros((32, 32), dtype=bool))
    assert warp_error(frame, frame, nowhere) is None


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (200, 16), (33, 47)])
def test_every_figure_is_defined_for_small_frames(size: tuple[int, int]) -> None:
    frame = texture(*size)
    assert psnr(frame, frame) == PSNR_CAP
    assert ssim(frame, frame) == pytest.approx(1)
    assert warp_error(frame, frame, motion(frame, frame)) == 0
    assert thumbnail(frame).shape == (32, 32, 3)


def test_diversity_is_the_mean_pairwise_difference() -> None:
    greys = [np.full((40, 40, 3), value, np.uint8) for value in (10, 20, 40)]
    assert diversity([thumbnail(frame) for frame in greys]) == pytest.approx((10 + 30 + 20) / 3)


def test_constant_output_has_no_diversity() -> None:
    frame = thumbnail(texture(40, 40))
    assert diversity([frame] * 100) == 0
    assert diversity([frame]) == 0
    assert diversity([]) == 0


def test_diversity_ignores_fine_noise() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(108, 148, (320, 320, 3), dtype=np.uint8) for _ in range(4)]
    assert mean_difference(noise[0], noise[1]) > 10
    assert diversity([thumbnail(frame) for frame in noise]) < 2


def test_numbers_are_evenly_spread() -> None:
    assert [evenly(count, 64).tolist() for count in (0, 1, 3)] == [[], [0], [0, 1, 2]]
    chosen = evenly(1000, 64).tolist()
    assert (len(chosen), chosen[0], chosen[-1]) == (64, 0, 999)
    assert {later - earlier for earlier, later in pairwise(chosen)} == {15, 16}
