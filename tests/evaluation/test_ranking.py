"""The best of several runs is named where the scores decide, and only there."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.domains import Names
from recycle.evaluation.ranking import CLOSE, rank


def scores(ab: float, ba: float, untouched: float = 4.0, **other: float) -> dict[str, float]:
    """Scores with that KID."""
    return {"kid_ab": ab, "kid_ba": ba, "kid_ab_input": untouched, "kid_ba_input": untouched, **other}


def test_the_best_run_is_named_with_the_score_that_decides() -> None:
    found = rank({"plain": scores(2, 1), "cycle": scores(0.5, 1), "killed": {}})
    assert found.best == "cycle"
    assert found.headline == (
        "Best: cycle, by KID (mean of both directions, lower is better): cycle 0.7500, plain 1.5000."
    )
    assert [line.split() for line in found.lines] == [
        ["run", "KID", "a", "→", "b", "KID", "b", "→", "a", "mean"],
        ["cycle", "0.5000", "1.0000", "0.7500"],
        ["plain", "2.0000", "1.0000", "1.5000"],
    ]
    assert all(len(line) <= 80 for line in found.lines)


@given(st.text("abcdefgh", min_size=1, max_size=40), st.text("xyz", min_size=1, max_size=12))
def test_columns_are_apart_whatever_the_runs_and_domains_are_called(run: str, domain: str) -> None:
    found = rank({run: scores(2, 1, collapse_ab=0.1), "K": scores(0.5, 1)}, Names(domain, "snowy mountains"))
    head, *rows = (re.split(" {2,}", line) for line in found.lines)
    assert head == ["run", f"KID {domain} → snowy mountains", f"KID snowy mountains → {domain}", "mean"]
    assert rows == [
        ["K", "0.5000", "1.0000", "0.7500"],
        [run, "2.0000", "1.0000", "1.5000", "failure: see its report"],
    ]


def test_without_kid_the_truth_decides_and_one_direction_is_enough() -> None:
    found = rank({"x": {"psnr_ba": 20.0, "psnr_ba_input": 9.0}, "y": {"psnr_ba": 23.0, "psnr_ba_input": 9.0}})
    assert found.best == "y"
    assert "by PSNR (b → a, higher is better): y 23.00, x 20.00" in found.headline


def test_small_differences_are_too_close_to_tell() -> None:
    found = rank({"x": scores(1, 1), "y": scores(1.05, 1.05), "z": scores(3, 3)})
    assert found.best is None
    assert found.headline.startswith("Too close to decide: x 1.0000, y 1.0500 by KID")
    assert found.lines[1].startswith("x ")
    psnr = {"x": {"psnr_ab": 20.0}, "y": {"psnr_ab": 20.5}}  # 0.5 dB: 6 % of the distance from the truth
    assert rank(psnr).best is None
    assert rank(psnr | {"y": {"psnr_ab": 21.5}}).best == "y"


def test_a_run_that_failed_is_not_the_best_where_another_did_not() -> None:
    collapsed = scores(0.1, 0.1, collapse_ab=0.1)
    found = rank({"collapsed": collapsed, "sound": scores(1, 1)})
    assert found.best == "sound"
    assert "The scores of collapsed show a failure" in found.headline
    assert found.lines[-1].endswith("failure: see its report")
    both = rank({"collapsed": collapsed, "worse": scores(1, 1, collapse_ba=0.2)})
    assert both.best == "collapsed"
    assert "But its scores show a failure too" in both.headline


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ({"x": scores(1, 1), "y": scores(2, 2, untouched=4.1)}, "Not comparable: the runs were tested on different"),
        ({"x": scores(1, 1), "y": {"kid_ab": 1.0, "kid_ab_input": 4.0}}, "Not comparable: the runs do not all have"),
        ({"x": {"change_ab": 1.0}, "y": {"change_ab": 2.0}}, "Not comparable: the runs do not all have"),
        ({"x": scores(1, 1), "y": {}}, "No best run: fewer than two runs have scores"),
        ({}, "No best run"),
    ],
)
def test_runs_that_do_not_compare_are_not_ranked(runs: Mapping[str, Mapping[str, float]], words: str) -> None:
    found = rank(runs)
    assert (found.best, found.lines) == (None, ())
    assert found.headline.startswith(words)


@given(st.lists(st.floats(0.05, 5), min_size=2, max_size=5))
def test_the_best_is_clearly_below_all_others_or_there_is_none(values: list[float]) -> None:
    # The untouched input is farther than all of them: no run has failed, which would count more than its figure.
    found = rank({str(i): scores(value, value, untouched=6) for i, value in enumerate(values)})
    first, second = sorted(values)[:2]
    if second - first < CLOSE * second:
        assert found.best is None
    else:
        assert found.best == str(values.index(first))
