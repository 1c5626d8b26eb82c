"""Clips never cross a cut or a gap, occur once per epoch, and depend only on the seed."""

import json
import signal
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recycle.config import AugmentSettings
from recycle.dataset.augment import Augment
from recycle.dataset.clips import DomainClips, PairedClips, UnpairedClips, _start_loading, load_clips
from recycle.dataset.shots import Shot, align, find_shots, split
from recycle.errors import FootageError


def write_footage(folder: Path, shots: list[int], size: tuple[int, int] = (8, 10)) -> Path:
    """Frames whose grey level is their number."""
    folder.mkdir(parents=True)
    rows: list[dict[str, object]] = []
    for shot, length in enumerate(shots):
        for _ in range(length):
            number = len(rows)
            cv2.imwrite(str(folder / f"{number:06d}.png"), np.full((*size, 3), number, np.uint8))
            rows.append({"file": f"{number:06d}.png", "shot": shot, "pts": number})
    manifest = {"width": size[1], "height": size[0], "frames": rows}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def numbers(clip: torch.Tensor) -> tuple[int, ...]:
    return tuple(int(frame[0, 0, 0]) for frame in clip)


def test_clips_stay_within_shots_and_gaps(tmp_path: Path) -> None:
    folder = write_footage(tmp_path / "x", [5, 4])
    (folder / "000002.png").unlink()  # a user deletes a bad frame: 0 1 | 3 4 | 5 6 7 8
    domain = DomainClips(find_shots(folder), name="a", frames=2, strides=(1, 1), seed=0)
    epoch = sorted(numbers(domain.clip(i)) for i in range(len(domain.windows)))
    assert epoch == [(0, 1), (3, 4), (5, 6), (6, 7), (7, 8)]


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    frames=st.integers(1, 4),
    stride=st.integers(1, 3),
)
def test_every_window_of_the_stride_comes_once_per_epoch(lengths: list[int], frames: int, stride: int) -> None:
    shots = [Shot(tuple(Path(f"{s}-{i}") for i in range(n)), 4, 4) for s, n in enumerate(lengths)]
    span = (frames - 1) * stride + 1
    expected = sum(max(0, n - span + 1) for n in lengths)
    if expected == 0:
        with pytest.raises(FootageError, match="too little footage"):
            DomainClips(shots, name="a", frames=frames, strides=(stride, stride), seed=0)
        return
    domain = DomainClips(shots, name="a", frames=frames, strides=(stride, stride), seed=0)
    assert len(domain.windows) == len(set(domain.windows)) == expected
    assert all(start + span <= lengths[shot] for shot, start in domain.windows)


def test_strided_clips_skip_frames(tmp_path: Path) -> None:
    domain = DomainClips(find_shots(write_footage(tmp_path / "x", [7])), name="a", frames=3, strides=(2, 2), seed=0)
    assert sorted(numbers(domain.clip(i)) for i in range(3)) == [(0, 2, 4), (1, 3, 5), (2, 4, 6)]


def test_a_random_stride_is_drawn_for_each_clip_and_stays_within_the_shot(tmp_path: Path) -> None:
    domain = DomainClips(find_shots(write_footage(tmp_path / "x", [9])), name="a", frames=3, strides=(1, 3), seed=0)
    drawn = Counter()  # type: ignore[var-annotated]
    for number in range(40 * len(domain.windows)):
        first, second, third = numbers(domain.clip(number))
        assert second - first == third - second
        drawn[first, second - first] += 1
    assert set(drawn) == {(start, stride) for start in range(7) for stride in (1, 2, 3) if start + 2 * stride <= 8}


def test_paired_clips_are_the_same_frames_cut_at_the_same_place(tmp_path: Path) -> None:
    shots = find_shots(write_footage(tmp_path / "x", [6, 5], (8, 10)))
    narrow = find_shots(write_footage(tmp_path / "y", [3], (8, 6)))
    a, b = (DomainClips([*shots, *narrow], name=name, frames=2, strides=(1, 2), seed=0) for name in "ab")
    clips = PairedClips(a, b, 30)
    for number in range(30):
        one, other = clips[number]
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert len({numbers(clips[i][0]) for i in range(30)}) > 8


def test_paired_shots_end_where_either_side_was_cut(tmp_path: Path) -> None:
    one = find_shots(write_footage(tmp_path / "a" / "x", [6, 4]))
    other = find_shots(write_footage(tmp_path / "b" / "x", [3, 7]))
    a, b = align(one, other)
    assert [len(shot.files) for shot in a] == [len(shot.files) for shot in b] == [3, 3, 4]
    assert [file.name for shot in a for file in shot.files] == [file.name for shot in b for file in shot.files]


