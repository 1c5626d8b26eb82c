"""A dry run lists and counts what the run itself then fails at, with the same reasons, and writes nothing."""

import os
import re
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from recycle.batch.ledger import LEDGER
from recycle.batch.task import Folder, forecast, translate_all
from recycle.batch.threads import Threads
from recycle.cli import main
from recycle.config import TranslateSettings
from recycle.errors import OutputError
from recycle.networks.bundle import Bundle
from recycle.rendering.prepare import foresee
from recycle.translation.translator import Translator
from recycle.video.encode import write_video

FAST = TranslateSettings(preset="ultrafast", scale="source")
NOISE = np.random.default_rng(0).integers(0, 255, (6, 48, 64, 3), dtype=np.uint8)


def fill(folder: Path, out: Path) -> None:
    """Videos of which most cannot be translated, each for its own reason."""
    (folder / "sub").mkdir(parents=True)
    for name in ("good.mp4", "foreign.mp4", "taken.mp4", "sub/x.mp4"):
        write_video(folder / name, NOISE, fps=10)
    for side in (2, 8):  # smaller than the networks' steps, and translated all the same
        write_video(folder / f"tiny{side}.mp4", NOISE[:, :side, :side], fps=10)
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text("dear diary")
    sound_alone(folder / "sound.mp4")
    content = bytearray((folder / "good.mp4").read_bytes())
    begin = content.find(b"mdat") + 4
    end = begin - 8 + int.from_bytes(content[begin - 8 : begin - 4], "big")
    content[begin:end] = bytes(end - begin)
    (folder / "nothing.mp4").write_bytes(content)
    for name, sides in (("mixed", (8, 8, 16)), ("black", (8, 8))):
        (folder / name).mkdir()
        for number, side in enumerate(sides):
            cv2.imwrite(str(folder / name / f"{number}.png"), np.zeros((side, side, 3), np.uint8))
    for file in (folder / "black").iterdir():
        file.write_bytes(file.read_bytes()[:20])
    (out / "taken.mp4").mkdir(parents=True)
    (out / "foreign.mp4").write_text("precious")
    (out / "sub").write_text("a file in the way of a folder")


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def listing(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_the_dry_run_says_is_what_the_run_does(tmp_path: Path, bundle: Bundle, overwrite: bool) -> None:
    task = Folder(tmp_path / "in", tmp_path / "out", Translator(bundle, device="cpu"), "b", FAST, join_images=True)
    fill(task.source, task.out)
    before = listing(tmp_path)
    foreseen = forecast(task, overwrite=overwrite, retry_failed=False)
    assert listing(tmp_path) == before
    matches = [re.fullmatch(r"fail      (\S+) -> \S+: (.+)", line) for line in foreseen.lines]
    failing = {match[1]: match[2] for match in matches if match}
    engine = Threads(task.translator, task.to, task.settings, overwrite, at_once=1)
    report = translate_all(task, engine=engine, overwrite=overwrite, retry_failed=False)
    assert failing == dict(report.failed)
    always = {"zero.mp4", "text.mp4", "sound.mp4", "nothing.mp4", "mixed", "black", "taken.mp4", "sub/x.mp4"}
    assert set(failing) == always | (set() if overwrite else {"foreign.mp4"})
    assert foreseen.failing == len(failing)
    assert foreseen.lines[-1].startswith(f"{len(report.done)} to translate, 0 to skip, {len(failing)} to fail; ")
    for name, words in (
        ("zero.mp4", "is empty (0 bytes)"),
        ("sound.mp4", "has no video stream"),
        ("mixed", "must have the same size"),
        ("sub/x.mp4", "sub is not a folder"),
    ):
        assert words in failing[name]


def test_the_exit_code_is_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "good.mp4", NOISE, fps=10)
    words = ["recycle", "translate", str(tmp_path / "in"), str(tmp_path / "out"), "--model", "identity", "--to", "b"]
    monkeypatch.setattr("sys.argv", [*words, "--dry-run"])
    for code in (0, 1):
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == code
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"1 to translate, 0 to skip, {code} to fail; ")
        (tmp_path / "in" / "zero.mp4").touch()
    assert not (tmp_path / "out" / LEDGER).exists()


def test_a_place_that_cannot_be_written_is_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "clip.mp4"
    write_video(source, NOISE, fps=10)
    locked = tmp_path / "locked"
    locked.mkdir()
    assert foresee(source, locked / "deep" / "out.mp4", FAST) is not None
    allowed = os.access
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != locked and allowed(path, mode))  # root may always
    for output in (locked / "out.mp4", locked / "deep" / "er" / "out.mp4"):
        with pytest.raises(OutputError, match=f"cannot write {output}: this user may not write to {locked}"):
            foresee(source, output, FAST)
    shutil.rmtree(locked)
    locked.touch()
    with pytest.raises(OutputError, match=f"{locked} is not a folder"):
        foresee(source, locked / "deep" / "out.mp4", FAST)
