"""Palette files: a line for each label; other content is refused by one line that names the place."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recycle.config import EvaluateSettings, load_pipeline
from recycle.domains import AB
from recycle.errors import ConfigError
from recycle.evaluation.evaluate import ClipSet, evaluate
from recycle.evaluation.palette import LARGEST_FILE, open_palette
from recycle.street.paint import LABELS

CAMVID = "64 128 64\tAnimal\n192 0 128\t\tArchway\n\n# sky and below\n  0 128 192 Bicyclist lane \n"


def written(folder: Path, text: str) -> Path:
    file = folder / "labels.txt"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_gives_labels_and_their_colours(tmp_path: Path) -> None:
    found = open_palette(written(tmp_path, CAMVID))
    assert found == {"Animal": (64, 128, 64), "Archway": (192, 0, 128), "Bicyclist lane": (0, 128, 192)}
    assert open_palette(written(tmp_path, "\ufeff" + CAMVID.replace("\n", "\r\n"))) == found


def test_the_street_has_its_own() -> None:
    assert open_palette("street") == LABELS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "0 0 0 road\n1 2 sky\n",
            "labels.txt, line 2: expected a colour and a label .* '128 64 128 road', got '1 2 sky'",
        ),
        ("\n0 0 0\n", "line 2: expected a colour and a label"),
        ("0 0 0 road\n#\n0 256 0 sky\n", "line 3: R, G and B must be numbers from 0 to 255, got 0 256 0"),
        ("0 0 0 road\n1 1 1 road\n", "line 2: the label road already occurs in line 1; change one of them"),
        ("0 0 0 road\n0 0 0 sky\n", "line 2: the colour 0 0 0 already occurs in line 1; change one of them"),
        ("0 0 0 road\n-1 0 0 sky\n", "line 2: expected a colour and a label"),
        (f"0 0 0 {'x' * 101}\n", "line 1: expected a colour and a label of at most 100 letters"),
        ("0 0 0 \x1b[31mred\n", "line 1: expected a colour and a label"),
        ("0 0 0 road\n", "it has 1 labels and needs at least 2"),
        ("", "it has 0 labels"),
        (
            "".join(f"{n // 16} {n % 16} 0 label {n}\n" for n in range(257)),
            "line 257: a palette has at most 256 labels",
        ),
        ("#" * (LARGEST_FILE + 1), "larger than 64 KiB"),
    ],
)
def test_what_is_no_palette_is_refused_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as refusal:
        open_palette(written(tmp_path, text))
    assert "\n" not in str(refusal.value)
    assert "labels.txt" in str(refusal.value)


def test_a_file_that_is_absent_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the palette .*absent\.txt: No such file"):
        open_palette(tmp_path / "absent.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        open_palette(tmp_path / "binary")


@given(st.text(max_size=60))
def test_any_text_is_a_palette_or_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    with suppress(ConfigError):
        assert all(0 <= value <= 255 for colour in open_palette(file).values() for value in colour)


def test_label_maps_are_scored_by_the_colours_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(
        'domains = ["photo", "labels"]\n[evaluate]\npalette = "colours.txt"\nlabel_domain = "labels"\n'
        'features = "none"\n'
    )
    (tmp_path / "colours.txt").write_text("10 10 10 thing\n30 30 30 ground\n")
    settings = load_pipeline(tmp_path / "task.toml").evaluate
    assert settings.label_domain == "b"
    truth = np.zeros((2, 32, 32, 3), np.uint8)
    truth[:, :16], truth[:, 16:] = 10, 30
    made = truth.copy()
    made[:, 8:16] = 28  # nearest to the ground: a quarter of all pixels, half of the things
    scores = evaluate({AB: [ClipSet(truth, made, truth=truth)]}, settings)
    assert scores["mp_ab"] == pytest.approx(75)
    assert scores["ac_ab"] == pytest.approx((50 + 100) / 2)
    assert scores["iou_ab"] == pytest.approx((50 + 100 * 2 / 3) / 2)
    street = EvaluateSettings(features=None, palette="street", label_domain="b")
    assert evaluate({AB: [ClipSet(truth, made, truth=truth)]}, street)["mp_ab"] == pytest.approx(100)  # one label
