"""Scores of whole clips, from arrays and from real video files."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from recycle.config import Appearance, EncodeSettings, EvaluateSettings
from recycle.dataset.shots import Shot
from recycle.domains import AB, BA, Direction, Domain
from recycle.errors import FootageError, Interrupted
from recycle.evaluation.evaluate import ClipSet, evaluate
from recycle.evaluation.features import describe_broadly
from recycle.evaluation.memorisation import Gallery
from recycle.evaluation.metrics import Pixels
from recycle.events import Event, Job, Progress
from recycle.street.film import Street
from recycle.video.encode import write_video
from tests.jobs import cancelled_at, counted

PLAIN = EvaluateSettings(features=None, max_frames=200)


@pytest.fixture(scope="module")
def day() -> Pixels:
    return np.stack(list(Street(3, 64, 48, 12, 1.0).frames("day")))


@pytest.fixture(scope="module")
def night() -> Pixels:
    return np.stack(list(Street(3, 64, 48, 12, 1.0).frames("night")))


def test_perfect_translation(day: Pixels, night: Pixels) -> None:
    clip = ClipSet(day, night, back=day, truth=night)
    scores = evaluate({AB: [clip], BA: [ClipSet(night, day, back=night, truth=day)]}, PLAIN)
    for direction in ("ab", "ba"):
        assert scores[f"psnr_{direction}"] == 100
        assert scores[f"ssim_{direction}"] == pytest.approx(1)
        assert scores[f"psnr_{direction}_input"] < 30
        assert scores[f"ssim_{direction}_input"] < 0.9
        assert scores[f"cycle_error_{direction}"] == scores[f"cycle_error_{direction}_input"] == 0
        assert scores[f"warp_error_{direction}"] == scores[f"warp_error_{direction}_truth"]
        assert scores[f"diversity_{direction}"] == scores[f"diversity_{direction}_truth"]
        assert scores[f"change_{direction}"] > 20
        assert scores[f"tof_{direction}"] == 0 < scores[f"tof_{direction}_input"]
        assert scores[f"collapse_{direction}"] == 1
        assert scores[f"structure_{direction}"] == scores[f"structure_{direction}_truth"] < 0.9
        assert f"structure_{direction}_input" not in scores
    assert scores["diversity_ab"] == scores["diversity_ba_input"]
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_doing_nothing_scores_as_the_untouched_input(day: Pixels, night: Pixels) -> None:
    scores = evaluate({AB: [ClipSet(day, day, truth=night)]}, PLAIN)
    for figure in ("psnr", "ssim", "warp_error", "tof", "diversity", "collapse"):
        assert scores[f"{figure}_ab"] == scores[f"{figure}_ab_input"]
    assert scores["change_ab"] == 0
    assert not any("_ba" in name or "cycle" in name for name in scores)


def test_collapsed_output_has_no_diversity(day: Pixels) -> None:
    collapsed = np.broadcast_to(day[:1], day.shape)
    scores = evaluate({BA: [ClipSet(day, collapsed)]}, PLAIN)
    assert scores["diversity_ba"] == 0
    assert scores["diversity_ba_input"] > 1
    assert scores["collapse_ba"] == 0
    assert "collapse_ba_input" not in scores  # it is the reference
    assert not any(name.startswith(("psnr", "ssim")) or name.endswith("_truth") for name in scores)


def test_flicker_raises_the_warp_error(day: Pixels) -> None:
    half = day // 2
    flickering = half + (np.arange(len(day), dtype=np.uint8) % 2 * 40)[:, None, None, None]
    steady = evaluate({AB: [ClipSet(day, half)]}, PLAIN)["warp_error_ab"]
    unsteady = evaluate({AB: [ClipSet(day, flickering)]}, PLAIN)["warp_error_ab"]
    assert unsteady == pytest.approx(steady + (40 / 255) ** 2, rel=0.3)


def shot(frames: Pixels, folder: Path) -> Shot:
    files = tuple(folder / f"{i:04}.png" for i in range(len(frames)))
    for file, frame in zip(files, frames, strict=True):
        cv2.imwrite(str(file), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return Shot(files, frames.shape[2], frames.shape[1])


def slide(frames: int, speed: int = 2) -> Pixels:
    """A soft texture that moves by `speed` pixels to the left in each frame."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64 + speed * frames, 3)).astype(np.float32)
    soft = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), np.empty(0), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.stack([soft[:, speed * i : speed * i + 64] for i in range(frames)])


def test_output_that_lags_has_the_flow_that_it_misses() -> None:
    video = slide(9)
    lagging = video[[0, 0, 2, 2, 4, 4, 6, 6, 8]]  # every other frame repeated: still, then twice as fast
    scores = evaluate({AB: [ClipSet(video, 255 - video)], BA: [ClipSet(video, lagging)]}, PLAIN)
    assert scores["tof_ab"] < 0.1  # other colours, the same motion
    assert scores["tof_ba"] == pytest.approx(2, rel=0.2)
    assert "tof_ba_input" not in scores


