"""The table of scores in a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from recycle.evaluation.table import FIGURES, score_lines

WARP = {"warp_error_ab": 0.00185, "warp_error_ab_input": 0.00144}
METRICS = {"psnr_ab": 15.322, "psnr_ab_input": 9.5, **WARP, "kid_ba": 1}


def test_a_row_holds_the_value_with_its_unit_beside_the_inputs_and_which_way_is_better() -> None:
    head, psnr, warp, empty, other, kid, *_ = score_lines(METRICS)
    assert head.split() == ["a", "→", "b", "translation", "input", "truth", "better"]
    assert psnr.split() == ["PSNR,", "dB", "15.32", "9.50", "–", "higher", "✓"]
    assert warp.split() == ["Warp", "error,", "×", "10⁻³", "1.85", "1.44", "–", "lower"]
    assert empty == ""
    assert other.startswith("b → a")
    assert kid.split() == ["KID", "1.0000", "–", "–", "lower"]


KEYS = [f"{name}_{way}{twin}" for name in FIGURES for way in ("ab", "ba") for twin in ("", "_input", "_truth")]


@given(st.dictionaries(st.sampled_from(KEYS), st.floats(-999, 9999), min_size=1))
def test_lines_fit_into_80_columns(metrics: dict[str, float]) -> None:
    assert all(len(line) <= 80 for line in score_lines(metrics))
