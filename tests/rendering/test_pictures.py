"""Images, numbered images and animations are written with their names, times, transparency, depth and metadata."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from recycle.batch.task import Folder, translate_all
from recycle.batch.threads import Threads
from recycle.config import TranslateSettings
from recycle.errors import ConfigError, FootageError, Interrupted, OutputError
from recycle.events import Event, Job, Progress
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.rendering.pictures import check_settings
from recycle.rendering.render import RenderReport
from recycle.rendering.work import work_folder
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from tests.networks.test_bundle import NETWORKS
from tests.video.conftest import moving, write

WIDTH, HEIGHT = 32, 24
DURATIONS = [50, 130, 20, 700]
"""Milliseconds; multiples of 10, so that a GIF holds them."""
IDENTITY = Translator(None, device="cpu")


def translate(source: Path, output: Path, *, by: Translator = IDENTITY, to: str = "b", **more: Any) -> RenderReport:
    return by.translate_video(source, output, to=to, **more)


def rgba(number: int) -> NDArray[np.uint8]:
    """Few colours, so that a palette holds them; a hole, and a half-transparent bar, that move."""
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[..., 0] = 60 * number
    picture[..., 1] = 8 * np.arange(WIDTH)
    picture[..., 3] = 255
    picture[2:10, 4 * number : 4 * number + 8, 3] = 0
    picture[12:16, 4 * number : 4 * number + 8, 3] = 200
    return picture


def animation(path: Path, *, loop: int = 3) -> Path:
    first, *others = [Image.fromarray(rgba(number)) for number in range(len(DURATIONS))]
    form = "PNG" if path.suffix in (".apng", ".png") else None
    more: dict[str, Any] = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
    if path.suffix == ".gif":
        more = {"disposal": 2}
    first.save(path, form, save_all=True, append_images=others, duration=DURATIONS, loop=loop, **more)
    return path


def looked_at(path: Path) -> tuple[list[int], int, list[NDArray[np.uint8]]]:
    """Durations, number of plays and RGBA frames, read by Pillow. A GIF counts repetitions."""
    with Image.open(path) as image:
        frames, durations = [], []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            frames.append(np.array(image.convert("RGBA")))
            durations.append(round(image.info["duration"]))
        loop = image.info.get("loop", 0 if path.suffix == ".gif" else 1)
        return durations, loop + 1 if path.suffix == ".gif" and loop else loop, frames


@pytest.mark.parametrize("target", [".gif", ".webp", ".apng", ".png"])
@pytest.mark.parametrize("origin", [".gif", ".webp", ".apng"])
def test_an_animation_keeps_durations_plays_and_transparency(tmp_path: Path, origin: str, target: str) -> None:
    source = animation(tmp_path / f"source{origin}")
    plays = 4 if origin == ".gif" else 3  # Pillow's number is that of the file: repetitions in a GIF
    translate(source, tmp_path / f"out{target}")
    durations, shown, frames = looked_at(tmp_path / f"out{target}")
    assert (durations, shown) == (DURATIONS, plays)
    on_or_off = ".gif" in (origin, target)
    for number, frame in enumerate(frames):
        truth = rgba(number)
        seen = truth[..., 3] > 0
        alpha = np.where(truth[..., 3] >= 128, 255, 0) if on_or_off else truth[..., 3]
        np.testing.assert_array_equal(frame[..., 3], alpha)
        assert np.abs(frame[..., :3].astype(int) - truth[..., :3])[seen].mean() < 4


def test_an_endless_animation_stays_endless_and_a_video_becomes_one(tmp_path: Path) -> None:
    translate(animation(tmp_path / "a.gif", loop=0), tmp_path / "b.webp")
    assert looked_at(tmp_path / "b.webp")[1] == 0
    write(tmp_path / "a.mp4", moving(5))
    report = translate(tmp_path / "a.mp4", tmp_path / "c.gif")
    assert (report.frames, looked_at(tmp_path / "c.gif")[:2]) == (5, ([40] * 5, 0))


def test_times_that_a_format_cannot_hold_do_not_drift_and_are_told(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving(30), pts=[round(index * 12800 / 30) for index in range(30)])
    report = translate(tmp_path / "a.mp4", tmp_path / "a.gif")
    assert "times are rounded to 0.01 s, the unit of this format; .apng keeps them exactly" in report.notices
    durations = looked_at(tmp_path / "a.gif")[0]
    assert set(durations) == {30, 40}
    assert abs(sum(durations) - 1000) <= 10


def test_sound_that_an_animation_cannot_hold_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving(3), audio=True)
    report = translate(tmp_path / "a.mp4", tmp_path / "a.webp")
    assert "left out, because .webp holds pictures only: stream 1 (audio, aac)" in report.notices


def deep(number: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(number).integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_and_one_channel_are_kept(tmp_path: Path, suffix: str, channels: int) -> None:
    samples = deep()[..., 0] if channels == 1 else np.dstack((deep(), deep(1)))[..., :channels]
    cv2.imwrite(str(tmp_path / f"a{suffix}"), samples)
    translate(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / f"b{suffix}"), cv2.IMREAD_UNCHANGED), samples)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_kept_in_numbered_images(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "in" / f"{number}{suffix}"), deep(number))
    translate(tmp_path / "in", tmp_path / "out" / f"f_%03d{suffix}")
    for number in range(3):
        written = cv2.imread(str(tmp_path / "out" / f"f_{number + 1:03d}{suffix}"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(written, deep(number))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif", ".JPG"])
def test_every_format_of_images_is_written(tmp_path: Path, suffix: str) -> None:
    pixels = moving(1)[0]
    cv2.imwrite(str(tmp_path / f"a{suffix}"), pixels[..., ::-1])
    translate(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    written = cv2.imread(str(tmp_path / f"b{suffix}"))
    assert written is not None
    assert np.abs(written[..., ::-1].astype(int) - pixels).mean() < 6


def model(*, grey: tuple[Any, ...] = ()) -> Translator:
    return Translator(Bundle(BundleConfig(networks=NETWORKS, short_side=24, grey=grey)), device="cpu")


def test_a_network_of_one_channel_writes_one_channel(tmp_path: Path) -> None:
    translator = model(grey=("b",))
    cv2.imwrite(str(tmp_path / "colour.png"), moving(1)[0])
    cv2.imwrite(str(tmp_path / "grey.png"), moving(1)[0][..., 0])
    for name in ("colour", "grey"):
        translate(tmp_path / f"{name}.png", tmp_path / f"{name}-b.png", by=translator, to="b")
        translate(tmp_path / f"{name}.png", tmp_path / f"{name}-a.png", by=translator, to="a")
        with Image.open(tmp_path / f"{name}-b.png") as to_b, Image.open(tmp_path / f"{name}-a.png") as to_a:
            assert (to_b.mode, to_a.mode) == ("L", "RGB")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "b.gif", "b.apng", "b.webp", "f_%03d.png"])
def test_a_picture_states_that_a_model_made_it(tmp_path: Path, name: str) -> None:
    source = tmp_path / "photo.png" if name.startswith("a") else tmp_path / "a.mp4"
    cv2.imwrite(str(tmp_path / "photo.png"), moving(1)[0])
    write(tmp_path / "a.mp4", moving(3))
    output = tmp_path / "out" / name
    translate(source, output, by=model())
    written = output.with_name("f_001.png") if "%" in name else output
    assert b"rainedAlgorithmicMedia" in written.read_bytes()
    with Image.open(written) as image:
        image.load()
    if not name.startswith("f"):
        translate(source, tmp_path / "off" / name, by=model(), settings=TranslateSettings(provenance="off"))
        assert b"AlgorithmicMedia" not in (tmp_path / "off" / name).read_bytes()


def test_a_network_gives_more_than_8_bits(tmp_path: Path) -> None:
    ramp = np.linspace(20000, 24000, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH, 1).repeat(3, axis=2).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), ramp)
    translate(tmp_path / "a.png", tmp_path / "b.png", by=model())
    written = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert written.dtype == np.uint16
    levels = len(np.unique(written[..., 0]))
    assert levels > 4 * len(np.unique(written[..., 0] // 257))


def linear_profile() -> bytes:
    """An ICC profile of the primaries of sRGB without its curve (ICC.1:2022; colorants adapted to D50)."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 7) + b"linear\0" + bytes(78),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"rTRC": b"curv\0\0\0\0\0\0\0\0",
        b"gTRC": b"curv\0\0\0\0\0\0\0\0",
        b"bTRC": b"curv\0\0\0\0\0\0\0\0",
    }
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI", at + len(body), b"lcms", 0x02100000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    head += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + table + body


