"""The verdict says what the scores show, no more, and tells apart what is unfinished, failed and unknown."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.evaluation.verdict import FLICKERS, HALF, Learning, judge

FELL = Learning(best=(90, 0.4), last=0.41, reviews=9, improved_late=True)
STOOD = Learning(best=(20, 0.4), last=0.41, reviews=9, improved_late=False)
ROSE = Learning(best=(70, 0.4), last=0.5, reviews=9, improved_late=True)
FEW = Learning(best=(2, 0.9), last=0.9, reviews=1)
SHORT = "9 steps cannot show whether longer training helps; train for at least 1000 steps"


def kid(way: str, left: float, untouched: float = 4.0) -> dict[str, float]:
    """Scores of a translation with that part of the untouched input's KID left."""
    return {f"kid_{way}": left * untouched, f"kid_{way}_input": untouched}


@pytest.mark.parametrize("learning", [None, FELL, STOOD, ROSE, FEW])
def test_what_is_near_real_frames_is_translated_well_however_it_was_trained(learning: Learning | None) -> None:
    verdict = judge(kid("ab", 0.2) | kid("ba", 0.45), learning)
    assert (verdict.tone, verdict.headline) == ("good", "Translated well (both directions).")
    assert "a → b: the translation is 80% of the way from the untouched input to real frames of b" in verdict.reasons[0]
    assert "(KID 0.8, untouched input 4)" in verdict.reasons[0]
    assert "b → a: the translation is 55% of the way" in verdict.reasons[1]


@pytest.mark.parametrize(
    ("learning", "tone", "words"),
    [
        (FELL, "unfinished", "Unfinished: the model was still improving"),
        (STOOD, "failed", "Only partly translated, and the model had stopped improving"),
        (ROSE, "failed", "Only partly translated, and the model had stopped improving"),
        (FEW, "unfinished", "too few validation scores to say whether longer training helps"),
        (None, "unfinished", "too few validation scores to say whether longer training helps"),
    ],
)
def test_what_went_part_of_the_way_is_judged_by_the_training(learning: Learning | None, tone: str, words: str) -> None:
    verdict = judge(kid("ab", 0.8) | kid("ba", 0.3), learning)
    assert verdict.tone == tone
    assert words in verdict.headline
    assert "(a → b). b → a is translated well." in verdict.headline


@given(st.floats(0, 9), st.floats(0, 9), st.none() | st.floats(0, 9))
def test_flicker_beyond_that_of_the_source_is_told_with_its_remedy(
    own: float, source: float, truth: float | None
) -> None:
    scores = {**kid("ab", 0.2), "warp_error_ab": own, "warp_error_ab_input": source}
    if truth is not None:
        scores["warp_error_ab_truth"] = truth
    verdict, usual = judge(scores), max(source, truth or 0)
    told = [reason for reason in verdict.reasons if "flickers" in reason]
    assert len(told) == (usual > 0 and math.sqrt(own / usual) >= FLICKERS)
    for reason in told:
        name = "its source" if truth is None or source > truth else "the truth"
        ratio = f"{math.sqrt(own / usual):.1f}"
        assert reason == f"a → b: the translation flickers {ratio} times as much as {name}; --stabilise reduces it"
    assert verdict.tone == "good"  # it is a remark, for which there is a remedy


@pytest.mark.parametrize("improved_late", [True, False, None])
@pytest.mark.parametrize("last", [0.4, 0.6, None])
@pytest.mark.parametrize("best", [(5, 0.4), None])
@pytest.mark.parametrize("left", [0.3, 0.8, 1.1, None])
def test_a_training_that_was_too_short_is_never_said_to_have_failed_or_to_gain_nothing_from_more(
    left: float | None, best: tuple[int, float] | None, last: float | None, improved_late: bool | None
) -> None:
    """Whatever the few validation scores look like: it is good or unfinished, and what would be enough is said."""
    learning = Learning(best, last, 9, improved_late, SHORT)
    verdict = judge({} if left is None else kid("ab", left), learning)
    assert verdict.tone == ("unclear" if left is None else "good" if left < HALF else "unfinished")
    told = " ".join((verdict.headline, *verdict.reasons))
    assert "will not help" not in told
    assert "stopped improving" not in told
    still = improved_late and not learning.worsened
    if still and best:
        assert "it still fell in the last third of the run, so longer training should help" in told
    else:
        assert f"{SHORT}." in told
    if verdict.tone == "unfinished":
        assert ("still improving" if still else "too short to judge") in verdict.headline


