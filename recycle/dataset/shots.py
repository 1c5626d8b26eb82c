"""Shots: extracted frames of one source without a cut or a gap between them."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recycle.dataset.files import Files
from recycle.dataset.manifest import MASKS, manifests_in
from recycle.errors import FootageError
from recycle.video.image_file import read_image


@dataclass(frozen=True)
class Shot:
    """Contiguous extracted frames of one source: image files in order, all of one size in pixels."""

    files: Sequence[Path]
    width: int
    height: int
    interval: float = 0.0
    """Median seconds between consecutive frames; 0 if unknown."""
    grey: bool = False
    """Whether its source has one channel, which the frames repeat."""
    masked: bool = False
    """Whether there is a mask beside each frame."""

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Frame `index` as uint8 RGB (H, W, 3). Raises FootageError if it is damaged, truncated or of another size."""
        try:
            image = read_image(self.files[index])
        except FootageError as error:
            raise FootageError(f"cannot read a frame: {error}; delete it and start again") from error
        if image.shape[:2] != (self.height, self.width):
            raise FootageError(
                f"{self.files[index]} is {image.shape[1]}x{image.shape[0]}, expected {self.width}x{self.height}; "
                "delete it or extract the footage again"
            )
        return np.asarray(image, np.uint8)

    def read(self, index: int) -> Tensor:
        """Frame `index` as uint8 RGB (3, H, W). Raises as `pixels`."""
        return torch.from_numpy(self.pixels(index)).permute(2, 0, 1)

    def read_masked(self, index: int) -> Tensor:
        """Frame `index`, and its mask as a fourth channel (255 inside): uint8 (4, H, W). Raises as `pixels`."""
        file = self.files[index]
        mask = read_image(file.parent / MASKS / f"{file.stem}.png")
        return torch.cat((self.read(index), torch.from_numpy(mask[..., :1]).permute(2, 0, 1)))


def find_shots(folder: Path) -> list[Shot]:
    """All shots in the folders that `recycle extract` wrote: `folder` itself or its subfolders.

    A frame that the manifest lists but that no longer exists ends the shot. Raises FootageError if there is no
    extracted footage or a manifest is damaged.
    """
    manifests = sorted(manifests_in(folder))
    if not manifests:
        raise FootageError(f"{folder} holds no extracted footage; make it with 'recycle extract VIDEO… --out {folder}'")
    return [shot for manifest in manifests for shot in _shots_of(manifest)]


def _shots_of(manifest: Path) -> list[Shot]:
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
        width, height = int(data["width"]), int(data["height"])
        rows = [(str(row["file"]), int(row["shot"])) for row in data["frames"]]
        interval = _interval(data)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FootageError(f"{manifest} is not a manifest of 'recycle extract'; extract the footage again") from error
    present = {entry.name for entry in os.scandir(manifest.parent)}
    runs: list[list[str]] = []
    previous = None
    for name, shot in rows:
        if name not in present:
            previous = None
            continue
        if shot != previous:
            runs.append([])
        runs[-1].append(name)
        previous = shot
    kind = {"grey": data.get("grey") is True, "masked": bool(data.get("masks"))}
    return [Shot(Files.of(manifest.parent, names), width, height, interval, **kind) for names in runs]


def _interval(manifest: dict[str, Any]) -> float:
    """Median seconds between frames within a shot; 0 if the manifest does not state times."""
    if "time_base" not in manifest:
        return 0.0
    shots, times = (np.array([int(row[key]) for row in manifest["frames"]]) for key in ("shot", "pts"))
    steps = np.diff(times)[np.diff(shots) == 0]
    return float(np.median(steps) * Fraction(manifest["time_base"])) if len(steps) else 0.0


