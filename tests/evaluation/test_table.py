"""The table of scores in a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from recycle.domains import LETTERS, Names
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


NAMES = st.sampled_from([LETTERS, Names("summer", "winter"), Names("x" * 20, "y" * 20)])


@given(st.dictionaries(st.sampled_from(KEYS), st.floats(-999, 9999), min_size=1), NAMES)
def test_lines_fit_into_80_columns(metrics: dict[str, float], names: Names) -> None:
    assert all(len(line) <= 80 for line in score_lines(metrics, names))


def test_domains_are_called_by_their_names() -> None:
    lines = score_lines(METRICS, Names("summer", "winter"))
    assert [line.split("  ")[0] for line in lines if "→" in line] == ["summer → winter", "winter → summer"]
    long = score_lines(METRICS, Names("x" * 20, "y" * 20))
    assert long[0] == f"{'x' * 20} → {'y' * 20}"
    assert long[1].split() == ["translation", "input", "truth", "better"]