@pytest.mark.parametrize(
    "failure",
    [{"kid_ab": 4.1}, {"collapse_ab": 0.1}, {"memorisation_ab": 0.1}, {"structure_ab": 0.2, "structure_ab_truth": 0.9}],
)
def test_a_failure_that_the_scores_show_is_one(failure: Mapping[str, float]) -> None:
    scores = {**kid("ab", 0.1), **failure}
    stood, fell = judge(scores, STOOD), judge(scores, FELL)
    assert (stood.tone, stood.headline) == ("failed", "Failed (a → b).")
    assert stood.reasons[0].startswith("a → b: ")
    assert fell.tone == "unfinished"
    few = judge(scores, FEW)
    assert (few.tone, few.headline) == ("failed", "Failed, or not trained long enough (a → b).")


def test_what_the_scores_cannot_know_is_not_claimed() -> None:
    lost = judge(kid("ab", 0.1) | {"structure_ab": 0.5})  # without a truth: night may rightly have fewer edges
    assert lost.tone == "unclear"
    assert "content may be lost" in lost.headline
    for scores in ({"change_ab": 30.0}, kid("ab", -0.2, untouched=0.05), {}):
        unclear = judge(scores)
        assert unclear.tone == "unclear"
        assert unclear.headline.startswith("The scores do not allow a verdict")
    assert "already looks like real frames" in judge(kid("ab", 0.9, untouched=0.05)).reasons[0]


def test_textures_count_as_much_as_things() -> None:
    textures = {"kid_mid_ab": 1.5, "kid_mid_ab_input": 2.0}
    verdict = judge(kid("ab", 0.1) | textures, STOOD)
    assert verdict.tone == "failed"
    assert "25% of the way" in verdict.reasons[0]
    assert "(KID of textures 1.5, untouched input 2)" in verdict.reasons[0]


def test_without_kid_the_distance_from_the_truth_decides() -> None:
    """A mixture of input and truth, half and half, is half as far from it: 20 log₁₀ 2 dB more."""
    half = 20 * math.log10(2)
    assert judge({"psnr_ab": 10 + 1.01 * half, "psnr_ab_input": 10.0}).tone == "good"
    assert judge({"psnr_ab": 10 + 0.99 * half, "psnr_ab_input": 10.0}, STOOD).tone == "failed"
    worse = judge({"psnr_ab": 9.0, "psnr_ab_input": 10.0}, STOOD)
    assert worse.headline == "Failed (a → b)."
    assert "(PSNR 9.0 dB, untouched input 10.0 dB)" in worse.reasons[0]


def test_the_training_is_told_with_its_faults() -> None:
    faults = [f"step {step}: the discriminator of b has run away" for step in (35, 70, 105, 140, 175)]
    told = judge(kid("ab", 0.1), Learning((90, 0.4), 0.41, 9, True, faults=faults)).reasons[1:]
    assert "from step 90, is 0.400; an untouched input scores about 1; it still fell in the last third" in told[0]
    assert told[1] == "Training: step 35: the discriminator of b has run away."
    assert told[-1] == "Training: 2 more faults are in health.log in the run's folder."
    fewer = judge({}, Learning((90, 0.4), 0.41, 9, True, faults=faults[:4])).reasons
    assert fewer[-1] == "Training: 1 more fault is in health.log in the run's folder."
    assert "at the end it was 0.500, so longer training alone will not help" in judge({}, ROSE).reasons[0]
    assert "did not fall in the last third" in judge({}, STOOD).reasons[0]
    assert "too few validation scores (1) to show a trend" in judge({}, FEW).reasons[0]
    assert "untouched" not in judge({}, Learning((1, 0.1), 0.1, 1, relative=False)).reasons[0]


@given(st.floats(-0.5, 2.0), st.floats(0.2, 10.0), st.sampled_from([FELL, STOOD, ROSE, FEW]))
def test_a_single_direction_is_good_exactly_from_half_of_the_way_on(
    left: float, untouched: float, learning: Learning
) -> None:
    scores = kid("ba", left, untouched)
    verdict = judge(scores, learning)
    part = 1 - scores["kid_ba"] / scores["kid_ba_input"]
    assert (verdict.tone == "good") == (part >= HALF)
    assert verdict.headline.count("(") == 1
    assert "a → b" not in " ".join((verdict.headline, *verdict.reasons))
