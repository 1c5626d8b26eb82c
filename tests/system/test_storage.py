"""Remote files, in fsspec's memory file system: downloaded, uploaded atomically, and no leftovers."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recycle.errors import ConfigError, FootageError, OutputError
from recycle.system.places import is_here, place
from recycle.system.storage import workplace, write_record
from recycle.video.decode import VideoReader
from recycle.video.encode import write_video
from recycle.video.find import find_sources
from recycle.video.fingerprint import fingerprint
from tests.video.conftest import moving


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def bucket() -> Iterator[Path]:
    """A folder of the memory file system that holds one video."""
    folder = place("memory://bucket/in")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    for path in list(place("memory://bucket").rglob("*")):
        if path.is_file():
            path.unlink()


@pytest.fixture
def remote(bucket: Path, tmp_path: Path) -> Path:
    write_video(tmp_path / "clip.mp4", moving(8), fps=25)
    video = bucket / "deep" / "clip.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    video.write_bytes((tmp_path / "clip.mp4").read_bytes())
    return video


def work(source: Path, final: Path, name: str, error: BaseException | None = None) -> None:
    """Write a file beside the output, as a translation does, and then perhaps fail."""
    with workplace(source, final, "key") as (_, output):
        if name:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.with_name(name).write_bytes(b"half")
        if error is not None:
            raise error


def test_a_local_path_is_a_path_and_a_url_is_not() -> None:
    assert place("a/b.mp4") == Path("a/b.mp4")
    assert is_here(place("a/b.mp4"))
    assert not is_here(place("memory://bucket/b.mp4"))
    with pytest.raises(ConfigError, match="cannot use nowhere://x: "):
        place("nowhere://x")


def test_without_the_extra_a_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(ConfigError, match=r"is a URL; to use URLs, run: pip install 'recycle\[cluster\]'"):
        place("memory://bucket/b.mp4")


def test_remote_footage_is_found_and_read(remote: Path, tmp_path: Path) -> None:
    assert find_sources([remote.parent.parent]) == [remote]
    assert fingerprint(remote) == fingerprint(tmp_path / "clip.mp4")
    with VideoReader(remote) as there, VideoReader(tmp_path / "clip.mp4") as here:
        assert [f.pixels.tobytes() for f in there] == [f.pixels.tobytes() for f in here]


def test_work_is_local_and_the_output_remote(remote: Path, bucket: Path, scratch: Path) -> None:
    final = bucket / "out" / "clip.mp4"
    with workplace(remote, final, "key") as (source, output):
        assert source.read_bytes() == remote.read_bytes()
        output.parent.mkdir(parents=True)
        output.write_bytes(b"translated")
        assert not final.exists()
    assert final.read_bytes() == b"translated"
    assert [path.name for path in final.parent.iterdir()] == ["clip.mp4"]
    assert not list(scratch.rglob("*.mp4"))


def test_unfinished_work_is_kept_and_continued(remote: Path, bucket: Path, scratch: Path) -> None:
    final = bucket / "clip.mp4"
    with pytest.raises(KeyboardInterrupt):
        work(remote, final, ".clip.recycle", KeyboardInterrupt())
    with workplace(remote, final, "key") as (_, output):
        assert output.with_name(".clip.recycle").read_bytes() == b"half"
        output.write_bytes(b"whole")
    assert final.read_bytes() == b"whole"
    assert not list(scratch.rglob(".clip.recycle"))


def test_a_failure_before_any_work_leaves_nothing(remote: Path, bucket: Path, scratch: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        work(remote, bucket / "clip.mp4", "", ValueError("no"))
    assert not [path for path in scratch.rglob("*") if path.is_file()]
    with pytest.raises(FootageError, match=r"cannot download memory://bucket/none\.mp4"):
        work(place("memory://bucket/none.mp4"), bucket / "clip.mp4", "")


def test_a_file_that_cannot_be_uploaded_is_kept_and_named(remote: Path, scratch: Path) -> None:
    final = place("https://127.0.0.1:9/out.mp4")
    with pytest.raises(OutputError, match=r"cannot write https://127.0.0.1:9/out.mp4: .*is kept as .*out.mp4"):
        work(remote, final, "out.mp4")
    assert [path.read_bytes() for path in scratch.rglob("out.mp4")] == [b"half"]


def test_a_remote_record_is_replaced(bucket: Path) -> None:
    for text in ("one", "two"):
        write_record(bucket / "translate.json", text)
        assert (bucket / "translate.json").read_text() == text
    assert [path.name for path in bucket.iterdir() if path.is_file()] == ["translate.json"]
