"""Footage is found by what files hold; everything else is told, and nothing in a folder stops the search."""

import os
import random
import shutil
import socket
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recycle.errors import FootageError
from recycle.video import find
from recycle.video.decode import VideoReader
from recycle.video.find import beside_images, find_footage, find_sources, images_in, left_out_lines, relative_names
from recycle.video.fingerprint import fingerprint
from recycle.video.kinds import open_source
from recycle.video.probe import probe
from recycle.video.sniff import sniff

Pixels = NDArray[np.uint8]
Frames = Callable[..., list[Pixels]]
Make = Callable[..., Path]


def image(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((48, 64, 3), value, np.uint8))
    return path


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_sources([folder])]


def reasons(folder: Path) -> dict[str, str]:
    return relative_names(find_footage([folder]).left_out, folder)


def test_sources_are_found_in_natural_order(tmp_path: Path) -> None:
    for name in ("clip 10.mp4", "clip 9.MP4", ".hidden.mp4", "sub/x.mkv", ".git/y.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    image(tmp_path / "images" / "01.png")
    image(tmp_path / "sub" / "01.png")  # beside a video: a thumbnail
    (tmp_path / "readme.txt").write_text("")
    expected = ["clip 9.MP4", "clip 10.mp4", "images", "sub/x.mkv"]
    assert find_sources([tmp_path]) == [tmp_path / name for name in expected]
    assert find_sources([tmp_path / "sub" / "x.mkv", tmp_path])[0] == tmp_path / "sub" / "x.mkv"
    assert len(find_sources([tmp_path / "sub" / "x.mkv", tmp_path])) == 4
    assert find_sources([tmp_path / "readme.txt"]) == [tmp_path / "readme.txt"]
    assert reasons(tmp_path) == {
        ".git": find.HIDDEN,
        ".hidden.mp4": find.HIDDEN,
        "readme.txt": "empty",
        "sub/01.png": find.LONE_IMAGE,
    }
    with pytest.raises(FootageError, match=r"no file or folder .*nowhere"):
        find_sources([tmp_path / "nowhere"])
    (tmp_path / "bare").mkdir()
    with pytest.raises(FootageError, match=r"bare holds no video"):
        find_sources([tmp_path / "bare"])
    (tmp_path / "bare" / "notes.txt").write_text("no video")
    with pytest.raises(FootageError, match=r"bare holds no video .*; left out: notes.txt \(not a video\)"):
        find_sources([tmp_path / "bare"])


KINDS: dict[str, dict[str, Any]] = {
    "mp4": {},
    "mov": {},
    "mkv": {},
    "avi": {},
    "flv": {},
    "ts": {},
    "m2ts": {},
    "nut": {},
    "h264": {},
    "mpg": {"codec": "mpeg2video", "time_base": Fraction(1, 25)},
    "m2v": {"codec": "mpeg2video", "time_base": Fraction(1, 25)},
    "mxf": {"codec": "mpeg2video", "time_base": Fraction(1, 25)},
    "m4v": {"codec": "mpeg4"},
    "wmv": {"codec": "msmpeg4"},
    "webm": {"codec": "libvpx-vp9"},
    "ivf": {"codec": "libvpx-vp9"},
    "gif": {"codec": "gif", "pixel_format": "rgb8"},
    "apng": {"codec": "apng", "pixel_format": "rgb24"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_is_known_by_its_content(tmp_path: Path, make_video: Make, moving_frames: Frames, kind: str) -> None:
    """Under names that say nothing, or something else; also where the file is cut off."""
    made = make_video(tmp_path / f"made.{kind}", moving_frames(10), **KINDS[kind])
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("VID_0001", "clip.MOD", "notes.xyz"):
        shutil.copy(made, folder / name)
    assert sorted(names(folder)) == ["VID_0001", "clip.MOD", "notes.xyz"]
    with VideoReader(folder / "VID_0001") as reader:
        assert sum(1 for _ in reader.read()) >= 9
    (folder / "cut.off").write_bytes(made.read_bytes()[: max(700, made.stat().st_size // 3)])
    assert "cut.off" in names(folder)


def test_what_is_no_video_is_left_out(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    make_video(tmp_path / "a.mp4", moving_frames(2))
    chance = random.Random(1)
    for number in range(40):
        (tmp_path / f"{number}.bin").write_bytes(chance.randbytes(chance.choice([1, 100, 3000, 9000])))
    for number, content in enumerate(
        [b"{}", b"%PDF-1.7\n", b"PK\x03\x04", b"\x7fELF", b"G" * 5000, bytes(5000), b"ID3"]
    ):
        (tmp_path / f"known{number}").write_bytes(content)
    image(tmp_path / "poster.png")
    image(tmp_path / "cover.jpg").rename(tmp_path / "cover")
    (tmp_path / "download.mp4.part").write_bytes((tmp_path / "a.mp4").read_bytes())
    assert names(tmp_path) == ["a.mp4"]
    found = reasons(tmp_path)
    assert len(found) == 40 + 7 + 3
    assert found["poster.png"] == find.UNNUMBERED
    assert found["cover"] == "a single image"
    assert found["download.mp4.part"] == find.INCOMPLETE
    assert {found[f"known{number}"] for number in range(7)} == {"not a video"}
    (lines,) = (line for line in left_out_lines(found) if "not a video" in line)
    assert lines == "left out: 0.bin, 1.bin, 2.bin, 3.bin, 4.bin and 42 more (not a video)"


def test_sound_alone_is_left_out(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    made = make_video(tmp_path / "a.mp4", moving_frames(2), audio=True)
    with av.open(str(made)) as source, av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert reasons(tmp_path) == {"sound.m4a": "sound without video"}


@given(st.binary(max_size=1500))
def test_no_content_breaks_the_search(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "file"
    file.write_bytes(content)
    assert sniff(file) is None or sniff(file)


def test_odd_entries_are_told_and_never_opened(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make_video(folder / "a.mp4", moving_frames(2))
    make_video(tmp_path / "other.mp4", moving_frames(2))
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "one.mp4").symlink_to("two.mp4")
    (folder / "two.mp4").symlink_to("one.mp4")
    (folder / "nowhere.mp4").symlink_to("gone.mp4")
    (folder / "second.mp4").symlink_to("a.mp4")
    (folder / "away.mp4").symlink_to(tmp_path / "other.mp4")
    os.link(folder / "a.mp4", folder / "third.mp4")
    os.mkfifo(folder / "pipe.mp4")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket.mp4"))
    assert names(folder) == ["a.mp4", "away.mp4", "second.mp4", "third.mp4"]
    assert reasons(folder) == {
        "linked": "a link to a folder, which is not followed",
        "loop.mp4": "a link that leads in a circle",
        "nowhere.mp4": "a link that leads nowhere",
        "one.mp4": "a link that leads in a circle",
        "pipe": "a named pipe",
        "pipe.mp4": "a named pipe",
        "socket.mp4": "a socket",
        "two.mp4": "a link that leads in a circle",
    }
    for name, what in (("pipe.mp4", "a named pipe"), ("socket.mp4", "a socket")):
        for opened in (VideoReader, fingerprint, lambda path: find_sources([path])):
            with pytest.raises(FootageError, match=f"{name} is {what}, not a file"):
                opened(folder / name)
    with pytest.raises(FootageError, match="/dev/zero is a device, not a file"):
        find_sources([Path("/dev/zero")])
    with pytest.raises(FootageError, match=r"loop\.mp4 is a link that leads in a circle"):
        find_sources([folder / "loop.mp4"])


def test_images_and_videos_of_one_folder_are_both_taken(
    tmp_path: Path, make_video: Make, moving_frames: Frames
) -> None:
    folder = tmp_path / "frames"
    for number in range(3):
        image(folder / f"frame_{number:04d}.png")
    image(folder / "contact sheet.png")
    make_video(folder / "preview.mp4", moving_frames(2))
    assert names(folder) == [".", "preview.mp4"]
    assert find_footage([folder]).mixed == [folder]
    assert reasons(folder) == {"contact sheet.png": find.UNNUMBERED}
    assert beside_images(folder) == [
        "left out: contact sheet.png (an image without a number at the end of its name)",
        "left out: preview.mp4 (not one of the folder's numbered images)",
    ]


def test_pictures_of_videos_are_no_footage(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    for number in range(3):
        make_video(tmp_path / f"clip {number}.mp4", moving_frames(2))
        image(tmp_path / f"clip {number}.jpg")
    assert names(tmp_path) == [f"clip {number}.mp4" for number in range(3)]
    assert set(reasons(tmp_path).values()) == {find.THUMBNAIL}


def test_numbered_animations_are_videos_and_no_images(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    for number in range(3):
        make_video(tmp_path / "a.apng", moving_frames(4), codec="apng", pixel_format="rgb24")
        (tmp_path / "a.apng").rename(tmp_path / f"{number}.png")
    assert names(tmp_path) == ["0.png", "1.png", "2.png"]
    webp = b"RIFF\x00\x01\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02" + bytes(200)
    (tmp_path / "sticker.webp").write_bytes(webp)
    assert names(tmp_path) == ["0.png", "1.png", "2.png", "sticker.webp"]
    assert reasons(tmp_path) == {}


def test_the_output_within_the_input_is_not_searched(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    (tmp_path / "out").mkdir()
    made = make_video(tmp_path / "a.mp4", moving_frames(2))
    shutil.copy(made, tmp_path / "out")
    (tmp_path / "out" / "translate.json").write_text("{}")
    found = find_footage([tmp_path], without=tmp_path / "out")
    assert (found.sources, found.left_out) == ([made], {})


ARRANGEMENTS: dict[str, tuple[list[str], bool]] = {
    "images alone": (["1.png", "2.png", "3.png"], True),
    "one image": (["1.png"], True),
    "nothing": ([], False),
    "other files": (["notes.txt"], False),
    "images and other files": (["1.png", "2.png", "notes.txt", ".3.png"], True),
    "images without numbers": (["a.png", "b.png"], False),
    "images beside a video": (["1.png", "2.png", "v.mp4"], True),
    "one image beside a video": (["1.png", "v.mp4"], False),
    "one image beside several": (["1.png", "v.mp4", "w.mkv"], False),
    "images with the names of videos": (["v1.png", "v2.png", "v1.mp4", "v2.mp4"], False),
    "one more than the videos": (["v1.png", "v2.png", "v3.png", "v1.mp4", "v2.mp4"], True),
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_all_agree_on_what_a_folder_of_images_is(
    tmp_path: Path, make_video: Make, moving_frames: Frames, name: str
) -> None:
    """The search of folders (extract, train, translate to a folder), opening (translate to a file) and the probe."""
    files, is_video = ARRANGEMENTS[name]
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in files:
        if file.endswith(".png"):
            image(folder / file)
        elif file.endswith(".txt"):
            (folder / file).write_text("no video")
        else:
            make_video(folder / file, moving_frames(2))
    try:
        found = find_sources([folder])
    except FootageError:
        found = []
    assert (folder in found) is is_video
    if is_video:
        images = [file for file in files if file.endswith(".png") and not file.startswith(".")]
        assert [path.name for path in images_in(folder)] == images
        with open_source(folder) as source:
            assert sum(1 for _ in source) == len(images)
        info = probe(folder)
        assert (info.container, info.frames) == ("folder of images", len(images))
        return
    for read in (images_in, open_source, probe):
        with pytest.raises(FootageError, match=str(folder)) as caught:
            read(folder)
        assert "\n" not in str(caught.value)