def test_motion_is_judged_by_the_truth_where_it_is_known() -> None:
    fast, slow = slide(6, speed=2), slide(6, speed=1)
    scores = evaluate({AB: [ClipSet(fast, slow, truth=slow)]}, PLAIN)
    assert scores["tof_ab"] == 0
    assert scores["tof_ab_input"] == pytest.approx(1, rel=0.2)
    assert "tof_ab_truth" not in scores


def test_collapse_is_judged_by_the_truth_where_it_is_known() -> None:
    def greys(*values: int) -> Pixels:
        return np.stack([np.full((32, 32, 3), value, np.uint8) for value in values])

    clip = ClipSet(greys(10, 50), greys(60, 65), truth=greys(90, 110))
    scores = evaluate({AB: [clip], BA: [ClipSet(greys(10, 50), greys(60, 65))]}, PLAIN)
    assert scores["collapse_ab"] == pytest.approx(5 / 20)
    assert scores["collapse_ab_input"] == pytest.approx(40 / 20)
    assert scores["collapse_ba"] == pytest.approx(5 / 40)
    still = evaluate({AB: [ClipSet(greys(7, 7), greys(7, 9))]}, PLAIN)
    assert "collapse_ab" not in still


def test_real_frames_of_the_target_domain_are_as_far_as_themselves(day: Pixels, night: Pixels) -> None:
    clips: dict[Direction, list[ClipSet]] = {AB: [ClipSet(day, night)], BA: [ClipSet(night, night, truth=day)]}
    scores = evaluate(clips, PLAIN, features=describe_broadly)
    assert scores["fid_ab"] == pytest.approx(0, abs=1e-4)  # night, beside the sources of the other direction
    assert scores["fid_ab_input"] > 100
    assert scores["kid_ab"] < scores["kid_ab_input"]
    assert scores["fid_ba"] == scores["fid_ba_input"] == pytest.approx(scores["fid_ab_input"], rel=1e-4)
    assert scores["fid_ba_truth"] == pytest.approx(0, abs=1e-4)  # day is the other direction's source
    alone = evaluate({BA: clips[BA]}, PLAIN, features=describe_broadly)
    assert alone["fid_ba"] == pytest.approx(scores["fid_ba"], rel=1e-6)  # now beside the truth
    assert "fid_ba_truth" not in alone
    assert not any(
        name.startswith(("fid", "kid")) for name in evaluate({AB: clips[AB]}, PLAIN, features=describe_broadly)
    )


def test_output_that_repeats_training_frames_is_told_from_frames_of_its_own(tmp_path: Path) -> None:
    def film(seed: int, look: Appearance = "night") -> Pixels:
        return np.stack(list(Street(seed, 64, 48, 6, 2.0).frames(look)))

    trained: dict[Domain, Gallery] = {"b": Gallery.of([shot(film(10), tmp_path)], describe_broadly)}
    day, night, learned = film(11, "day"), film(12), film(10)
    copying = evaluate({AB: [ClipSet(day, learned)], BA: [ClipSet(night, day)]}, PLAIN, trained=trained)
    honest = evaluate({AB: [ClipSet(day, film(11))], BA: [ClipSet(night, day)]}, PLAIN, trained=trained)
    assert copying["memorisation_ab"] == pytest.approx(0, abs=1e-3)
    assert 0.6 < honest["memorisation_ab"] < 1.6
    assert honest["memorisation_ab_input"] > honest["memorisation_ab"]  # day is no night
    assert "memorisation_ba" not in honest  # no training frames of a
    assert "fid_ab" not in honest


def test_no_pair_across_a_cut_is_compared() -> None:
    scenes = [np.stack(list(Street(seed, 64, 48, 12, 0.5).frames("day"))) for seed in (1, 2)]
    noise = np.random.default_rng(0).integers(0, 256, (2, 1, 48, 64, 3), dtype=np.uint8)
    still = [np.broadcast_to(image, scene.shape) for image, scene in zip(noise, scenes, strict=True)]
    scores = evaluate({AB: [ClipSet(np.concatenate(scenes), np.concatenate(still))]}, PLAIN)
    within = [evaluate({AB: [ClipSet(s, t)]}, PLAIN) for s, t in zip(scenes, still, strict=True)]
    assert scores["warp_error_ab"] == pytest.approx(np.mean([w["warp_error_ab"] for w in within]))