def srgb(level: float) -> float:
    """The curve of sRGB (IEC 61966-2-1)."""
    return 12.92 * level if level <= 0.0031308 else 1.055 * level ** (1 / 2.4) - 0.055


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_the_colours_of_a_profile_become_srgb(tmp_path: Path, suffix: str) -> None:
    more: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    Image.new("RGB", (WIDTH, HEIGHT), (60, 120, 200)).save(
        tmp_path / f"a{suffix}", icc_profile=linear_profile(), quality=100, **more
    )
    translate(tmp_path / f"a{suffix}", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        expected = [255 * srgb(level / 255) for level in (60, 120, 200)]
        assert np.abs(np.array(image)[10, 10] - expected).max() < 3
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_a_deep_image_keeps_its_samples_and_its_profile(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "plain.png"), deep())
    png = (tmp_path / "plain.png").read_bytes()
    from recycle.video.image_facts import ImageFacts
    from recycle.video.image_write import _with_chunks

    (tmp_path / "a.png").write_bytes(_with_chunks(png, ImageFacts(text=(("Title", "Käse"),)), linear_profile()))
    translate(tmp_path / "a.png", tmp_path / "b.png")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED), deep())
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["icc_profile"] == linear_profile()
        assert image.info["Title"] == "Käse"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_turned_image_becomes_upright_and_keeps_its_metadata(tmp_path: Path, suffix: str) -> None:
    upright = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    upright[: HEIGHT // 2, : WIDTH // 2] = 255
    stored = np.rot90(upright)  # a camera that was held upright: orientation 6, a quarter turn clockwise
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a{suffix}", exif=exif)
    translate(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as image:
        kept = image.getexif()
        assert (kept.get(0x010F), kept.get(0x0112, 1)) == ("Maker", 1)
        assert np.abs(np.array(image.convert("RGB")).astype(int) - upright).mean() < 8


def images(folder: Path, names: list[str]) -> None:
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), moving(1, shift=5 * index)[0])


