"""Damaged films in every container that the wheels can write: a good output, or one clear line."""

import random
from pathlib import Path

import pytest

from recycle.config import TranslateSettings
from recycle.errors import RecycleError
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from tests.fuzz.containers import FILMS, FRAMES, muxers_of_pictures, write_film
from tests.fuzz.spoil import ROUNDS, SEED, spoilt

SETTINGS = TranslateSettings(preset="ultrafast")
DAMAGES = 5
NOT_FILMS = {"fits"}
"""Astronomers' pictures: nothing says that several are a film."""


def test_no_muxer_of_the_wheels_is_forgotten() -> None:
    assert muxers_of_pictures() <= FILMS.keys()


@pytest.mark.parametrize("muxer", FILMS)
def test_films_in_every_container(muxer: str, tmp_path: Path) -> None:
    """Whole ones are translated, damaged ones give a good output or one clear line; nothing else is left."""
    film = write_film(tmp_path, muxer)
    frames = translate(film, tmp_path / "whole")
    if muxer not in NOT_FILMS:
        assert frames == FRAMES
    rng = random.Random(f"{SEED} {muxer}")
    for number in range(DAMAGES * ROUNDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        source = folder / film.name
        source.write_bytes(spoilt(film.read_bytes(), rng))
        try:
            translate(source, folder)
        except AssertionError as error:
            raise AssertionError(f"damage {number} of seed {SEED}") from error


def translate(source: Path, folder: Path) -> int:
    """Frames of a good output; 0 where the source was refused."""
    folder.mkdir(exist_ok=True)
    output = folder / "out.mp4"
    before = {path.name for path in folder.iterdir()}
    frames, refusal = 0, ""
    try:
        frames = Translator(None, device="cpu").translate_video(source, output, to="b", settings=SETTINGS).frames
    except RecycleError as error:
        refusal = str(error)
    left = {path.name for path in folder.iterdir()}
    assert "\n" not in refusal
    assert left == (before if refusal else before | {"out.mp4"}), refusal
    if refusal:
        return 0
    with VideoReader(output) as reader:
        assert sum(1 for _ in reader) == frames > 0
        assert reader.damaged == 0
    return frames
