"""Previews: columns with headings, and the frames that they show."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recycle.config import NetworkSettings, Pix2PixSettings, ResNetSettings
from recycle.domains import AB, BA, LETTERS, Names
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.training.headings import GROUND, heading
from recycle.training.preview import Columns, pixels, preview, write_preview
from recycle.video.kinds import open_source

NETWORKS = NetworkSettings(generator=ResNetSettings(blocks=1, width=4), predictor=Pix2PixSettings(width=4, depth=3))
WORD = st.text("abcdefghijklmnopqrstuvwxyzMW_-0", min_size=1, max_size=20)


def bundle(*, predictors: bool) -> Bundle:
    torch.manual_seed(1)
    return Bundle(BundleConfig(networks=NETWORKS, predictors=predictors)).eval()


@torch.no_grad()
def test_columns_are_what_the_networks_make_of_the_clip() -> None:
    model = bundle(predictors=True)
    a, b = torch.rand(5, 3, 16, 24) * 2 - 1, torch.rand(4, 3, 16, 16) * 2 - 1
    rows = preview(model, a, b, batch_size=2)
    assert list(rows) == [AB, BA]
    fake_b, fake_a = model.gen_ab(a), model.gen_ba(b)
    made = {AB: (a, fake_b, model.gen_ba(fake_b)), BA: (b, fake_a, model.gen_ab(fake_a))}
    for d, expected in made.items():
        for column, clip in zip(rows[d], expected, strict=False):
            torch.testing.assert_close(column, clip, atol=1e-5, rtol=0)
    predicted = rows[AB].predicted
    assert model.pred_b is not None
    assert predicted is not None
    torch.testing.assert_close(predicted[:2], fake_b[:2], atol=1e-5, rtol=0)
    for t in (2, 3, 4):
        (ahead,) = model.pred_b(torch.stack((fake_b[t - 2], fake_b[t - 1]))[None])
        torch.testing.assert_close(predicted[t], ahead, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("predictors", "frames"), [(False, 5), (True, 2)])
def test_predictions_have_a_column_only_where_there_are_some(predictors: bool, frames: int) -> None:
    clip = torch.rand(frames, 3, 16, 16) * 2 - 1
    rows = preview(bundle(predictors=predictors), clip, clip)
    assert [row.predicted for row in rows.values()] == [None, None]
    assert list(rows[BA].labelled(BA, Names("summer", "winter"))) == ["winter", "→ summer", "back to winter"]


def test_headings_say_what_the_columns_show() -> None:
    clip = torch.zeros(2, 3, 8, 8)
    assert list(Columns(clip, clip, clip, clip).labelled(AB, Names("summer", "winter"))) == [
        "summer",
        "→ winter",
        "back to summer",
        "predicted",
    ]
    assert list(Columns(clip, clip, clip).labelled(BA, LETTERS)) == ["b", "→ a", "back to b"]


def test_a_preview_shows_every_frame_exactly_below_its_heading(tmp_path: Path) -> None:
    clips = [torch.rand(5, 3, 20, 60) * 2 - 1 for _ in range(4)]
    rows = {AB: Columns(*clips), BA: Columns(*clips[:3])}
    picture = write_preview(rows, Names("summer", "winter"), tmp_path / "p")
    assert np.array_equal(cv2.cvtColor(cv2.imread(str(tmp_path / "p.png")), cv2.COLOR_BGR2RGB), picture)
    width, height = 3 * 60, 3 * 20  # the least factor that gives 128 pixels
    band = heading(list(rows[AB].labelled(AB, Names("summer", "winter"))), width)
    half = len(band) + 3 * height
    assert picture.shape == (2 * half, 4 * width, 3)
    assert np.array_equal(picture[: len(band)], band)
    for start, count in ((0, 4), (half, 3)):
        for row, t in ((0, 0), (1, 2), (2, 4)):
            top = start + len(band) + row * height
            for column in range(count):
                shown = picture[top : top + height : 3, column * width : (column + 1) * width : 3]
                assert np.array_equal(shown, pixels(clips[column])[t])
    assert (picture[half:, 3 * width :] == 0).all()
    with open_source(tmp_path / "p.mp4") as reader:
        films = [frame.pixels for frame in reader]
    assert len(films) == 5
    assert films[0].shape == (2 * (len(band) + height), 4 * width, 3)
    assert np.abs(films[3][: len(band)].astype(int) - band).mean() < 4  # the video, too, has the heading


@pytest.mark.parametrize("width", [128, 200, 512])
def test_letters_grow_with_the_columns(width: int) -> None:
    cell = heading(["summer"], width)
    rows = np.flatnonzero((cell != GROUND).any(axis=(1, 2)))
    columns = np.flatnonzero((cell != GROUND).any(axis=(0, 2)))
    assert (rows[-1] - rows[0]) / width == pytest.approx(8 / 128, rel=0.25)
    assert (columns[-1] - columns[0]) / width == pytest.approx(54 / 128, rel=0.15)
    assert (cell == (235, 235, 235)).all(axis=-1).sum() > 0.01 * cell[..., 0].size * len(rows) / len(cell)


@given(WORD, WORD, st.sampled_from([128, 160, 333]))
def test_any_names_fit(a: str, b: str, width: int) -> None:
    clip = torch.zeros(1)
    texts = list(Columns(clip, clip, clip, clip).labelled(AB, Names(a, b)))
    band = heading(texts, width)
    assert band.shape[1] == len(texts) * width
    assert len(band) % 2 == 0
    assert len(band) < 0.4 * width
    for cell in np.split(band, len(texts), axis=1):
        assert (cell != GROUND).any()
        assert (cell[:, -1] == GROUND).all()  # nothing is cut off at the right
        assert (cell[0] == GROUND).all()