def run(folder: Path, out: Path, *, join_images: bool = False) -> Any:
    settings = TranslateSettings(preset="ultrafast")
    task = Folder(folder, out, IDENTITY, "b", settings, join_images=join_images)
    return translate_all(task, engine=Threads(IDENTITY, "b", settings), overwrite=False, retry_failed=False)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_images_keeps_names_and_tree(tmp_path: Path) -> None:
    names = ["1.png", "2.png", "beach.jpg", "beach.png", "sub/frame 7.tif", "sub/deep/x.webp", "sub/y.bmp"]
    images(tmp_path / "in", names)
    animation(tmp_path / "in" / "sub" / "moves.gif")
    animation(tmp_path / "in" / "sub" / "moves.webp")
    (tmp_path / "in" / "broken.png").write_bytes((tmp_path / "in" / "1.png").read_bytes()[:-30])
    report = run(tmp_path / "in", tmp_path / "out")
    expected = {*names, "sub/moves.gif", "sub/moves.webp"}
    assert set(report.done) == expected
    assert [name for name, _ in report.failed] == ["broken.png"]
    assert "cut off" in report.failed[0][1]
    assert files(tmp_path / "out") == {*expected, "translate.json"}
    for name in ("1.png", "beach.png", "sub/frame 7.tif", "sub/y.bmp"):
        before, after = (cv2.imread(str(tmp_path / folder / name)) for folder in ("in", "out"))
        np.testing.assert_array_equal(after, before)
    again = run(tmp_path / "in", tmp_path / "out")
    assert (again.done, set(again.skipped)) == ([], expected)


def test_a_folder_of_numbered_images_becomes_a_video_on_request(tmp_path: Path) -> None:
    images(tmp_path / "in", ["walk/1.png", "walk/2.png", "walk/3.png"])
    assert run(tmp_path / "in", tmp_path / "out", join_images=True).done == ["walk"]
    with VideoReader(tmp_path / "out" / "walk.mp4") as video:
        assert sum(1 for _ in video) == 3


def test_a_thumbnail_and_a_cover_beside_videos_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "walk.mp4", moving(2))
    images(tmp_path / "in", ["walk.jpg", "cover.jpg"])
    report = run(tmp_path / "in", tmp_path / "out")
    assert report.done == ["walk.mp4"]
    assert any("cover.jpg" in line for line in report.notices)


class Cancelling(Job):
    """Cancels itself after some frames."""

    def __init__(self, after: int) -> None:
        super().__init__(self._see)
        self._after = after

    def _see(self, event: Event) -> None:
        if isinstance(event, Progress) and event.done >= self._after:
            self.cancel()