def test_paired_footage_that_does_not_correspond_is_an_error(tmp_path: Path) -> None:
    one = find_shots(write_footage(tmp_path / "a" / "x", [6]))
    other = find_shots(write_footage(tmp_path / "b" / "y", [5]))
    with pytest.raises(FootageError, match="x has 6 frames, y has 5"):
        align(one, other)
    with pytest.raises(FootageError, match="a has 1, b has 2"):
        align(one, [*one, *other])


def test_the_two_domains_are_drawn_independently_and_every_epoch_anew(tmp_path: Path) -> None:
    shots = find_shots(write_footage(tmp_path / "x", [20]))
    a, b = (DomainClips(shots, name=name, frames=1, strides=(1, 1), seed=0) for name in "ab")
    first, second = ([numbers(a.clip(e * 20 + i)) for i in range(20)] for e in (0, 1))
    assert sorted(first) == sorted(second) == [(i,) for i in range(20)]
    assert first != second
    assert first != [numbers(b.clip(i)) for i in range(20)]
    assert first != [numbers(DomainClips(shots, name="a", frames=1, strides=(1, 1), seed=1).clip(i)) for i in range(20)]


def test_clips_are_cropped_to_the_size_anywhere_in_the_frame(tmp_path: Path) -> None:
    folder = write_footage(tmp_path / "x", [2], (8, 10))
    ramp = np.arange(80, dtype=np.uint8).reshape(8, 10, 1).repeat(3, 2)
    for file in folder.glob("*.png"):
        cv2.imwrite(str(file), ramp)
    domain = DomainClips(find_shots(folder), name="a", frames=2, size=(4, 6), seed=0)
    places = set()
    for number in range(300):
        clip = domain.clip(number)
        top, left = divmod(int(clip[0, 0, 0, 0]), 10)
        assert torch.equal(
            clip, torch.from_numpy(ramp[top : top + 4, left : left + 6]).permute(2, 0, 1).expand(2, -1, -1, -1)
        )
        places.add((top, left))
    assert places == {(top, left) for top in range(5) for left in range(5)}


def test_a_loading_process_ignores_signals_that_reach_a_whole_terminal() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        _start_loading(0)
        assert {signal.getsignal(number) for number in before} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_started_later_continues_the_same_samples(tmp_path: Path, workers: int) -> None:
    shots = find_shots(write_footage(tmp_path / "x", [9]))
    a, b = (DomainClips(shots, name=name, frames=2, strides=(1, 1), seed=4) for name in "ab")
    clips = UnpairedClips(a, b, 20)
    whole = [(numbers(clips[i][0]), numbers(clips[i][1])) for i in range(20)]
    state = torch.get_rng_state()
    loader = load_clips(clips, first=6, batch_size=2, workers=workers)
    loaded = [(numbers(x), numbers(y)) for batch_a, batch_b in loader for x, y in zip(batch_a, batch_b, strict=True)]
    assert loaded == whole[6:]
    assert torch.equal(torch.get_rng_state(), state)


def test_processes_share_the_samples_of_a_larger_batch(tmp_path: Path) -> None:
    shots = find_shots(write_footage(tmp_path / "x", [9]))
    a, b = (DomainClips(shots, name=name, frames=2, seed=4) for name in "ab")
    clips = UnpairedClips(a, b, 18)
    alone = [numbers(x) for batch, _ in load_clips(clips, first=6, batch_size=6, workers=0) for x in batch]
    loaders = [load_clips(clips, first=6 + 2 * rank, batch_size=2, every=6, workers=0) for rank in range(3)]
    shared = [numbers(x) for step in zip(*loaders, strict=True) for batch, _ in step for x in batch]
    assert shared == alone
    assert len(alone) == 12


def test_frames_of_different_sizes_are_cut_to_the_smallest(tmp_path: Path) -> None:
    write_footage(tmp_path / "all" / "x", [4], (8, 16))
    write_footage(tmp_path / "all" / "y", [4], (12, 10))
    domain = DomainClips(find_shots(tmp_path / "all"), name="a", frames=2, strides=(1, 1), seed=0)
    assert Counter(domain.clip(i).shape for i in range(6)) == {(2, 3, 8, 10): 6}


def test_held_out_frames_are_never_trained_on(tmp_path: Path) -> None:
    halves = split(find_shots(write_footage(tmp_path / "x", [60, 60])), held_out=8)
    trained = {file for shot in halves.train for file in shot.files}
    assert len(halves.held_out.files) == 8
    assert not trained & set(halves.held_out.files)
    assert len(trained) == 112
    assert halves.unseen


