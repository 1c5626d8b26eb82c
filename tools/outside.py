"""Measures how much models change the inside and the outside of masks, and whether objects look like the target's.

python -m tools.outside FRAMES MASKS --target FRAMES --target-masks MASKS --to camel --model runs/plain/model
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray

from recycle.networks.distance import kernel_distance
from recycle.translation.translator import Translator
from recycle.video.frame import Pixels
from recycle.video.image_file import read_image
from recycle.video.masks import weights_of
from recycle.video.numbered import numbered_images
from tools.reproduction.judge import LINES, STRIDES, describe

SHOWN = 3
"""Number of frames on the sheet."""


def difference(x: NDArray[np.uint8], y: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """Mean absolute difference of two pictures (H, W, 3) where `where` (H, W) is true, in levels of 255."""
    return float(np.abs(x[where].astype(int) - y[where]).mean())


def resized(x: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """The picture reduced to `short_side` and enlarged again."""
    scale = short_side / min(x.shape[:2])
    small = cv2.resize(x, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (x.shape[1], x.shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def objects(pictures: Sequence[Pixels], insides: Sequence[NDArray[np.bool_]]) -> list[Pixels]:
    """The box around the object of each picture, enlarged by a tenth, as a square of judge.LINES pixels."""
    found = []
    for picture, inside in zip(pictures, insides, strict=True):
        box = []
        for axis, length in enumerate(inside.shape):
            (places,) = np.nonzero(inside.any(1 - axis))
            margin = (places[-1] - places[0]) // 20
            box.append(slice(max(0, places[0] - margin), min(length, places[-1] + margin + 1)))
        found.append(cv2.resize(picture[tuple(box)], (LINES, LINES), interpolation=cv2.INTER_CUBIC))
    return found


def opened(frames: Path, masks: Path) -> tuple[list[Pixels], list[NDArray[np.bool_]]]:
    """Pictures, and where their masks are white."""
    pictures = [np.asarray(read_image(file), dtype=np.uint8) for file in numbered_images(frames)]
    files = zip(pictures, numbered_images(masks), strict=True)
    return pictures, [weights_of(read_image(mask), picture.shape[:2], 0) > 0 for picture, mask in files]


def main(
    frames: Annotated[Path, typer.Argument(help="Folder of numbered frames.")],
    masks: Annotated[Path, typer.Argument(help="Folder of their masks; white is inside.")],
    target: Annotated[Path, typer.Option(help="Folder of frames of that domain.")],
    target_masks: Annotated[Path, typer.Option(help="Folder of their masks.")],
    to: Annotated[str, typer.Option(help="Domain to translate to.")],
    model: Annotated[list[Path], typer.Option(help="Folder of a run (repeatable).")],
    sheet: Annotated[Path | None, typer.Option(help="Picture to write: each source beside its translations.")] = None,
) -> None:
    """Print a row for each model.

    inside, outside: mean absolute difference from the source, in levels of 255, on the last tenth of the frames, which
    training holds out. kd_mid, kd_deep: distance of the objects of all frames from those of the target, as in
    tools.reproduction.judge; lower is better. The first row is that of a model that changes nothing at the size at
    which the first model runs.
    """
    pictures, insides = opened(frames, masks)
    wanted = describe(objects(*opened(target, target_masks)))
    held_out = slice(-max(1, len(pictures) // 10), None)
    translators = [Translator.from_pretrained(folder, device="cpu") for folder in model]
    assert translators[0].bundle is not None
    columns = [pictures, [resized(x, translators[0].bundle.config.short_side) for x in pictures]]
    columns += [[translator(x, to=to) for x in pictures] for translator in translators]
    typer.echo("| model | inside | outside | kd_mid | kd_deep |\n|---|---|---|---|---|")
    for name, made in zip(("nothing but the size", *map(str, model)), columns[1:], strict=True):
        found = list(zip(pictures[held_out], made[held_out], insides[held_out], strict=True))
        inside, outside = (np.mean([difference(x, y, w == kept) for x, y, w in found]) for kept in (True, False))
        shown = describe(objects(made, insides))
        mid, deep = (
            kernel_distance(torch.from_numpy(shown[figure]), torch.from_numpy(wanted[figure])) for figure in STRIDES
        )
        typer.echo(f"| {name} | {inside:.1f} | {outside:.1f} | {mid:.3f} | {deep:.3f} |")
    if sheet is not None:
        rows = [np.hstack(row) for row in list(zip(*columns, strict=True))[held_out]]
        rows = rows[:: -(-len(rows) // SHOWN)]
        cv2.imwrite(str(sheet), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    typer.run(main)
