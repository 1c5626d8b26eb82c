"""The street as footage: deterministic, in motion, cut into shots, and written to real files."""

import hashlib
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recycle.config import Appearance
from recycle.events import Event, Job, Progress
from recycle.street.film import Street

APPEARANCES = get_args(Appearance)
SMALL = Street(seed=3, width=80, height=48, fps=6, seconds=12)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_frames_have_the_documented_length_shape_and_type() -> None:
    assert len(SMALL) == 72
    assert len(Street(0, 64, 48, 25, 0.001)) == 1
    for appearance in APPEARANCES:
        frame = SMALL.frame(5, appearance)
        assert frame.shape == (48, 80, 3)
        assert frame.dtype == np.uint8


@pytest.mark.parametrize("appearance", APPEARANCES)
def test_a_frame_does_not_depend_on_what_was_drawn_before(appearance: Appearance) -> None:
    indices = [71, 0, 30, 29, 71, 40]
    by_frames = dict(enumerate(SMALL.frames(appearance)))
    assert len(by_frames) == len(SMALL)
    for index in indices:
        np.testing.assert_array_equal(SMALL.frame(index, appearance), by_frames[index])


def test_writing_into_a_frame_changes_no_other_frame() -> None:
    before = SMALL.frame(7, "labels").copy()
    SMALL.frame(7, "labels")[:] = 0
    np.testing.assert_array_equal(SMALL.frame(7, "labels"), before)


def test_another_process_draws_the_same_film_and_sound() -> None:
    code = (
        "import hashlib; from recycle.street.film import Street\n"
        "s = Street(seed=3, width=80, height=48, fps=6, seconds=12)\n"
        "order = ('labels', 'snow', 'night', 'rain', 'day', 'sunset')\n"
        "parts = [s.frame(i, a) for a in order for i in (60, 3)] + [s.audio(8000)]\n"
        "print(hashlib.sha256(b''.join(p.tobytes() for p in parts)).hexdigest())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "PATH": ""},
    )
    order: tuple[Appearance, ...] = ("labels", "snow", "night", "rain", "day", "sunset")
    parts = [SMALL.frame(i, a) for a in order for i in (60, 3)] + [SMALL.audio(8000)]
    assert run.stdout.strip() == hashlib.sha256(b"".join(p.tobytes() for p in parts)).hexdigest()


@pytest.mark.parametrize("index", [-1, 72])
def test_a_frame_outside_the_film_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match="72 frames"):
        SMALL.frame(index, "day")


def test_other_seeds_show_other_scenes() -> None:
    films = [Street(seed, 80, 48, 6, 12) for seed in range(4)]
    firsts = [[film.frame(start + 6, "labels") for start in film.cuts()] for film in films]
    for film, others in enumerate(firsts):
        for scene in others:
            for foreign in (s for k, rest in enumerate(firsts) if k != film for s in rest):
                assert (scene != foreign).any(axis=-1).mean() > 0.15


def test_the_rate_changes_neither_scene_nor_motion() -> None:
    slow, fast = Street(1, 80, 48, 5, 8), Street(1, 80, 48, 20, 8)
    for index in (0, 9, 15):
        np.testing.assert_array_equal(slow.frame(index, "labels"), fast.frame(4 * index, "labels"))


def test_the_size_changes_only_the_resolution() -> None:
    small, large = Street(1, 80, 48, 5, 8), Street(1, 240, 144, 5, 8)
    for index in (0, 39):
        one, other = small.frame(index, "labels"), large.frame(index, "labels")[1::3, 1::3]
        assert (one == other).all(axis=-1).mean() > 0.9


@settings(max_examples=24, deadline=None)
@given(
    width=st.integers(17, 90),
    height=st.integers(17, 90),
    fps=st.integers(1, 30),
    seconds=st.floats(0.05, 40),
    appearance=st.sampled_from(APPEARANCES),
)
def test_any_size_rate_and_length_is_drawn(
    width: int, height: int, fps: int, seconds: float, appearance: Appearance
) -> None:
    street = Street(9, width, height, fps, seconds)
    for index in {0, len(street) - 1}:
        assert street.frame(index, appearance).shape == (height, width, 3)


@pytest.mark.parametrize("appearance", APPEARANCES)
def test_shots_move_steadily_and_cuts_leap(appearance: Appearance) -> None:
    street = Street(seed=4, width=80, height=48, fps=12, seconds=16)
    frames = list(street.frames(appearance))
    cuts = street.cuts()
    assert cuts[0] == 0
    assert len(cuts) >= 3
    assert all(2 * 12 <= end - start <= 8 * 12 + 1 for start, end in pairwise([*cuts, len(street)]))
    steps = np.array([difference(one, other) for one, other in pairwise(frames)])
    leaps = np.array([step for index, step in enumerate(steps, 1) if index in cuts])
    within = np.array([step for index, step in enumerate(steps, 1) if index not in cuts])
    assert within.min() > 0.3
    assert leaps.min() > 1.8 * within.max()


def test_the_sound_has_the_films_length_two_channels_and_a_sane_level() -> None:
    street = Street(seed=1, width=64, height=48, fps=12, seconds=11.5)
    sound = street.audio(16000)
    assert sound.shape == (11.5 * 16000, 2)
    assert sound.dtype == np.float32
    assert 0.05 < np.abs(sound).max() < 0.5
    seconds = sound[: 11 * 16000].reshape(11, 16000, 2)
    assert (np.sqrt((seconds**2).mean(axis=1)) > 0.005).all(), "no second is silent"
    assert np.corrcoef(sound.T)[0, 1] < 0.95, "it is stereo"


@pytest.mark.parametrize("appearance", ["day", "night"])
def test_the_file_holds_every_frame_the_rate_and_the_sound(tmp_path: Path, appearance: Appearance) -> None:
    street = Street(seed=2, width=96, height=64, fps=10, seconds=3)
    reports: list[Event] = []
    path = tmp_path / "street.mp4"
    street.write(path, appearance, job=Job(reports.append))
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 10
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        audio = container.streams.audio[0]
        assert audio.codec_context.channels == 2
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert samples / audio.rate == pytest.approx(3, abs=0.1)
    assert len(frames) == 30
    for shown, true in zip(frames, street.frames(appearance), strict=True):
        assert difference(shown, true) < 6
    assert reports == [Progress(f"filming street.mp4 ({appearance})", done, 30) for done in range(31)]


def test_a_silent_file_has_no_sound_stream(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    Street(seed=2, width=64, height=48, fps=10, seconds=0.5).write(path, "labels", audio=False)
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 0