def spread(shots: Sequence[Shot], count: int) -> list[NDArray[np.uint8]]:
    """At most `count` frames, evenly spread over all shots: uint8 RGB (H, W, 3) each. Raises FootageError as
    `Shot.pixels`."""
    total = sum(len(shot.files) for shot in shots)
    numbers = np.unique(np.linspace(0, total - 1, count).astype(int))
    return [shot.pixels(index) for shot, index in locate(shots, numbers)]


def locate(shots: Sequence[Shot], numbers: NDArray[np.int_]) -> list[tuple[Shot, int]]:
    """For each frame number, counted over all shots, its shot and its index in that shot."""
    ends = np.cumsum([len(shot.files) for shot in shots])
    owners = np.searchsorted(ends, numbers, side="right")
    return [(shots[s], int(n - ends[s] + len(shots[s].files))) for s, n in zip(owners, numbers, strict=True)]


@dataclass(frozen=True)
class Split:
    """Footage of one domain: shots for training, and one held-out run of frames for validation and previews."""

    train: tuple[Shot, ...]
    held_out: Shot
    unseen: bool
    """Whether the held-out frames are excluded from training."""


def split(shots: Sequence[Shot], held_out: int) -> Split:
    """Hold out `held_out` frames, but at most a tenth of all frames.

    They are the end of the last shot that is long enough, or of the longest shot if none is. If fewer than 4 frames
    could be held out, the end of the last shot is used for training as well. Raises FootageError if there are no
    frames.
    """
    total = sum(len(shot.files) for shot in shots)
    if total == 0:
        raise FootageError("the footage holds no frames")
    count = min(held_out, total // 10, max(len(shot.files) for shot in shots))
    if count < 4:
        last = shots[-1]
        return Split(tuple(shots), replace(last, files=last.files[-held_out:]), unseen=False)
    chosen = max(n for n, shot in enumerate(shots) if len(shot.files) >= count)
    shot = shots[chosen]
    rest = [replace(shot, files=shot.files[:-count])] if len(shot.files) > count else []
    train = (*shots[:chosen], *rest, *shots[chosen + 1 :])
    return Split(train, replace(shot, files=shot.files[-count:]), unseen=True)


def align(a: Sequence[Shot], b: Sequence[Shot]) -> tuple[list[Shot], list[Shot]]:
    """Shots of paired footage, in which the n-th frame of a corresponds to the n-th frame of b.

    A shot ends in both domains where a cut was found in one: cuts are easier to detect by day than by night. Raises
    FootageError if the domains have different numbers of sources, or corresponding sources different numbers of frames.
    """
    sources = [_by_source(shots) for shots in (a, b)]
    if len(sources[0]) != len(sources[1]):
        raise FootageError(
            "paired footage needs the same number of videos in both domains, in the same order; "
            f"a has {len(sources[0])}, b has {len(sources[1])}"
        )
    aligned: tuple[list[Shot], list[Shot]] = ([], [])
    for (name_a, one), (name_b, other) in zip(sources[0].items(), sources[1].items(), strict=True):
        counts = [sum(len(shot.files) for shot in shots) for shots in (one, other)]
        if counts[0] != counts[1]:
            raise FootageError(
                f"paired footage needs frame-by-frame counterparts: {name_a.name} has {counts[0]} frames, "
                f"{name_b.name} has {counts[1]}; extract both with drop_duplicates = 0"
            )
        cuts = sorted({0, counts[0], *_ends(one), *_ends(other)})
        for side, shots in zip(aligned, (one, other), strict=True):
            files = Files.of(shots[0].files[0].parent, (file.name for shot in shots for file in shot.files))
            side += [replace(shots[0], files=files[i:j]) for i, j in pairwise(cuts)]
    return aligned


def _by_source(shots: Sequence[Shot]) -> dict[Path, list[Shot]]:
    sources: dict[Path, list[Shot]] = {}
    for shot in shots:
        sources.setdefault(shot.files[0].parent, []).append(shot)
    return sources


def _ends(shots: Sequence[Shot]) -> list[int]:
    return list(accumulate(len(shot.files) for shot in shots))
