"""Masks: only what is inside is translated; the outside is the source, bit for bit."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle import translate
from recycle.batch.engine import BatchReport
from recycle.config import TranslateSettings, parse_settings
from recycle.errors import ConfigError, FootageError, Interrupted
from recycle.events import Event, Job, Notice
from recycle.networks.bundle import Bundle
from recycle.rendering.parts import split
from recycle.rendering.span import Span
from recycle.rendering.work import SEGMENT
from recycle.translation.finish import masks_of
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from recycle.video.frame import Frame
from recycle.video.kinds import open_source
from recycle.video.masks import identify, open_masks, weights_of
from recycle.video.motion import Background
from tests.jobs import interrupted_at
from tests.sources import Camera
from tests.translation.conftest import MakeVideo

Pictures = NDArray[np.uint8]
RATE = 25
LOSSLESS = TranslateSettings(codec="ffv1", batch_size=3).model_copy(update={"feather": 2})


def discs(count: int, height: int = 48, width: int = 64) -> Iterator[Pictures]:
    """White discs on black that move by a pixel from frame to frame."""
    for number in range(count):
        picture = np.zeros((height, width, 3), np.uint8)
        cv2.circle(picture, (10 + number % 40, height // 2), 9, (255, 255, 255), -1)
        yield picture


def film(path: Path, pictures: Iterator[Pictures], *, fps: int | Fraction = RATE, codec: str = "ffv1") -> Path:
    write_video(path, pictures, fps=fps, settings=TranslateSettings(codec=codec))
    return path


def images(folder: Path, pictures: Iterator[Pictures]) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number:05d}.png"), picture)
    return folder


def frames_of(path: Path) -> list[Pictures]:
    with VideoReader(path) as reader:
        return [np.asarray(frame.pixels, dtype=np.uint8) for frame in reader]


def made(source: Path, output: Path, bundle: Bundle | None, **changes: Any) -> list[Pictures]:
    chosen = LOSSLESS.model_copy(update=changes)
    Translator(bundle, device="cpu", precision="fp32").translate_video(source, output, to="b", settings=chosen)
    return frames_of(output)


def inside(picture: Pictures) -> NDArray[np.bool_]:
    return np.asarray(picture[..., 0] >= 128)


@pytest.mark.parametrize(
    ("kind", "more"),
    [("video", {}), ("folder", {}), ("still", {"stabilise": 0.5, "smoothing": True})],
    ids=["video", "folder", "still"],
)
def test_the_outside_is_the_identity_and_the_middle_is_the_translation(
    kind: str, more: dict[str, Any], make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    source, wanted = make_video(audio=False), list(discs(20))
    if kind == "still":
        wanted = [wanted[7]] * 20
        mask = tmp_path / "still.png"
        cv2.imwrite(str(mask), wanted[0])
    elif kind == "folder":
        mask = images(tmp_path / "masks", iter(wanted))
    else:
        mask = film(tmp_path / "mask.mkv", iter(wanted))
    identity = made(source, tmp_path / "same.mkv", None)
    out = made(source, tmp_path / "out.mkv", bundle, mask=mask, **more)
    everywhere = made(source, tmp_path / "all.mkv", bundle, strength=0.9999999, **more)  # at the same size
    for own, same, other, picture in zip(out, identity, everywhere, wanted, strict=True):
        assert np.array_equal(own[~inside(picture)], same[~inside(picture)])
        middle = weights_of(picture, picture.shape[:2], 2) == 1
        assert middle.sum() > 50
        assert np.abs(own[middle].astype(int) - other[middle]).max() <= 1
        assert np.abs(own[middle].astype(int) - same[middle]).max() > 20
    assert np.array_equal(made(source, tmp_path / "id.mkv", None, mask=mask), identity)


def test_the_edge_lies_inside_and_is_as_wide_as_asked() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:50] = 255
    weights = weights_of(mask, (40, 60), 4)
    assert weights[:10].max() == weights[30:].max() == weights[:, :10].max() == 0
    assert np.allclose(weights[10:16, 30], [0.2, 0.4, 0.6, 0.8, 1, 1])
    assert np.array_equal(weights_of(mask, (40, 60), 0), mask / 255)
    assert np.allclose(weights_of(mask, (400, 600), None)[100:105, 300], [0.2, 0.4, 0.6, 0.8, 1])
    assert weights_of(np.full_like(mask, 127), (40, 60), 0).max() == 0
    assert weights_of(np.full_like(mask, 255), (40, 60), 9).min() == 1
    noisy = np.clip(mask.astype(int) + np.random.default_rng(0).integers(-60, 61, mask.shape), 0, 255).astype(np.uint8)
    assert np.array_equal(weights_of(noisy, (40, 60), 4), weights)


@pytest.mark.parametrize(("fps", "size"), [(10, (24, 32)), (50, (96, 128)), (Fraction(30000, 1001), (48, 64))])
def test_a_mask_of_another_rate_and_size_is_matched_by_time(
    fps: Fraction, size: tuple[int, int], make_video: MakeVideo, tmp_path: Path
) -> None:
    source, grey = make_video(audio=False), [np.full((*size, 3), 200 if n % 2 else 0, np.uint8) for n in range(60)]
    mask = film(tmp_path / "mask.mkv", iter(grey), fps=fps)
    with open_source(source) as reader, open_masks(mask, reader, feather=0) as masks, open_source(mask) as other:
        times = [frame.seconds for frame in other.read()]
        for frame in reader:
            nearest = min(range(60), key=lambda n: abs(times[n] - frame.seconds))
            weights = masks(frame)
            assert weights.shape == frame.pixels.shape[:2]
            assert weights.max() == weights.min() == nearest % 2


def test_images_belong_to_frames_by_number_even_if_the_rate_varies(make_video: MakeVideo, tmp_path: Path) -> None:
    stamps = np.cumsum([0, *np.random.default_rng(1).integers(100, 2000, 19)]).tolist()
    source, wanted = make_video(stamps=stamps, audio=False), list(discs(20))
    folder = images(tmp_path / "masks", iter(wanted))
    for mask in (folder, folder / "%05d.png"):
        with open_source(source) as reader, open_masks(mask, reader, feather=0) as masks:
            for frame, picture in zip(reader, wanted, strict=True):
                assert np.array_equal(masks(frame) > 0, inside(picture))
        assert identify(mask)


def test_masks_start_with_their_source_and_can_be_asked_in_any_order(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video(stamps=range(90_000, 90_000 + 20 * 512, 512), audio=False)
    mask, wanted = film(tmp_path / "mask.mkv", discs(20)), list(discs(20))
    with open_source(source) as reader, open_masks(mask, reader, feather=0) as masks:
        frames = list(reader)
        assert frames[0].seconds > 7
        for number in (3, 4, 17, 0, 19, 18, 2):
            assert np.array_equal(masks(frames[number]) > 0, inside(wanted[number]))


@pytest.mark.parametrize("kind", ["mkv", "folder"])
def test_a_mask_that_is_too_short_is_one_clear_error_before_the_work(
    kind: str, make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    source = make_video(audio=False)
    name = tmp_path / "mask"
    mask = film(name.with_suffix(".mkv"), discs(12)) if kind == "mkv" else images(name, discs(19))
    why = r"has 19 images, but its source has at least 20 frames" if kind == "folder" else r"ends 0\.44 s after"
    out = tmp_path / "out.mkv"
    with pytest.raises(FootageError, match=why) as caught:
        made(source, out, bundle, mask=mask)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    translator, chosen = Translator(bundle, device="cpu"), LOSSLESS.model_copy(update={"mask": mask})
    part = Span(None, Fraction(2, 5))
    assert translator.translate_video(source, out, to="b", settings=chosen, span=part).frames == 10


@pytest.mark.parametrize("kind", ["video", "folder", "still"])
def test_it_is_said_before_the_work_that_a_mask_is_stretched(kind: str, make_video: MakeVideo, tmp_path: Path) -> None:
    source, tall = make_video(stamps=range(0, 2048, 512)), discs(4, height=64, width=48)
    match kind:
        case "video":
            mask = film(tmp_path / "mask.mkv", tall)
        case "folder":
            mask = images(tmp_path / "mask", tall)
        case _:
            mask = images(tmp_path / "mask", tall) / "00000.png"
    heard: list[str] = []
    job = Job(lambda event: heard.append(event.text) if isinstance(event, Notice) else None)
    settings = LOSSLESS.model_copy(update={"mask": mask})
    with masks_of(source, settings, job=job) as masks:
        assert heard == [
            f"the mask {mask} is 48×64, but its source is 64×48, so it is stretched to the source's shape; if that is "
            "wrong, stop, and pad, crop or rotate it"
        ]
        assert masks is not None


@pytest.mark.parametrize("width", [64, 128, 130])
def test_a_mask_may_have_the_shape_of_stored_or_of_shown_pixels(
    width: int, make_video: MakeVideo, tmp_path: Path
) -> None:
    wide = make_video(stamps=(0, 512), aspect=Fraction(2))  # 64×48 pixels, shown as 128×48
    mask = images(tmp_path / "masks", discs(1, width=width)) / "00000.png"
    with open_source(wide) as source, open_masks(mask, source) as masks:
        assert masks.note == ""
        assert masks(next(source.read()).develop()).shape == (48, 64)


def test_a_mask_without_stated_length_that_is_too_short_is_an_error_in_the_work(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = film(tmp_path / "mask.mkv", discs(12))
    monkeypatch.setattr("recycle.video.masks._Film._check", lambda self, end: None)
    with pytest.raises(FootageError, match=r"ends 0\.44 s after its start, but its source has a frame at 0\.52 s"):
        made(make_video(audio=False), tmp_path / "out.mkv", bundle, mask=mask)


@pytest.mark.parametrize("name", ["none.mkv", "text.txt", "text.png"])
def test_a_mask_that_cannot_be_read_is_one_clear_error(
    name: str, make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    for other in ("text.txt", "text.png"):
        (tmp_path / other).write_text("no picture")
    with pytest.raises(FootageError, match=name) as caught:
        made(make_video(audio=False), tmp_path / "out.mkv", bundle, mask=tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.mkv").exists()


def street(count: int, height: int = 48, width: int = 64) -> Iterator[Pictures]:
    """A fixed, noisy background with a box that crosses it."""
    random = np.random.default_rng(3)
    ground = cv2.GaussianBlur(random.integers(40, 200, (height, width, 3)).astype(np.uint8), (0, 0), 3)
    for number in range(count):
        picture = np.clip(ground + random.normal(0, 2, ground.shape), 0, 255).astype(np.uint8)
        x = number * 3 % (width + 16) - 16
        picture[14:34, max(0, x) : max(0, x + 14)] = (250, 30, 220)
        yield picture


@pytest.mark.parametrize("colour", [(0, 0, 0), (1, 1, 1), (128, 0, 0)], ids=["black", "0 and 1", "a label"])
def test_a_mask_without_white_is_named(colour: tuple[int, int, int], bundle: Bundle, tmp_path: Path) -> None:
    """A still one before the work; a film may show its object later, so it is named in the end."""
    clip, pictures = film(tmp_path / "clip.mkv", discs(3)), [np.full((48, 64, 3), colour, np.uint8)] * 3
    pictures[1] = np.zeros((48, 64, 3), np.uint8)
    still, masks = tmp_path / "still.png", images(tmp_path / "masks", iter(pictures))
    cv2.imwrite(str(still), pictures[0])
    said: list[Event] = []
    for mask in (masks, still):
        how = {"to": "b", "settings": LOSSLESS.model_copy(update={"mask": mask}), "job": Job(said.append)}
        if mask == masks:
            Translator(bundle).translate_video(clip, tmp_path / "masks.mkv", **how)  # type: ignore[arg-type]
            (text,) = (event.text for event in said if isinstance(event, Notice) and "inside" in event.text)
        else:
            with pytest.raises(FootageError, match="has nothing inside") as caught:
                Translator(bundle).translate_video(clip, tmp_path / "still.mkv", **how)  # type: ignore[arg-type]
            text = str(caught.value)
        assert text.startswith(f"the mask {mask} has nothing inside: its brightest level is ")


def test_motion_finds_what_moves_before_a_fixed_camera(tmp_path: Path) -> None:
    source = film(tmp_path / "street.mkv", street(70))
    with open_source(source) as reader:
        background = Background(reader)
    for frame in frames_of(source):
        box, mask = (frame[..., 0] > 225) & (frame[..., 1] < 60), background.moving(frame) > 0
        if box.sum() > 100:
            assert mask[box].mean() > 0.99
        assert mask.sum() <= 32 * 26  # the box and its margin
        assert np.array_equal(background.moving(frame), background.moving(frame))


def test_motion_needs_a_source_that_can_be_read_twice() -> None:
    with pytest.raises(FootageError, match="live"), open_masks("motion", Camera(Path("camera:0"))):
        pass


@pytest.mark.parametrize("mask", ["motion", "video"])
def test_an_interrupted_translation_and_one_in_parts_are_the_uninterrupted_one(
    mask: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recycle.rendering.parts.PART", SEGMENT)
    count = 2 * SEGMENT + 10
    source = film(tmp_path / "street.mkv", street(count, 32, 48), codec="h264")
    given = "motion" if mask == "motion" else film(tmp_path / "mask.mkv", discs(count, 32, 48), codec="h264")
    chosen = LOSSLESS.model_copy(update={"mask": given, "keep_colour": True})
    translator = Translator(bundle, device="cpu")

    def convert(name: str, **how: Any) -> list[bytes]:
        translator.translate_video(source, tmp_path / name, to="b", settings=chosen, **how)
        return [frame.tobytes() for frame in frames_of(tmp_path / name)]

    whole = convert("whole.mkv")
    with pytest.raises(Interrupted, match="frames are kept"):
        convert("out.mkv", job=interrupted_at(SEGMENT + 1))
    assert convert("out.mkv") == whole
    output = tmp_path / "parts.mkv"
    parts = split(source, output, settings=chosen, key=translator.key("b", chosen))
    assert len(parts) == 3
    for part in reversed(parts):
        translator.translate_part(source, output, part, to="b", settings=chosen)
    report = translator.translate_video(source, output, to="b", settings=chosen)
    assert report.resumed == count
    assert [frame.tobytes() for frame in frames_of(output)] == whole


def test_another_mask_is_another_key(bundle: Bundle, tmp_path: Path) -> None:
    translator, plain = Translator(bundle, device="cpu"), TranslateSettings()
    first, second = film(tmp_path / "1.mkv", discs(5)), film(tmp_path / "2.mkv", discs(6))
    chosen = [plain.model_copy(update={"mask": mask}) for mask in (None, first, second, "motion")]
    chosen.append(plain.model_copy(update={"mask": first, "feather": 3}))
    assert len({str(translator.key("b", one)) for one in chosen}) == len(chosen)
    assert "mask" not in translator.key("b", plain)
    assert "mask" not in plain.record()
    assert identify(first) != identify(second)


def test_a_folder_of_videos_takes_a_folder_of_masks_of_the_same_names(
    make_video: MakeVideo, bundle: Bundle, tmp_path: Path
) -> None:
    films, masks = tmp_path / "films", tmp_path / "masks"
    for folder in (films / "sub", masks / "sub"):
        folder.mkdir(parents=True)
    for name in ("one.mp4", "sub/two.mp4", "three.mp4"):
        make_video(audio=False).rename(films / name)
    film(masks / "one.mkv", discs(20))
    images(masks / "sub" / "two", discs(20))
    translator = Translator(bundle, device="cpu", precision="fp32")
    how: dict[str, Any] = {"model": translator, "to": "b", "mask": masks, "feather": 1, "codec": "ffv1"}
    report = translate(films, tmp_path / "out", **how)
    assert isinstance(report, BatchReport)
    assert sorted(report.done) == ["one.mp4", "sub/two.mp4"]
    assert [name for name, _ in report.failed] == ["three.mp4"]
    assert "there is no mask" in report.failed[0][1]
    for name in ("one", "sub/two"):
        same = made(films / f"{name}.mp4", tmp_path / "same.mkv", None)
        (tmp_path / "same.mkv").unlink()
        for own, other, picture in zip(frames_of(tmp_path / "out" / f"{name}.mp4"), same, discs(20), strict=True):
            assert np.array_equal(own[~inside(picture)], other[~inside(picture)])
            assert not np.array_equal(own, other)
    again = translate(films, tmp_path / "out", **how)
    assert isinstance(again, BatchReport)
    assert sorted(again.skipped) == ["one.mp4", "sub/two.mp4"]
    film(masks / "one.mkv", discs(21))
    changed = translate(films, tmp_path / "out", **how)
    assert isinstance(changed, BatchReport)
    assert changed.skipped == ["sub/two.mp4"]


def test_a_feather_without_a_mask_is_refused() -> None:
    with pytest.raises(ConfigError, match="feather"):
        parse_settings(TranslateSettings, {"feather": 3})


def test_frames_take_masks_from_a_function(bundle: Bundle) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3)).astype(np.uint8)
    frames = [Frame(picture, number, Fraction(1, 25)) for number, picture in enumerate(pixels)]
    left = np.repeat([[1.0] * 16 + [0.0] * 16], 24, axis=0).astype(np.float32)
    out = list(Translator(bundle, device="cpu").translate_frames(frames, to="b", masks=lambda frame: left))
    for own, frame in zip(out, frames, strict=True):
        assert np.array_equal(own[:, 16:], frame.pixels[:, 16:])
        assert not np.array_equal(own[:, :16], frame.pixels[:, :16])