@pytest.mark.parametrize("name", ["a.gif", "a.apng", "out/f_%04d.png"])
def test_interrupted_work_continues_and_gives_the_same(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.mp4", moving(126, 16, 16))
    first, second = tmp_path / "first" / name, tmp_path / "second" / name
    translate(tmp_path / "a.mp4", first)
    with pytest.raises(Interrupted, match="frames are kept"):
        translate(tmp_path / "a.mp4", second, job=Cancelling(122))
    assert not [path for path in files(tmp_path / "second") if not path.startswith((".", "out/."))]
    assert translate(tmp_path / "a.mp4", second).resumed == 120
    assert files(first.parent) == files(second.parent)
    for path in files(first.parent):
        assert (first.parent / path).read_bytes() == (second.parent / path).read_bytes()
    assert not work_folder(second).exists()


def test_images_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving(5))
    output = tmp_path / "f_%02d.png"
    (tmp_path / "f_09.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"f_09\.png exists; give --overwrite to replace the images of"):
        translate(tmp_path / "a.mp4", output)
    report = translate(tmp_path / "a.mp4", output, overwrite=True)
    assert report.notices == ("images of an earlier sequence are still there: f_09.png",)
    assert (tmp_path / "f_09.png").read_bytes() == b"mine"
    with pytest.raises(OutputError, match="names images of the input itself"):
        translate(output, output, overwrite=True)
    with pytest.raises(OutputError, match="is the input itself"):
        translate(tmp_path / "f_01.png", tmp_path / "f_01.png", overwrite=True)


def test_a_disk_that_fails_while_images_get_their_names_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.mp4", moving(5))
    replace: Callable[[Path, Path], Path] = Path.replace
    moved: list[Path] = []

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".png" and not path.name.startswith("."):
            if len(moved) == 2:
                raise OSError(28, "No space left on device")
            moved.append(target)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match="No space left on device"):
        translate(tmp_path / "a.mp4", tmp_path / "f_%02d.png")
    monkeypatch.undo()
    assert translate(tmp_path / "a.mp4", tmp_path / "f_%02d.png").resumed == 5
    assert {f"f_{number:02d}.png" for number in range(1, 6)} == files(tmp_path) - {"a.mp4"}


def test_what_makes_no_sense_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", moving(3))
    with pytest.raises(OutputError, match=r"a\.mp4 is not a single image; give a pattern such as b_%05d\.jpg"):
        translate(tmp_path / "a.mp4", tmp_path / "b.jpg")
    with pytest.raises(OutputError, match=r"such as b_%05d\.png"):
        translate(tmp_path / "a.mp4", tmp_path / "b.png")
    with pytest.raises(ConfigError, match="crf can be set for video only"):
        check_settings(tmp_path / "b.gif", TranslateSettings(crf=3))
    with pytest.raises(FootageError, match="no image has such a name"):
        translate(tmp_path / "f_%03d.png", tmp_path / "b.gif")
    assert files(tmp_path) == {"a.mp4"}


def test_a_damaged_animation_shows_its_last_intact_frame(tmp_path: Path) -> None:
    data = bytearray(animation(tmp_path / "whole.webp").read_bytes())
    third = [at for at in range(len(data)) if data[at : at + 4] == b"ANMF"][2]
    data[third + 40 : third + 60] = bytes(20)
    (tmp_path / "a.webp").write_bytes(data)
    report = translate(tmp_path / "a.webp", tmp_path / "b.apng")
    assert (report.frames, report.concealed) == (4, 2)
    assert "2 frames could not be decoded: the nearest intact frame is shown instead" in report.notices
    assert looked_at(tmp_path / "b.apng")[0] == DURATIONS


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp"])
def test_a_picture_that_is_held_for_long_keeps_its_time(suffix: str, tmp_path: Path) -> None:
    """A frame of a GIF lasts at most 655.35 s, one of an APNG at most 65535 units."""
    durations = [1_000, 1_000_030, 20, 2_000]
    source, output = tmp_path / "lecture.webp", tmp_path / f"out{suffix}"
    first, *others = [Image.fromarray(np.full((HEIGHT, WIDTH, 3), 60 * n, np.uint8)) for n in range(len(durations))]
    first.save(source, save_all=True, append_images=others, duration=durations, lossless=True)
    translate(source, output)
    shown: dict[int, float] = {}
    with Image.open(output) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            level = round(float(np.asarray(image.convert("RGB")).mean()) / 60)
            shown[level] = shown.get(level, 0) + image.info["duration"]
    assert shown == dict(enumerate(map(pytest.approx, durations)))


def test_what_follows_the_picture_in_a_file_is_told(tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    picture.save(tmp_path / "photo.jpg")
    picture.save(tmp_path / "pair.jpg", "MPO", save_all=True, append_images=[picture, picture])
    video = write(tmp_path / "clip.mp4", moving(5))
    (tmp_path / "motion.jpg").write_bytes((tmp_path / "photo.jpg").read_bytes() + video.read_bytes())
    said = {name: translate(tmp_path / name, tmp_path / f"out-{name}").notices for name in ("pair.jpg", "motion.jpg")}
    assert said["pair.jpg"] == ("data of the image is left out: 2 further pictures (MPO)",)
    assert said["motion.jpg"] == ("data of the image is left out: the video of a motion photo",)
    assert not translate(tmp_path / "photo.jpg", tmp_path / "out.jpg").notices


def test_a_folder_as_the_output_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    video = write(tmp_path / "clip.mp4", moving(5))
    with pytest.raises(OutputError, match="results: it is a folder; give the name of a file"):
        translate(video, tmp_path / "results")
