"""Scores of whole clips, from arrays and from real video files."""

import json
from pathlib import Path

import numpy as np
import pytest

from recycle.config import EncodeSettings, EvaluateSettings
from recycle.errors import FootageError
from recycle.evaluation.evaluate import ClipSet, evaluate
from recycle.evaluation.metrics import Pixels
from recycle.footage.encode import write_video
from recycle.footage.street import Street

PLAIN = EvaluateSettings(max_frames=200)


@pytest.fixture(scope="module")
def day() -> Pixels:
    return np.stack(list(Street(3, 64, 48, 12, 1.0).frames("day")))


@pytest.fixture(scope="module")
def night() -> Pixels:
    return np.stack(list(Street(3, 64, 48, 12, 1.0).frames("night")))


def test_perfect_translation(day: Pixels, night: Pixels) -> None:
    clip = ClipSet(day, night, back=day, truth=night)
    scores = evaluate({"ab": [clip], "ba": [ClipSet(night, day, back=night, truth=day)]}, PLAIN)
    for direction in ("ab", "ba"):
        assert scores[f"psnr_{direction}"] == 100
        assert scores[f"ssim_{direction}"] == pytest.approx(1)
        assert scores[f"psnr_{direction}_input"] < 30
        assert scores[f"ssim_{direction}_input"] < 0.9
        assert scores[f"cycle_error_{direction}"] == scores[f"cycle_error_{direction}_input"] == 0
        assert scores[f"warp_error_{direction}"] == scores[f"warp_error_{direction}_truth"]
        assert scores[f"diversity_{direction}"] == scores[f"diversity_{direction}_truth"]
        assert scores[f"change_{direction}"] > 20
    assert scores["diversity_ab"] == scores["diversity_ba_input"]
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_doing_nothing_scores_as_the_untouched_input(day: Pixels, night: Pixels) -> None:
    scores = evaluate({"ab": [ClipSet(day, day, truth=night)]}, PLAIN)
    for figure in ("psnr", "ssim", "warp_error", "diversity"):
        assert scores[f"{figure}_ab"] == scores[f"{figure}_ab_input"]
    assert scores["change_ab"] == 0
    assert not any("_ba" in name or "cycle" in name for name in scores)


def test_collapsed_output_has_no_diversity(day: Pixels) -> None:
    collapsed = np.broadcast_to(day[:1], day.shape)
    scores = evaluate({"ba": [ClipSet(day, collapsed)]}, PLAIN)
    assert scores["diversity_ba"] == 0
    assert scores["diversity_ba_input"] > 1
    assert not any(name.startswith(("psnr", "ssim")) or name.endswith("_truth") for name in scores)


def test_flicker_raises_the_warp_error(day: Pixels) -> None:
    half = day // 2
    flickering = half + (np.arange(len(day), dtype=np.uint8) % 2 * 40)[:, None, None, None]
    steady = evaluate({"ab": [ClipSet(day, half)]}, PLAIN)["warp_error_ab"]
    unsteady = evaluate({"ab": [ClipSet(day, flickering)]}, PLAIN)["warp_error_ab"]
    assert unsteady == pytest.approx(steady + (40 / 255) ** 2, rel=0.3)


def test_no_pair_across_a_cut_is_compared() -> None:
    scenes = [np.stack(list(Street(seed, 64, 48, 12, 0.5).frames("day"))) for seed in (1, 2)]
    noise = np.random.default_rng(0).integers(0, 256, (2, 1, 48, 64, 3), dtype=np.uint8)
    still = [np.broadcast_to(image, scene.shape) for image, scene in zip(noise, scenes, strict=True)]
    scores = evaluate({"ab": [ClipSet(np.concatenate(scenes), np.concatenate(still))]}, PLAIN)
    within = [evaluate({"ab": [ClipSet(s, t)]}, PLAIN) for s, t in zip(scenes, still, strict=True)]
    assert scores["warp_error_ab"] == pytest.approx(np.mean([w["warp_error_ab"] for w in within]))


