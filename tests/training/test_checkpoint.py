"""A checkpoint is intact or rejected; the previous one survives a kill at any moment."""

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from math import nan
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.optimizer import register_optimizer_step_post_hook

from recycle.errors import BundleError
from recycle.training.checkpoint import FORMAT, load_checkpoint, previous_of, save_checkpoint
from tests.training.test_loop import footage, run
from tests.training.test_memory import small

__all__ = ["footage"]


@pytest.fixture(scope="module")
def finished(footage: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of three steps, each of them saved."""
    folder = tmp_path_factory.mktemp("finished")
    run(small(steps=3, checkpoint_every=1), footage, folder)
    return folder


def state(step: int) -> dict[str, Any]:
    weights = {"gen.weight": torch.arange(12.0).reshape(3, 4) + step, "gen.bias": torch.ones(2, dtype=torch.bfloat16)}
    return {"step": step, "translators": weights, "pools": [{"disc_a": {"frames": torch.rand(2, 3)}}]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "checkpoint.pt"
    save_checkpoint(path, state(7))
    return path.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place") / "checkpoint.pt"


def refused(path: Path) -> str:
    with pytest.raises(BundleError, match="cannot read the checkpoint") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_saved_is_loaded_by_us_and_by_torch(whole: bytes, place: Path) -> None:
    place.write_bytes(whole)
    expected = state(7)["translators"]
    for loaded in (load_checkpoint(place), torch.load(place, weights_only=True)):
        assert (loaded["step"], loaded["format"]) == (7, FORMAT)
        torch.testing.assert_close(loaded["translators"], expected, rtol=0, atol=0)


@given(data=st.data())
def test_any_flipped_bit_is_found(data: st.DataObject, whole: bytes, place: Path) -> None:
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    place.write_bytes(damaged)
    refused(place)


@given(data=st.data())
def test_a_file_that_is_cut_short_or_grown_is_refused(data: st.DataObject, whole: bytes, place: Path) -> None:
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    place.write_bytes(data.draw(st.sampled_from([cut, cut + bytes(len(whole) - len(cut)), whole + b"\0", whole * 2])))
    refused(place)


def test_a_file_that_lacks_exactly_its_checksum_is_refused(whole: bytes, place: Path) -> None:
    place.write_bytes(whole[: whole.rindex(b"recycle sha256")])
    refused(place)


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def others(folder: Path) -> Iterator[bytes]:
    """Files that are not checkpoints: text, numbers, pickles, and torch archives with other content."""
    yield from (b"", b"hello\n", b"h", b"{}", b"PK", b"PK\x05\x06" + bytes(18), bytes(5000), pickle.dumps({"step": 1}))
    for content in ([1, 2], torch.zeros(3), "text", 5, Bomb(folder / "executed"), {"step": Bomb(folder / "executed")}):
        torch.save(content, folder / "other")
        yield (folder / "other").read_bytes()
    torch.save(state(1), folder / "other", _use_new_zipfile_serialization=False)
    yield (folder / "other").read_bytes()


def test_other_files_are_a_one_line_error_and_never_executed(place: Path, tmp_path: Path) -> None:
    for content in others(tmp_path):
        place.write_bytes(content)
        assert "restore it from a copy, or move it away to start over" in refused(place)
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_of_an_older_version_has_no_digest_and_is_checked_by_its_archive(place: Path) -> None:
    old = state(3)
    torch.save({**old, "format": FORMAT}, place)
    assert load_checkpoint(place)["step"] == 3
    content = bytearray(place.read_bytes())
    content[content.find(old["translators"]["gen.weight"].numpy().tobytes()) + 3] ^= 0x40
    place.write_bytes(content)
    assert torch.load(place, weights_only=True)["step"] == 3, "torch does not find it"
    assert "the CRC-32 of" in refused(place)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(bad: float, place: Path) -> None:
    spoilt = state(3)
    spoilt["translators"]["gen.bias"][1] = bad
    save_checkpoint(place, spoilt)
    assert "translators.gen.bias holds numbers that are not finite" in refused(place)
    save_checkpoint(place, {**state(3), "health": {"values": {"loss": torch.tensor([bad])}}})
    assert load_checkpoint(place)["step"] == 3
    save_checkpoint(place, {**state(3), "optimiser": {"state": {0: torch.full((9,), 3e38)}}})
    assert load_checkpoint(place)["step"] == 3, "large, with a sum that is infinite, but finite"


def test_whenever_a_save_is_killed_two_whole_checkpoints_remain(tmp_path: Path) -> None:
    """The process kills itself at its n-th file operation, for every n."""
    steps = set()
    for moment in range(100):
        folder = tmp_path / str(moment)
        folder.mkdir()
        path = folder / "checkpoint.pt"
        for step in (1, 2):
            save_checkpoint(path, state(step))
        if (child := os.fork()) == 0:
            left = moment

            def watch(event: str, arguments: Any) -> None:
                nonlocal left
                if event in ("open", "os.rename", "os.link", "os.remove", "os.mkdir"):
                    left -= 1
                    if left < 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(watch)
            save_checkpoint(path, state(3))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        latest, previous = load_checkpoint(path)["step"], load_checkpoint(previous_of(path))["step"]
        steps.add((previous, latest))
        assert previous <= latest
        save_checkpoint(path, state(4))  # as if nothing had been
        assert load_checkpoint(path)["step"] == 4
        assert load_checkpoint(previous_of(path))["step"] == latest
        if status == 0:
            break
    assert moment > 4
    assert steps == {(1, 2), (2, 2), (2, 3)}


def test_without_hard_links_the_previous_one_is_kept_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*names: Any) -> None:
        raise PermissionError(1, "Operation not permitted")  # as on exFAT

    monkeypatch.setattr(os, "link", link)
    for step in (1, 2, 3):
        save_checkpoint(place, state(step))
    assert load_checkpoint(place)["step"] == 3
    assert load_checkpoint(previous_of(place))["step"] == 2


def test_a_damaged_checkpoint_stays_and_the_previous_one_is_named(
    finished: Path, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    out = shutil.copytree(finished, tmp_path / "it's a run")
    checkpoint = out / "checkpoint.pt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(
        BundleError, match=r"its SHA-256 does not match.*the previous checkpoint, of step 2, is intact"
    ) as error:
        run(small(steps=4), footage, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    command = re.search(r"run: (mv .*) and then the same command", str(error.value))
    assert command is not None
    subprocess.run(["sh", "-c", command[1]], check=True)
    report = run(small(steps=4), footage, out)
    assert (report.resumed_from, report.step) == (2, 4)

    shutil.copy(checkpoint, previous_of(checkpoint))
    checkpoint.unlink()  # as after a kill on a file system without hard links
    report = run(small(steps=5), footage, out)
    assert (report.resumed_from, report.step) == (4, 5)
    assert f"{checkpoint} is missing; continuing from the previous checkpoint, of step 4" in report.notices
    for path in (checkpoint, previous_of(checkpoint)):
        path.write_bytes(b"hello")
    with pytest.raises(BundleError, match=r"checkpoint\.previous\.pt is damaged, too"):
        run(small(steps=6), footage, out)


@pytest.mark.parametrize("change", [{"translators": {}}, {"step": "many"}, {"pools": [{}]}, {"clock": None}])
def test_a_checkpoint_with_other_content_is_a_one_line_error(
    change: dict[str, Any], finished: Path, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    saved = torch.load(finished / "checkpoint.pt", weights_only=True)
    save_checkpoint(tmp_path / "checkpoint.pt", saved | change)
    with pytest.raises(BundleError, match="does not contain the state of a run with these settings") as error:
        run(small(steps=2), footage, tmp_path)
    assert "\n" not in str(error.value)


def test_weights_that_are_not_finite_are_never_saved(footage: tuple[Path, Path], tmp_path: Path) -> None:
    """As after a bit flip in memory between the last finite loss and a checkpoint."""
    updates = 0

    def poison(optimiser: torch.optim.Optimizer, arguments: Any, options: Any) -> None:
        nonlocal updates
        updates += 1
        if updates == 6:  # the discriminators', in the third step
            with torch.no_grad():
                optimiser.param_groups[0]["params"][0][0] = float("nan")

    handle = register_optimizer_step_post_hook(poison)
    try:
        report = run(small(steps=4, checkpoint_every=3), footage, tmp_path)
    finally:
        handle.remove()
    assert report.step == 4
    assert any(
        "discriminators." in text and "went back to the last checkpoint, step 0" in text for text in report.notices
    )
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        load_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    "absurd", [{"step": -5}, {"step": 10**30}, {"rollbacks": -1}, {"slowing": 0.0}, {"slowing": nan}, {"trained_on": 7}]
)
def test_impossible_counts_are_a_one_line_error(
    absurd: dict[str, Any], finished: Path, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    """In a checkpoint that is intact and has a valid digest."""
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / "checkpoint.pt"
    save_checkpoint(file, torch.load(file, weights_only=True) | absurd)
    with pytest.raises(BundleError, match="does not contain the state of a run with these settings"):
        run(small(steps=3, checkpoint_every=1), footage, tmp_path / "run")
