"""What differs is shown, what is equal is not; only comparable scores are ranked."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycle.config import Pipeline, parse_pipeline
from recycle.evaluation.charts import overlaid
from recycle.evaluation.compare import ComparedRun, score_rows, setting_rows, write_comparison
from recycle.evaluation.ranking import rank
from tests.evaluation.conftest import Page

NAMES = st.text("abc_", min_size=1, max_size=3)
VALUES = st.integers() | st.booleans() | st.text(max_size=4) | st.lists(st.integers(), min_size=1, max_size=3)
TREES = st.recursive(VALUES, lambda inside: st.dictionaries(NAMES, inside, min_size=1, max_size=3), max_leaves=12)
SETTINGS = st.dictionaries(NAMES, TREES, min_size=1, max_size=4)


def pipeline(**changes: Any) -> dict[str, Any]:
    return parse_pipeline(changes, where="test").model_dump(mode="json")


def compared(name: str, **other: Any) -> ComparedRun:
    known: dict[str, Any] = {"steps": "1 of 2 steps", "model": "last, step 1", "notes": ()}
    known |= {"settings": {}, "metrics": {}, "curves": {}}
    return ComparedRun(name=name, **known | other)


def write(path: Path, runs: list[ComparedRun]) -> None:
    write_comparison(path, runs, rows=[], ranking=rank({run.name: run.metrics for run in runs}))


def marks(runs: list[Mapping[str, float]], figure: str) -> list[list[bool]]:
    rows = next(rows for shown, rows in score_rows(runs) if shown.name == figure)
    return [[cell.best for cell in row.runs] for row in rows]


def test_only_settings_that_differ_have_a_row() -> None:
    common = {"frames": 3, "steps": 3}
    one = pipeline(losses={"weights": {"recycle": 5}}, train={"size": [64, 96], **common})
    other = pipeline(
        footage={"street": {"seed": 4}},
        losses={"weights": {"recycle": 10}},
        train={"size": [64, 64], **common},
        extract={"fps": 12.5},
    )
    rows = {row.path: row.values for row in setting_rows([one, one, other])}
    street = {path: rows.pop(path) for path in list(rows) if path.startswith("footage.street.")}
    assert rows == {
        "losses.weights.recycle": ("5.0", "5.0", "10.0"),
        "train.size": ("64, 96", "64, 96", "64, 64"),
        "extract.fps": ("–", "–", "12.5"),
    }
    assert street["footage.street.seed"] == ("–", "–", "4")
    assert setting_rows([one, one]) == []


def test_discriminators_of_several_kinds_are_compared_kind_by_kind() -> None:
    one = pipeline(networks={"discriminator": {"width": 8}})
    other = pipeline(networks={"discriminator": [{"width": 16}, {"kind": "projected", "strides": [8, 16]}]})
    rows = {row.path.removeprefix("networks.discriminator."): row.values for row in setting_rows([one, other])}
    assert rows["width"] == ("8", "16")
    assert rows["projected.strides"] == ("–", "8, 16")
    assert "layers" not in rows


@settings(max_examples=50)
@given(tree=SETTINGS, data=st.data())
def test_a_changed_setting_is_the_only_row(tree: dict[str, Any], data: st.DataObject) -> None:
    def leaves(at: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        return [p for k, v in at.items() for p in leaves(v, (*path, k))] if isinstance(at, dict) else [path]

    def with_leaf(at: Any, path: tuple[str, ...], value: Any) -> Any:
        return {**at, path[0]: with_leaf(at[path[0]], path[1:], value)} if path else value

    path = data.draw(st.sampled_from(leaves(tree, ())))
    others = [with_leaf(tree, path, "changed"), tree]  # "changed" is longer than any text of the tree
    assert setting_rows([tree, tree]) == []
    rows = setting_rows([tree, *others])
    assert [row.path for row in rows] == [".".join(path)]
    assert rows[0].values[0] == rows[0].values[2] != rows[0].values[1] == "changed"


def test_the_best_of_comparable_runs_is_marked() -> None:
    first = {"psnr_ab": 12.0, "psnr_ab_input": 9.0, "warp_error_ab": 0.002, "warp_error_ab_input": 0.001}
    second = {"psnr_ab": 13.0, "psnr_ab_input": 9.0, "warp_error_ab": 0.001, "warp_error_ab_input": 0.001}
    unfinished: dict[str, float] = {}
    assert marks([first, second, unfinished], "PSNR") == [[False, True, False]]
    assert marks([first, second, unfinished], "Warp error") == [[False, True, False]]  # lower is better
    assert marks([first, first, unfinished], "PSNR") == [[False, False, False]]  # none is better
    tie = {**second, "psnr_ab": 13.001}
    assert marks([first, second, tie], "PSNR") == [[False, True, True]]  # 13.00 as shown
    (figure, rows), *_ = score_rows([first, second, unfinished])
    assert (figure.name, rows[0].direction, rows[0].untouched, rows[0].truth) == ("PSNR", "a → b", "9.00", "–")
    assert [cell.value for cell in rows[0].runs] == ["12.00", "13.00", "–"]


def test_runs_tested_on_other_clips_are_not_ranked(tmp_path: Path) -> None:
    first, second = {"psnr_ab": 12.0, "psnr_ab_input": 9.0}, {"psnr_ab": 13.0, "psnr_ab_input": 9.5}
    assert marks([first, second], "PSNR") == [[False, False]]
    write(tmp_path / "c.html", [compared("x", metrics=first), compared("y", metrics=second)])
    page = Page(tmp_path / "c.html")
    assert page.text.index("Not comparable: the runs were tested on different clips") < page.text.index("<table")
    assert page.row("PSNR")[2:5] == ["differs", "12.00 untouched 9.00", "13.00 untouched 9.50"]
    assert "Not all runs were tested on the same clips" in page.text
    write(tmp_path / "c.html", [compared("x", metrics=first), compared("y", metrics=first)])
    assert "Not all runs were tested on the same clips" not in Page(tmp_path / "c.html").text


def test_figures_of_a_direction_that_nobody_has_take_no_row() -> None:
    figures = {figure.name: [row.direction for row in rows] for figure, rows in score_rows([{"ssim_ba": 0.5}, {}])}
    assert figures == {"SSIM": ["b → a"]}
    assert score_rows([{}, {}]) == []


def test_curves_of_one_tag_share_a_chart_and_a_run_keeps_its_colour() -> None:
    long, short = [(1, 1.0), (2000, 0.5)], [(1, 2.0), (1000, 1.5)]
    runs = {
        "plain": {"loss/disc_a": long, "loss/empty": []},
        "cycle": {"loss/disc_a": short, "loss/cycle": short, "score/psnr_ab": [(500, 11.0)]},
    }
    charts = {chart.title: chart for chart in overlaid(runs)}
    assert list(charts) == ["cycle", "disc a", "score/psnr a → b"]
    assert [(line.label, line.colour) for line in charts["disc a"].lines] == [("plain", 0), ("cycle", 1)]
    assert [(line.label, line.colour) for line in charts["cycle"].lines] == [("cycle", 1)]
    ends = [float(re.findall(r"([\d.]+),", line.smooth)[-1]) for line in charts["disc a"].lines]
    start = float(re.findall(r"([\d.]+),", charts["disc a"].lines[0].smooth)[0])
    assert (ends[1] - start) / (ends[0] - start) == pytest.approx(0.5, abs=1e-3)  # one axis for both
    assert charts["disc a"].x_ticks[-1][1] == "2k"


def test_many_runs_can_be_told_apart(tmp_path: Path) -> None:
    runs = [compared(str(i), curves={"loss/cycle": [(1, float(i)), (2, 1.0)]}) for i in range(12)]
    write(tmp_path / "c.html", runs)
    page = Page(tmp_path / "c.html")
    lines = [path["class"].removeprefix("smooth ") for path in page.of("path") if path["class"].startswith("smooth")]
    keys = [span["class"].removeprefix("swatch ") for span in page.of("span") if "swatch" in span.get("class", "")]
    assert len(set(lines)) == 12
    assert lines == keys[:12] == keys[-12:]


def test_an_empty_comparison_says_what_is_missing_and_escapes_names(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    write(tmp_path / "c.html", [compared(evil), compared("y")])
    page = Page(tmp_path / "c.html")
    for words in ("All settings are the same", "share no test clips", "No run has scores yet", "logged any values yet"):
        assert words in page.text
    assert not page.of("script")
    assert page.row(evil)[1] == "1 of 2 steps"


@pytest.mark.parametrize("group", ["generator", "discriminator"])
def test_a_kind_that_its_file_leaves_out_is_named_beside_another(group: str) -> None:
    first = Pipeline().model_dump(mode="json")
    assert "kind" not in first["networks"][group]
    other = {**first, "networks": {**first["networks"], group: {"kind": "other", **first["networks"][group]}}}
    usual = {"generator": "resnet", "discriminator": "patch"}[group]
    assert [(row.path, row.values) for row in setting_rows([first, other])] == [
        (f"networks.{group}.kind", (usual, "other"))
    ]