def test_clips_are_weighted_by_their_frames(day: Pixels) -> None:
    clips = [ClipSet(day[:2], day[:2] // 2, truth=day[:2]), ClipSet(day[2:], day[2:] // 3, truth=day[2:])]
    both = evaluate({AB: clips}, PLAIN)
    first, second = (evaluate({AB: [clip]}, PLAIN) for clip in clips)
    for figure in ("psnr_ab", "ssim_ab", "change_ab", "diversity_ab", "diversity_ab_input"):
        expected = (2 * first[figure] + (len(day) - 2) * second[figure]) / len(day)
        assert both[figure] == pytest.approx(expected)


def test_labels_are_scored_over_all_clips_together(day: Pixels) -> None:
    labels = np.stack(list(Street(3, 64, 48, 12, 1.0).frames("labels")))
    other = np.stack(list(Street(4, 64, 48, 12, 1.0).frames("labels")))
    settings = EvaluateSettings(features=None, palette="street", label_domain="b", max_frames=200)
    clips = [ClipSet(day, labels, truth=labels), ClipSet(day, other, truth=labels)]
    scores = evaluate({AB: clips, BA: [ClipSet(labels, day, truth=day)]}, settings)
    right = np.concatenate((labels == labels, other == labels)).all(-1)
    assert scores["mp_ab"] == pytest.approx(100 * right.mean())
    assert 0 < scores["iou_ab"] < scores["ac_ab"] < 100
    assert scores["mp_ab_input"] < 60
    assert "mp_ba" not in scores
    alone = evaluate({AB: clips[:1]}, settings)
    assert (alone["mp_ab"], alone["ac_ab"], alone["iou_ab"]) == (100, 100, 100)


def test_video_files_score_as_their_frames(day: Pixels, night: Pixels, tmp_path: Path) -> None:
    for name, frames in (("day", day), ("night", night)):
        write_video(tmp_path / f"{name}.mp4", frames, fps=12, settings=EncodeSettings(crf=0))
    files = ClipSet(tmp_path / "day.mp4", tmp_path / "night.mp4", truth=tmp_path / "night.mp4")
    scores = evaluate({AB: [files]}, PLAIN)
    exact = evaluate({AB: [ClipSet(day, night, truth=night)]}, PLAIN)
    assert scores["psnr_ab"] == 100
    for figure in ("psnr_ab_input", "ssim_ab_input", "diversity_ab", "change_ab"):
        assert scores[figure] == pytest.approx(exact[figure], rel=0.1)


def test_padding_of_odd_sizes_is_cut_off(day: Pixels, tmp_path: Path) -> None:
    odd = day[:, :47, :63]
    write_video(tmp_path / "odd.mp4", odd, fps=12, settings=EncodeSettings(crf=0))  # 64×48 in the file
    scores = evaluate({AB: [ClipSet(odd, tmp_path / "odd.mp4")]}, PLAIN)
    assert scores["change_ab"] < 10


def test_only_the_first_frames_are_scored(day: Pixels) -> None:
    done: list[int] = []
    clip = ClipSet(day, np.concatenate((day[:4], 255 - day[4:])), truth=day[:6])
    scores = evaluate({AB: [clip]}, EvaluateSettings(features=None, max_frames=4), job=counted(done))
    assert scores["psnr_ab"] == 100
    assert done == [1, 2, 3, 4, 4]


def test_an_evaluation_is_cancelled(day: Pixels) -> None:
    with pytest.raises(Interrupted, match="run the same command again"):
        evaluate({AB: [ClipSet(day, day)]}, PLAIN, job=cancelled_at(3))


def test_single_frame_has_no_warp_error(day: Pixels) -> None:
    scores = evaluate({AB: [ClipSet(day[:1], day[:1])]}, PLAIN)
    assert not {"warp_error_ab", "tof_ab", "collapse_ab"} & scores.keys()
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
        evaluate({AB: [ClipSet(day, day, truth=day[truth], name="street")]}, PLAIN)
    assert "\n" not in str(caught.value)


def test_longer_truth_is_reported_within_the_limit(day: Pixels) -> None:
    with pytest.raises(FootageError, match="source 6, translation 6, truth 8 or more"):
        evaluate({AB: [ClipSet(day[:6], day[:6], truth=day)]}, EvaluateSettings(features=None, max_frames=8))


def test_unusable_clips(day: Pixels, tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="too small to score; at least 16×16"):
        evaluate({AB: [ClipSet(day[:, :8], day[:, :8])]}, PLAIN)
    with pytest.raises(FootageError, match="hold no frames"):
        evaluate({AB: [ClipSet(day[:0], day[:0])]}, PLAIN)
    with pytest.raises(FootageError, match="cannot read"):
        evaluate({AB: [ClipSet(tmp_path / "absent.mp4", day)]}, PLAIN)


def test_progress_states_its_end_from_the_start(day: Pixels, night: Pixels, tmp_path: Path) -> None:
    write_video(tmp_path / "night.mp4", night, fps=12, settings=EncodeSettings(crf=10))
    events: list[Event] = []
    few = EvaluateSettings(features=None, max_frames=10)
    evaluate({AB: [ClipSet(day, night)], BA: [ClipSet(night, tmp_path / "night.mp4")]}, few, job=Job(events.append))
    assert [(event.done, event.total) for event in events if isinstance(event, Progress)] == [
        *((done, 20) for done in range(21)),
        (20, 20),
    ]
