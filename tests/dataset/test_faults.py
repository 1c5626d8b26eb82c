"""Problems of the footage are reported before training; good footage causes no message."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import ExtractSettings
from recycle.dataset.clips import DomainClips
from recycle.dataset.extract import extract
from recycle.dataset.faults import faults
from recycle.dataset.shots import Shot, find_shots
from recycle.street.film import Street
from tests.video.conftest import write

Pixels = NDArray[np.uint8]


def domain(folder: Path, frames: Iterable[Pixels], name: str, *, repeat: int = 5, interval: float = 0.1) -> DomainClips:
    """Frames as footage; each file is listed `repeat` times, so that there are enough clips."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, frame in enumerate(frames):
        files += [folder / f"{number:04d}.png"] * repeat
        cv2.imwrite(str(files[-1]), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    height, width = frame.shape[:2]
    return DomainClips([Shot(tuple(files), width, height, interval)], name=name, frames=3, seed=0)


@pytest.fixture(scope="module")
def street() -> dict[str, list[Pixels]]:
    """Two streets of four seconds each, by day and by night."""
    films = {"day": (0, "day"), "night": (1, "night")}
    return {
        name: [Street(seed, 64, 48, 12, 4).frame(i, look) for i in range(48)]  # type: ignore[arg-type]
        for name, (seed, look) in films.items()
    }


def letterboxed(frame: Pixels) -> Pixels:
    boxed = np.random.default_rng(0).integers(0, 8, frame.shape, dtype=np.uint8)  # noise of a lossy codec
    boxed[6:-6] = cv2.resize(frame, (frame.shape[1], frame.shape[0] - 12))
    return boxed


def test_day_and_night_cause_no_message(street: dict[str, list[Pixels]], tmp_path: Path) -> None:
    a, b = (domain(tmp_path / d, street[look], d) for d, look in (("a", "day"), ("b", "night")))
    assert faults(a, b, paired=False) == []


def test_the_same_footage_in_both_domains_is_reported_unless_paired(
    street: dict[str, list[Pixels]], tmp_path: Path
) -> None:
    a, b = (domain(tmp_path / d, street["day"][i::2], d, repeat=10) for i, d in enumerate("ab"))
    assert [text.split(" in ")[0] for text in faults(a, b, paired=False)] == ["both domains look nearly the same"]
    assert faults(a, b, paired=True) == []


def test_a_static_domain_is_reported(street: dict[str, list[Pixels]], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    still = [np.clip(street["night"][0] + random.normal(0, 5, (48, 64, 3)), 0, 255).astype(np.uint8) for _ in range(48)]
    a, b = domain(tmp_path / "a", street["day"], "a"), domain(tmp_path / "b", still, "b")
    (text,) = faults(a, b, paired=False)
    assert text.startswith("all frames of domain b look nearly the same")


def test_little_footage_is_reported(street: dict[str, list[Pixels]], tmp_path: Path) -> None:
    a = domain(tmp_path / "a", street["day"], "a", repeat=4)
    b = domain(tmp_path / "b", street["night"], "b")
    (text,) = faults(a, b, paired=False)
    assert text.startswith("domain a has only 190 clips")


def test_black_bars_in_one_domain_are_reported(street: dict[str, list[Pixels]], tmp_path: Path) -> None:
    a = domain(tmp_path / "a", map(letterboxed, street["day"]), "a")
    b = domain(tmp_path / "b", street["night"], "b")
    (text,) = faults(a, b, paired=False)
    assert text.startswith("domain a has black bars above and below (25% of the frame)")
    assert text.endswith(
        "crop them: 'recycle extract VIDEO… --crop X,Y,WIDTH,HEIGHT --out FOLDER', then give --a FOLDER"
    )
    both = domain(tmp_path / "c", map(letterboxed, street["night"]), "b")
    assert faults(a, both, paired=False) == []


def test_black_footage_has_no_bars_and_a_single_clip_is_counted_in_the_singular(
    street: dict[str, list[Pixels]], tmp_path: Path
) -> None:
    a = domain(tmp_path / "a", [np.zeros((48, 64, 3), np.uint8)], "a", repeat=3)
    b = domain(tmp_path / "b", street["night"], "b")
    first, *others = faults(a, b, paired=False)
    assert first.startswith("domain a has only 1 clip;")
    assert not any("black bars" in text for text in others)


@pytest.mark.parametrize(("size", "fault"), [((64, 64), "different aspect ratios"), ((96, 72), "different sizes")])
def test_different_framing_is_reported(
    size: tuple[int, int], fault: str, street: dict[str, list[Pixels]], tmp_path: Path
) -> None:
    a = domain(tmp_path / "a", street["day"], "a")
    b = domain(tmp_path / "b", (np.asarray(cv2.resize(f, size), np.uint8) for f in street["night"]), "b")
    (text,) = faults(a, b, paired=False)
    assert f"{fault} (64x48 in domain a, {size[0]}x{size[1]} in domain b)" in text


def test_different_frame_rates_are_reported(street: dict[str, list[Pixels]], tmp_path: Path) -> None:
    """Videos of 10 and of 30 frames per second, through extraction; a stride of 3 makes them alike."""
    shots = {}
    for name, look, rate in (("a", "day", 10), ("b", "night", 30)):
        write(tmp_path / f"{name}.mp4", street[look] * 5, rate=Fraction(rate), time_base=Fraction(1, 15360))
        extract([tmp_path / f"{name}.mp4"], tmp_path / name, ExtractSettings(), workers=1)
        shots[name] = find_shots(tmp_path / name)
    a, b = (DomainClips(shots[name], name=name, frames=3, seed=0) for name in "ab")
    (text,) = faults(a, b, paired=False)
    assert "(10 per second in domain a, 30 per second in domain b)" in text
    assert "extract.fps = 10" in text
    thinned = DomainClips(shots["b"], name="b", frames=3, strides=(3, 3), seed=0)
    assert faults(a, thinned, paired=False) == []
    strided = [DomainClips(shots[name], name=name, frames=3, strides=(1, 3), seed=0) for name in "ab"]
    assert "extract.fps = 10" in faults(*strided, paired=False)[0]  # as many as a has: strides stay as they are
    single = [DomainClips(shots[name], name=name, frames=1, seed=0) for name in "ab"]
    assert faults(*single, paired=False) == []