def test_clips_are_weighted_by_their_frames(day: Pixels) -> None:
    clips = [ClipSet(day[:2], day[:2] // 2, truth=day[:2]), ClipSet(day[2:], day[2:] // 3, truth=day[2:])]
    both = evaluate({"ab": clips}, PLAIN)
    first, second = (evaluate({"ab": [clip]}, PLAIN) for clip in clips)
    for figure in ("psnr_ab", "ssim_ab", "change_ab", "diversity_ab", "diversity_ab_input"):
        expected = (2 * first[figure] + (len(day) - 2) * second[figure]) / len(day)
        assert both[figure] == pytest.approx(expected)


def test_labels_are_scored_over_all_clips_together(day: Pixels) -> None:
    labels = np.stack(list(Street(3, 64, 48, 12, 1.0).frames("labels")))
    other = np.stack(list(Street(4, 64, 48, 12, 1.0).frames("labels")))
    settings = EvaluateSettings(palette="street", label_domain="b", max_frames=200)
    clips = [ClipSet(day, labels, truth=labels), ClipSet(day, other, truth=labels)]
    scores = evaluate({"ab": clips, "ba": [ClipSet(labels, day, truth=day)]}, settings)
    right = np.concatenate((labels == labels, other == labels)).all(-1)
    assert scores["mp_ab"] == pytest.approx(100 * right.mean())
    assert 0 < scores["iou_ab"] < scores["ac_ab"] < 100
    assert scores["mp_ab_input"] < 60
    assert "mp_ba" not in scores
    alone = evaluate({"ab": clips[:1]}, settings)
    assert (alone["mp_ab"], alone["ac_ab"], alone["iou_ab"]) == (100, 100, 100)


def test_video_files_score_as_their_frames(day: Pixels, night: Pixels, tmp_path: Path) -> None:
    for name, frames in (("day", day), ("night", night)):
        write_video(tmp_path / f"{name}.mp4", frames, fps=12, settings=EncodeSettings(crf=0))
    files = ClipSet(tmp_path / "day.mp4", tmp_path / "night.mp4", truth=tmp_path / "night.mp4")
    scores = evaluate({"ab": [files]}, PLAIN)
    exact = evaluate({"ab": [ClipSet(day, night, truth=night)]}, PLAIN)
    assert scores["psnr_ab"] == 100
    for figure in ("psnr_ab_input", "ssim_ab_input", "diversity_ab", "change_ab"):
        assert scores[figure] == pytest.approx(exact[figure], rel=0.1)


def test_padding_of_odd_sizes_is_cut_off(day: Pixels, tmp_path: Path) -> None:
    odd = day[:, :47, :63]
    write_video(tmp_path / "odd.mp4", odd, fps=12, settings=EncodeSettings(crf=0))  # 64×48 in the file
    scores = evaluate({"ab": [ClipSet(odd, tmp_path / "odd.mp4")]}, PLAIN)
    assert scores["change_ab"] < 10


def test_only_the_first_frames_are_scored(day: Pixels) -> None:
    done: list[int] = []
    clip = ClipSet(day, np.concatenate((day[:4], 255 - day[4:])), truth=day[:6])
    scores = evaluate({"ab": [clip]}, EvaluateSettings(max_frames=4), progress=lambda n, _: done.append(n))
    assert scores["psnr_ab"] == 100
    assert done == [1, 2, 3, 4]


def test_single_frame_has_no_warp_error(day: Pixels) -> None:
    scores = evaluate({"ab": [ClipSet(day[:1], day[:1])]}, PLAIN)
    assert "warp_error_ab" not in scores
    assert scores["diversity_ab"] == 0


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.s_[:7], r"street: numbers of frames differ: source 12, translation 12, truth 7; "),
        (np.s_[:, :40], r"street: truth is 64×40 pixels and the source 64×48; "),
        (np.s_[:, :, :62], r"street: truth is 62×48 pixels and the source 64×48; "),
    ],
)
def test_videos_that_do_not_correspond(day: Pixels, truth: slice, message: str) -> None:
    with pytest.raises(FootageError, match=message) as caught:
        evaluate({"ab": [ClipSet(day, day, truth=day[truth], name="street")]}, PLAIN)
    assert "\n" not in str(caught.value)


def test_longer_truth_is_reported_within_the_limit(day: Pixels) -> None:
    with pytest.raises(FootageError, match="source 6, translation 6, truth 8 or more"):
        evaluate({"ab": [ClipSet(day[:6], day[:6], truth=day)]}, EvaluateSettings(max_frames=8))


def test_unusable_clips(day: Pixels, tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="too small to score; at least 16×16"):
        evaluate({"ab": [ClipSet(day[:, :8], day[:, :8])]}, PLAIN)
    with pytest.raises(FootageError, match="hold no frames"):
        evaluate({"ab": [ClipSet(day[:0], day[:0])]}, PLAIN)
    with pytest.raises(FootageError, match="cannot read"):
        evaluate({"ab": [ClipSet(tmp_path / "absent.mp4", day)]}, PLAIN)
