"""Matched sampling shows similar content in both domains and depends only on the seed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from recycle.config import TrainSettings, parse_pipeline
from recycle.dataset.augment import Augment
from recycle.dataset.clips import DomainClips, UnpairedClips, load_clips
from recycle.dataset.shots import Shot, find_shots
from recycle.errors import ConfigError, FootageError
from recycle.networks.features import open_network
from recycle.training.crops import Crops
from recycle.training.loop import train
from recycle.training.matching import MatchedClips, Matches, candidates, deviations, find_matches
from tests.jobs import counted

pytestmark = pytest.mark.usefixtures("small_looks")

SIZE = 32
TILES = 6
COUNT = 20
LOOKS = {"a": ((70, 60, 50), (180, 200, 90)), "b": ((170, 180, 200), (60, 30, 140))}
"""Of each domain the colours of ground and things: all of one domain differs from all of the other."""
DISCS = {"a": 0.8, "b": 0.25}
"""How often a thing is a disc; else it is a square's outline."""


def write_domain(folder: Path, name: str) -> NDArray[np.bool_]:
    """Frames of TILES things side by side, each SIZE wide; returns (COUNT, TILES), whether each is a disc."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(ord(name))
    discs = random.random((COUNT, TILES)) < DISCS[name]
    ground, colour = LOOKS[name]
    for number in range(COUNT):
        frame = np.empty((SIZE, SIZE * TILES, 3), np.uint8)
        frame[:] = ground
        for tile in range(TILES):
            x, y = SIZE * tile + SIZE // 2 + int(random.integers(-2, 3)), SIZE // 2 + int(random.integers(-2, 3))
            if discs[number, tile]:
                cv2.circle(frame, (x, y), 10, colour, -1, cv2.LINE_AA)
            else:
                cv2.rectangle(frame, (x - 9, y - 9), (x + 9, y + 9), colour, 2)
        noisy = frame + random.normal(0, 6, frame.shape)
        cv2.imwrite(str(folder / f"{number:06d}.png"), noisy.clip(0, 255).astype(np.uint8))
    rows = [{"file": f"{n:06d}.png", "shot": 0, "pts": n} for n in range(COUNT)]
    (folder / "manifest.json").write_text(json.dumps({"width": SIZE * TILES, "height": SIZE, "frames": rows}))
    return discs


class Made:
    """Both domains, and matches between crops that each show one thing, whose kind is known."""

    def __init__(self, root: Path) -> None:
        discs = [write_domain(root / name, name) for name in "ab"]
        self.shots = [find_shots(root / name) for name in "ab"]
        self.domains = self.domain("a"), self.domain("b")
        self.settings = TrainSettings(size=(SIZE, SIZE), match=1, seed=3)
        every = [(0, frame, 0, SIZE * tile) for frame in range(COUNT) for tile in range(TILES)]
        crops: Crops = np.array(every, dtype=np.int64)
        device = torch.device("cpu")
        network = open_network("lite0")
        self.matches = find_matches(self.domains, (crops, crops), (SIZE, SIZE), network, device)
        self.discs = [own.ravel() for own in discs]

    def domain(self, name: str) -> DomainClips:
        return DomainClips(self.shots["ab".index(name)], name=name, frames=1, seed=3)

    def clips(self, length: int, **changes: Any) -> MatchedClips:
        settings = self.settings.model_copy(update=changes)
        return MatchedClips(self.domain("a"), self.domain("b"), length, self.matches, settings)

    def shown(self, clips: MatchedClips, number: int) -> tuple[bool, bool]:
        """Whether the crops of a and of b that a sample shows are discs."""
        pair, _ = clips.crops(number)
        assert pair is not None
        a, b = (bool(own[crop[1] * TILES + crop[3] // SIZE]) for own, crop in zip(self.discs, pair, strict=True))
        return a, b


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


def test_matched_crops_show_things_of_one_kind_in_both_directions(made: Made) -> None:
    for own, others, nearest in zip(made.discs, reversed(made.discs), made.matches.nearest, strict=True):
        agreement = (own[:, None] == others[nearest]).mean()
        chance = own.mean() * others.mean() + (1 - own.mean()) * (1 - others.mean())
        assert chance < 0.5
        assert agreement > 0.9
    assert made.matches.similarity > 0.1


@pytest.mark.parametrize(("first", "name"), [(0, "a"), (1, "b")])
def test_the_kinds_that_one_side_shows_follow_those_that_are_drawn_on_the_other(
    made: Made, first: int, name: str
) -> None:
    length = 2 * COUNT * TILES
    clips = made.clips(length)
    shown = np.array([made.shown(clips, number) for number in range(first, length, 2)])
    drawn, matched = shown[:, first], shown[:, 1 - first]
    assert drawn.mean() == pytest.approx(made.discs["ab".index(name)].mean())  # every crop once per epoch
    assert abs(matched.mean() - drawn.mean()) < 0.1
    assert abs(made.discs[0].mean() - made.discs[1].mean()) > 0.4  # which it would be without


def test_every_crop_is_drawn_once_per_epoch_and_every_epoch_anew(made: Made) -> None:
    count = COUNT * TILES
    clips = made.clips(4 * count)
    for side in (0, 1):
        drawn = []
        for number in range(side, 4 * count, 2):
            pair, _ = clips.crops(number)
            assert pair is not None
            drawn.append(tuple(pair[side]))
        assert set(Counter(drawn[:count]).values()) == set(Counter(drawn[count:]).values()) == {1}
        assert drawn[:count] != drawn[count:]


@pytest.mark.parametrize("workers", [0, 2])
def test_any_loader_gives_the_same_samples_wherever_it_starts(made: Made, workers: int) -> None:
    clips = made.clips(20, match=0.5)
    whole = [made.clips(20, match=0.5)[number] for number in range(20)]
    assert all(clip.shape == (1, 3, SIZE, SIZE) for pair in whole for clip in pair)
    loaded = list(load_clips(clips, first=6, batch_size=2, workers=workers))
    assert len(loaded) == 7
    for n, sides in enumerate(loaded):
        for side in (0, 1):
            expected = torch.stack([whole[6 + 2 * n + i][side] for i in (0, 1)])
            torch.testing.assert_close(sides[side], expected, rtol=0, atol=0)
    other = made.clips(20, match=0.5, seed=4)
    assert any(not torch.equal(other[n][0], whole[n][0]) for n in range(20))


def test_a_share_of_the_samples_is_matched_and_the_rest_is_drawn_as_ever(made: Made) -> None:
    clips = made.clips(800, match=0.25)
    free = [number for number in range(800) if clips.crops(number)[0] is None]
    assert 0.7 < len(free) / 800 < 0.8
    assert all(clips.crops(number)[0] is None for number in free)
    a, b = made.domains
    for number in free[:10]:
        for domain, clip in ((a, clips[number][0]), (b, clips[number][1])):
            (shot, start, _), _ = domain.draw(number)
            frame = domain.shots[shot].read(start)
            assert any(torch.equal(frame[:, :, x : x + SIZE], clip[0]) for x in range(SIZE * (TILES - 1) + 1))


def test_compared_crops_are_the_sampled_crops(made: Made) -> None:
    clips = made.clips(20)
    augment = Augment(made.settings.augment.model_copy(update={"flip": False, "colour": 0}))
    for number in range(10):
        pair, _ = clips.crops(number)
        assert pair is not None
        for domain, crop, clip in zip(made.domains, pair, clips[number], strict=True):
            shot, start, top, left = crop
            picture = domain.shots[shot].read(start)[:, top : top + SIZE, left : left + SIZE]
            seen = augment(clip[None], torch.from_numpy(augment.draw([number]))[None])[0, 0]
            torch.testing.assert_close(seen, picture / 255 * 2 - 1)


def test_longer_clips_begin_at_the_frame_that_was_compared_and_stay_in_their_shot(made: Made) -> None:
    domains = [DomainClips(made.shots[i], name="ab"[i], frames=3, strides=(1, 3), seed=0) for i in (0, 1)]
    crops = tuple(candidates(domain, (SIZE, SIZE), 0) for domain in domains)
    assert all(own[:, 1].max() <= COUNT - 3 for own in crops)
    nearest = tuple(np.zeros((len(own), 1), np.int64) for own in crops)
    matches = Matches((crops[0], crops[1]), (nearest[0], nearest[1]), 0.0)
    clips = MatchedClips(domains[0], domains[1], 40, matches, made.settings)
    for number in range(40):
        pair, _ = clips.crops(number)
        assert pair is not None
        for domain, (shot, start, top, left), clip in zip(domains, pair, clips[number], strict=True):
            assert clip.shape == (3, 3, SIZE, SIZE)
            first = domain.shots[shot].read(start)[:, top : top + SIZE, left : left + SIZE]
            torch.testing.assert_close(clip[0], first, rtol=0, atol=0)


def unread(lengths: list[int], size: tuple[int, int]) -> DomainClips:
    shots = [Shot([Path(f"{s}-{i}") for i in range(n)], size[1], size[0]) for s, n in enumerate(lengths)]
    return DomainClips(shots, name="a", frames=1, seed=0)


def test_candidates_are_different_bounded_and_spread_over_all_footage() -> None:
    domain = unread([3000, 1, 60_000], (40, 64))
    crops = candidates(domain, (32, 32), 0)
    assert len(crops) == len(np.unique(crops, axis=0)) == 4096
    assert crops[crops[:, 0] == 0, 1].size == pytest.approx(4096 * 3000 / 63_001, abs=2)
    assert np.diff(crops[crops[:, 0] == 2, 1]).max() < 20
    assert crops[:, 2].max() == 8
    assert crops[:, 3].max() == 32
    assert np.array_equal(candidates(domain, (32, 32), 0), crops)
    assert not np.array_equal(candidates(domain, (32, 32), 1), crops)


def test_whole_frames_are_matched_by_window_and_a_single_one_is_refused() -> None:
    assert candidates(unread([7, 5], (32, 48)), (32, 48), 0).tolist() == [
        [shot, start, 0, 0] for shot, length in enumerate([7, 5]) for start in range(length)
    ]
    with pytest.raises(FootageError, match="nothing to choose from: domain a has one clip, as large as"):
        candidates(unread([1], (32, 48)), (32, 48), 0)


def test_features_common_to_a_domain_have_no_influence() -> None:
    features = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    factor, offset = torch.rand(8) + 0.5, torch.full((8,), 9.0)
    torch.testing.assert_close(deviations(features * factor + offset), deviations(features), rtol=1e-4, atol=1e-4)
    assert deviations(torch.ones(3, 8)).isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"footage": {"paired": True}, "train": {"match": 1}}, "'train.match' is for unpaired footage"),
        (
            {"losses": {"weights": {"adversarial": 0, "cycle": 1}}, "train": {"match": 0.5}},
            "'train.match' has an effect only on discriminators",
        ),
        ({"train": {"match": 1.5}}, "less than or equal to 1"),
    ],
)
def test_settings_without_effect_are_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_pipeline(settings, where="test")


def test_a_stopped_run_continues_with_the_same_samples(made: Made, tmp_path: Path) -> None:
    small = {"generator": {"width": 4, "blocks": 1}, "discriminator": {"width": 4, "layers": 2}}
    task = {"size": [SIZE, SIZE * TILES], "match": 0.8, "precision": "fp32", "device": "cpu", "preview_every": 100}
    weights, said = [], []
    done: list[int] = []
    for name, parts in (("whole", [2]), ("halves", [1, 2])):
        for steps in parts:
            pipeline = parse_pipeline(
                {"networks": small, "train": {**task, "steps": steps, "decay": 0, "held_out": 4}}, where="test"
            )
            a, b = made.shots
            report = train(pipeline, a, b, tmp_path / name, job=counted(done, "comparing crops of both domains"))
            said += [notice for notice in report.notices if "matched sampling among" in notice]
        weights.append(torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["translators"])
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)
    assert len(said) == 3
    assert "random ones 0" in said[0]
    assert done[:4] == [16, 20, 36, 40]


def test_without_matching_samples_are_unchanged(made: Made) -> None:
    clips = UnpairedClips(*made.domains, 4)
    assert [clip.shape for clip in clips[0]] == [(1, 3, SIZE, SIZE * TILES)] * 2
    for number in range(4):
        epoch, position = divmod(number, COUNT)
        for name, clip in zip("ab", clips[number], strict=True):
            order = np.random.default_rng([3, ord(name), epoch]).permutation(COUNT)
            frame = cv2.imread(str(made.shots["ab".index(name)][0].files[int(order[position])]))
            assert frame is not None
            assert np.array_equal(clip[0].permute(1, 2, 0).numpy()[..., ::-1], frame)