@pytest.mark.parametrize(
    ("lengths", "shot", "count"),
    [([60, 40, 3], 1, 8), ([60, 7, 40], 2, 8), ([6, 7, 6, 60, 5], 3, 8), ([7] * 20, 19, 7)],
)
def test_the_end_of_the_last_long_enough_shot_is_held_out(
    lengths: list[int], shot: int, count: int, tmp_path: Path
) -> None:
    shots = find_shots(write_footage(tmp_path / "x", lengths))
    halves = split(shots, held_out=8)
    assert halves.held_out.files == shots[shot].files[-count:]
    assert halves.unseen
    assert sum(len(own.files) for own in halves.train) == sum(lengths) - count
    assert not {file for own in halves.train for file in own.files} & set(halves.held_out.files)


def test_too_little_footage_to_hold_out_is_detected(tmp_path: Path) -> None:
    assert not split(find_shots(write_footage(tmp_path / "x", [20, 19])), held_out=8).unseen
    assert not split(find_shots(write_footage(tmp_path / "y", [3] * 30)), held_out=8).unseen


def test_the_error_for_missing_footage_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="holds no extracted footage; make it with 'recycle extract"):
        find_shots(tmp_path)


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    folder = write_footage(tmp_path / "x", [3])
    (folder / "000001.png").write_bytes(b"not a picture")
    with pytest.raises(FootageError, match=r"000001\.png"):
        find_shots(folder)[0].read(1)


def changes(augment: Augment, *seeds: int) -> Tensor:
    return torch.from_numpy(np.array([augment.draw([seed]) for seed in seeds]))


def test_augmentation_changes_all_frames_of_a_clip_alike_and_clips_of_a_batch_differently() -> None:
    frame = torch.randint(0, 256, (1, 1, 3, 16, 20), dtype=torch.uint8)
    augment = Augment(AugmentSettings())
    out = augment(frame.expand(32, 3, 3, 16, 20), changes(augment, *range(32)))
    assert out.shape == (32, 3, 3, 16, 20)
    assert out.abs().max() <= 1
    for t in (1, 2):
        torch.testing.assert_close(out[:, t], out[:, 0], rtol=0, atol=0)
    assert len({tuple(clip[0].flatten()[:50].tolist()) for clip in out}) > 20


def test_augmentation_depends_on_the_seed_of_its_clip_alone() -> None:
    clips = torch.randint(0, 256, (2, 3, 3, 16, 16), dtype=torch.uint8)
    augment = Augment(AugmentSettings())
    before, drawn = torch.get_rng_state(), str(np.random.get_state())
    both = augment(clips, changes(augment, 5, 6))
    torch.testing.assert_close(augment(clips, changes(augment, 5, 6)), both, rtol=0, atol=0)
    torch.testing.assert_close(augment(clips[1:], changes(augment, 6)), both[1:], rtol=0, atol=0)  # whatever its batch
    assert not torch.equal(augment(clips[:1], changes(augment, 6)), both[:1])
    assert torch.equal(torch.get_rng_state(), before)
    assert str(np.random.get_state()) == drawn


def test_half_of_the_clips_are_flipped_and_most_change_their_colours_within_the_strength() -> None:
    augment = Augment(AugmentSettings(colour=0.1))
    flip, brightness, contrast, saturation = changes(augment, *range(2000)).unbind(1)
    assert flip.unique().tolist() == [0, 1]
    assert 0.45 < float(flip.mean()) < 0.55
    for change in (brightness, contrast - 1, saturation - 1):
        assert float(change.abs().max()) == pytest.approx(0.1, abs=1e-3)
        assert 0.75 < float((change != 0).float().mean()) < 0.85
        assert abs(float(change.mean())) < 0.01


def test_colours_change_by_their_formulas() -> None:
    """Brightness is added, contrast multiplies, and saturation is the distance from the grey of ITU-R BT.601."""
    clip = torch.randint(60, 190, (1, 1, 3, 4, 6), dtype=torch.uint8)
    out = Augment(AugmentSettings(colour=0.2))(clip, torch.tensor([[1.0, 0.1, 0.8, 1.2]]))
    x = ((clip / 255 + 0.1) * 0.8).flip(-1)
    grey = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(2, keepdim=True)
    torch.testing.assert_close(out, (grey + 1.2 * (x - grey)) * 2 - 1, rtol=0, atol=1e-5)


def test_without_changes_frames_are_only_scaled() -> None:
    clips = torch.randint(0, 256, (1, 2, 3, 8, 8), dtype=torch.uint8)
    augment = Augment(AugmentSettings(flip=False, colour=0))
    torch.testing.assert_close(augment(clips, changes(augment, 0)), clips / 127.5 - 1)
