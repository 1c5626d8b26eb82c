"""The command line as a user meets it: real processes, real files, one clear line for each mistake."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from typer.main import get_command

from recycle import translate
from recycle.cli import entry, main
from recycle.cli.app import app
from recycle.config import NetworkSettings, ResNetSettings
from recycle.errors import ConfigError
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.video.encode import write_video
from recycle.video.kinds import open_source
from tests import warm
from tests.networks.published_code import ResnetGenerator

COMMANDS = [
    "probe",
    "extract",
    "street",
    "train",
    "translate",
    "evaluate",
    "run",
    "demo",
    "compare",
    "doctor",
    "pipelines",
    "import",
    "push",
]


def recycle(*arguments: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return warm.run(*warm.RECYCLE, *arguments, cwd=cwd)


def assert_one_line(result: "subprocess.CompletedProcess[str]", *words: str, code: int = 1) -> None:
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == code, result.stderr
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    random = np.random.default_rng(0)
    base = random.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    write_video(path, (np.roll(base, 2 * i, axis=1) for i in range(12)), fps=12)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=4))
    save_bundle(Bundle(BundleConfig(networks=networks, predictors=False, short_side=48)), folder)
    return folder


def test_help_names_every_command_and_imports_no_torch() -> None:
    code = "import sys; sys.argv = ['recycle', '--help']\nfrom recycle.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print(*(name in sys.modules for name in ('torch', 'pydantic', 'cv2', 'rich')))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "False False False False"
    assert all(f"  {command}" in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = recycle(command, "--help")
    assert result.returncode == 0
    assert f"Example: recycle {command}" in result.stdout


@pytest.mark.parametrize("command", [own.callback for own in app.registered_commands if own.callback is not None])
def test_ctrl_c_says_continue_for_every_command_whose_help_says_so(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = "Run again to continue" in " ".join(command.__doc__.split())
    monkeypatch.setattr(sys, "argv", ["recycle", command.__name__])
    assert entry._again().endswith("continue") or not says


def test_the_version_is_that_of_the_package_and_no_command_is_help() -> None:
    shown = recycle("--version")
    assert (shown.returncode, shown.stdout) == (0, f"recycle {version('recycle')}\n")
    bare = recycle()
    assert bare.returncode == 0
    assert bare.stdout == recycle("--help").stdout


def test_a_folder_with_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_one_line(recycle("extract", tmp_path / "empty", "--out", tmp_path / "out"), "empty", "no video")
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_a_text_file_named_mp4(tmp_path: Path, model: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("dear diary")
    for arguments in (("probe", text), ("extract", text, "--out", tmp_path / "out")):
        assert_one_line(recycle(*arguments), "notes.mp4")
    assert_one_line(recycle("translate", text, tmp_path / "out.mp4", "--model", model, "--to", "b"), "notes.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_misspelt_key_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text("[train]\nlearning_rat = 1e-4\n")
    result = recycle("run", tmp_path / "task.toml", "--out", tmp_path / "run")
    assert_one_line(result, "task.toml", "'train.learning_rat'", "did you mean 'learning_rate'?")


def test_a_bundle_with_truncated_weights(tmp_path: Path, video: Path, model: Path) -> None:
    (tmp_path / "config.json").write_bytes((model / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-100])
    result = recycle("translate", video, tmp_path / "out.mp4", "--model", tmp_path, "--to", "b")
    assert_one_line(result, "model.safetensors", "damaged")


def test_an_imported_generator_translates_in_its_direction_only(tmp_path: Path, video: Path) -> None:
    torch.save(ResnetGenerator(width=4).state_dict(), tmp_path / "latest_net_G_A.pth")
    out = tmp_path / "model"
    made = recycle("import", tmp_path / "latest_net_G_A.pth", "--out", out, "--domains", "horse,zebra")
    assert made.stdout.splitlines() == [
        "gen_ab: latest_net_G_A.pth, ResNet, 6 blocks, width 4, norm instance",
        f"wrote {out}, which translates horse → zebra",
    ]
    assert recycle("translate", video, tmp_path / "z.mp4", "--model", out, "--to", "zebra").returncode == 0
    refused = recycle("translate", video, tmp_path / "h.mp4", "--model", out, "--to", "horse")
    assert_one_line(refused, "the model 'model' translates only horse → zebra, not to horse")


def test_an_unknown_domain(tmp_path: Path, video: Path, model: Path) -> None:
    result = recycle("translate", video, tmp_path / "out.mp4", "--model", model, "--to", "c")
    assert_one_line(result, "there is no domain 'c'; give a or b")


VERBS = cast(Any, get_command(app)).commands
TAKES = {name: {word for option in verb.params for word in option.opts} for name, verb in VERBS.items()}
WITH_TO = [
    (verb, options)
    for verb, takes in sorted(TAKES.items())
    for options in ([], ["--dry-run"], ["--watch"], ["--cluster", "local"], ["--overwrite"])
    if {"--to", "--model", *options[:1]} <= takes
]


@pytest.mark.parametrize(("verb", "options"), WITH_TO)
@pytest.mark.parametrize("source", ["none.mp4", "clip.mp4", "films", "images"])
def test_a_wrong_domain_is_refused_before_any_other_work(
    source: str, options: list[str], verb: str, tmp_path: Path, video: Path, model: Path
) -> None:
    """Neither the model's weights, which are damaged, nor the input is read, nor is anything written."""
    config = json.loads((model / "config.json").read_text()) | {"domains": ["summer", "winter"]}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    (tmp_path / "model" / "model.safetensors").write_bytes(b"damaged")
    shutil.copy(video, tmp_path / "clip.mp4")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "notes.mp4").write_text("dear diary")
    (tmp_path / "images").mkdir()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    output = tmp_path / ("outs" if source == "films" else "out.mp4")
    words = [verb, str(tmp_path / source), str(output), "--model", str(tmp_path / "model"), "--to", "autumn", *options]
    with pytest.raises(ConfigError, match=r"^there is no domain 'autumn'; give summer \(a\) or winter \(b\)$"):
        app(words, standalone_mode=False)
    with pytest.raises(ConfigError, match="there is no domain 'autumn'"):
        translate(tmp_path / source, output, model=tmp_path / "model", to="autumn")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_wrong_domain_to_export_is_refused_before_the_weights_are_read(tmp_path: Path, model: Path) -> None:
    (tmp_path / "model").mkdir()
    shutil.copy(model / "config.json", tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"damaged")
    words = ["export", str(tmp_path / "model"), "--to", "autumn", "--out", str(tmp_path / "m.onnx")]
    with pytest.raises(ConfigError, match="there is no domain 'autumn'"):
        app(words, standalone_mode=False)
    assert not (tmp_path / "m.onnx").exists()


def test_a_domain_is_given_by_its_name(tmp_path: Path, video: Path, model: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    config = json.loads((model / "config.json").read_text()) | {"domains": ["summer", "winter"]}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    chosen = ("--model", tmp_path / "model", "--preset", "ultrafast", "--to")
    result = recycle("translate", video, tmp_path / "out.mp4", *chosen, "winter")
    assert result.returncode == 0, result.stderr
    assert "already there" not in result.stdout
    films = tmp_path / "films"
    films.mkdir()
    shutil.copy(video, films)
    assert recycle("translate", films, tmp_path / "outs", *chosen, "winter").returncode == 0
    again = recycle("translate", films, tmp_path / "outs", *chosen, "b")  # the letter means the same work
    assert "0 translated, 1 already there" in again.stdout
    wrong = recycle("translate", films, tmp_path / "outs", *chosen, "autumn")
    assert_one_line(wrong, "there is no domain 'autumn'; give summer (a) or winter (b)")


def test_an_output_that_exists_is_kept(tmp_path: Path, video: Path, model: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    assert_one_line(recycle("translate", video, output, "--model", model, "--to", "b"), "out.mp4", "--overwrite")
    assert output.read_text() == "precious"
    assert recycle("translate", video, output, "--model", model, "--to", "b", "--overwrite").returncode == 0
    assert output.read_bytes() != b"precious"


def test_an_output_that_is_the_input(tmp_path: Path, video: Path, model: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(video.read_bytes())
    result = recycle("translate", source, source, "--model", model, "--to", "b", "--overwrite")
    assert_one_line(result, "clip.mp4", "input")
    assert source.read_bytes() == video.read_bytes()


def test_a_domain_with_two_frames(tmp_path: Path, video: Path) -> None:
    write_video(tmp_path / "short.mp4", np.zeros((2, 48, 64, 3), np.uint8), fps=12)
    (tmp_path / "task.toml").write_text("[extract]\nshort_side = 48\n[train]\nframes = 3\nsize = [48, 48]\n")
    arguments = (
        "train",
        tmp_path / "task.toml",
        "--a",
        video,
        "--b",
        tmp_path / "short.mp4",
        "--out",
        tmp_path / "run",
    )
    assert_one_line(recycle(*arguments), "domain b", "2 frames", "needs 3")


def test_one_side_without_footage(tmp_path: Path, video: Path) -> None:
    result = recycle("train", "signers", "--a", video, "--out", tmp_path / "run")
    assert_one_line(result, "there is no footage for domain b", "--b")


def test_an_unwritable_place(tmp_path: Path, video: Path, model: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_one_line(recycle("translate", video, tmp_path / "file" / "out.mp4", "--model", model, "--to", "b"), "file")


def test_a_crop_that_is_no_box(tmp_path: Path, video: Path) -> None:
    assert_one_line(recycle("extract", video, "--out", tmp_path / "o", "--crop", "1,2,x,4"), "1,2,x,4", code=2)
    assert_one_line(recycle("extract", video, "--out", tmp_path / "o", "--crop", "0,0,999,9"), "999×9", "64×48")


def test_an_unknown_scale(tmp_path: Path, video: Path, model: Path) -> None:
    result = recycle("translate", video, tmp_path / "o.mp4", "--model", model, "--to", "b", "--scale", "huge")
    assert_one_line(result, "scale", "huge")


def test_probe_speaks_to_people_and_to_programs(video: Path) -> None:
    assert "64x48" in recycle("probe", video).stdout
    assert '"width":64' in recycle("probe", video, "--json", "--no-cuts").stdout


def test_probe_looks_into_folders_and_says_what_it_leaves_out(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "frames").mkdir(parents=True)
    for name in ("a.mp4", "b.mkv"):
        shutil.copy(video, folder / name)
    for number in range(3):
        cv2.imwrite(str(folder / "frames" / f"{number}.png"), np.full((48, 64, 3), 80 * number, np.uint8))
    (folder / "night.street").write_text('look = "night"\nseconds = 0.5\nwidth = 64\nheight = 48')
    (folder / "notes.txt").write_text("no video")
    (folder / "cut off.mp4").write_bytes(b"nothing")

    told = recycle("probe", folder, "--no-cuts", "--json")
    assert [Path(json.loads(line)["path"]).name for line in told.stdout.splitlines()] == [
        *("a.mp4", "b.mkv", "frames", "night.street"),
    ]
    assert told.stderr.splitlines() == [
        f"error: {folder}/cut off.mp4 is not a readable video file, or its header is incomplete",
        f"{folder}: left out: notes.txt (not a video)",
    ]
    assert told.returncode == 1

    (folder / "cut off.mp4").unlink()
    shown = recycle("probe", folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        *(str(folder / name) for name in ("a.mp4", "b.mkv", "frames", "night.street")),
        f"{folder}: left out: notes.txt (not a video)",
    ]
    (tmp_path / "empty").mkdir()
    assert_one_line(recycle("probe", tmp_path / "empty"), "holds no video and no numbered images")


@pytest.mark.parametrize("name", ["street.webm", "street.gif", "street.txt", "street"])
def test_a_street_is_a_video_with_a_usual_suffix(name: str, tmp_path: Path) -> None:
    done = recycle("street", name, "--seconds", "0.5", "--width", "64", "--height", "48", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write {name}: its suffix must be one of .mp4 .m4v .mov .mkv\n"
    assert not list(tmp_path.iterdir())


def test_a_street_is_filmed_once(tmp_path: Path) -> None:
    arguments = ("street", "night.mp4", "--look", "night", "--seconds", "0.5", "--width", "64", "--height", "48")
    assert recycle(*arguments, cwd=tmp_path).returncode == 0
    assert_one_line(recycle(*arguments, cwd=tmp_path), "night.mp4 exists", "--overwrite")


def test_a_shipped_pipeline_can_be_printed_and_used() -> None:
    listed = recycle("pipelines").stdout
    assert "signers" in listed
    text = recycle("pipelines", "signers").stdout
    assert 'name = "signers"' in text
    (address,) = [line.removeprefix("#:schema file://") for line in text.splitlines() if line.startswith("#:schema")]
    assert json.loads(Path(address).read_text())["title"] == "Pipeline"
    assert_one_line(recycle("pipelines", "nosuch"), "nosuch", "signers")


def test_an_absent_device(tmp_path: Path, video: Path, model: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    result = recycle("translate", video, tmp_path / "o.mp4", "--model", model, "--to", "b", "--device", "cuda")
    assert_one_line(result, "cuda")


def test_doctor_fits_on_one_screen_and_tells_the_truth() -> None:
    result = recycle("doctor")
    assert result.returncode == 0, result.stderr
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert len(lines) < 24
    assert lines["torch"] == torch.__version__.split("+")[0]
    assert re.fullmatch(r"\d+\.\d times as fast as (bf16|fp32) on the CPU \(openvino [\d.]+\)", lines["int8"])
    assert lines["h264"].startswith("libx264, 8 and 10 bits, in .mp4")
    assert torch.cuda.is_available() or lines["hardware"] == "no GPU encoder works here"


def refusal(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that is refused writes to standard error; run in this process, which is quicker."""
    monkeypatch.setattr(sys, "argv", ["recycle", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "quick"], "unknown preset 'quick'; presets of h264: ultrafast"),
        (["--crf", "60"], "crf 60 is out of range: h264 takes 0 to 51"),
        (["--crf", "20", "--bitrate", "100000"], "give 'crf' or 'bitrate', not both"),
        (["--option", "nosuch=1"], "the encoder option 'nosuch' is not allowed for libx264"),
        (["--pixel-format", "yuv999"], "not a pixel format"),
        (["--codec", "vp9", "--depth", "10"], "recycle writes vp9 with 8 bits only"),
        (["--start", "soon"], "the start 'soon' is not a time; write seconds"),
        (["--start", "5", "--end", "0:04"], "the end 0:04 is not after the start 5"),
        (["--start", "1000"], "there is no frame between --start and --end"),
    ],
)
def test_wishes_that_cannot_be_met(
    tmp_path: Path,
    video: Path,
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["translate", str(video), str(tmp_path / "out.mp4"), "--model", "identity", "--to", "b", *options]
    errors = [line for line in refusal(words, monkeypatch, capsys).splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--features", "nosuch.pth"], "cannot read the feature network nosuch.pth"),
        (["--features", "street", "--device", "tpu"], "unknown device 'tpu'"),
        (["--labels", "b", "--palette", "nosuch.txt"], "cannot read the palette nosuch.txt"),
        (["--labels", "winter"], "there is no domain 'winter'; give a or b"),
        (["--trained-b", "nosuch"], "nosuch holds no extracted footage; make it with 'recycle extract"),
    ],
)
def test_scores_that_cannot_be_had_are_told_before_any_work(
    tmp_path: Path,
    video: Path,
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["evaluate", "--model", "identity", "--a", str(video), "--out", str(tmp_path / "out"), *options]
    assert message in refusal(words, monkeypatch, capsys)
    assert not (tmp_path / "out" / "translated" / "clip_ab.mp4").exists()


def succeed(words: Sequence[str | Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command in this process."""
    monkeypatch.setattr(sys, "argv", ["recycle", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0


@pytest.mark.parametrize("kind", ["extract", "street", "translate", "translate a folder"])
def test_a_program_gets_json_lines_and_a_log_gets_plain_ones(
    kind: str, tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "clip.mp4").write_bytes(video.read_bytes())
    chosen = ["--model", "identity", "--to", "b", "--preset", "ultrafast"]
    small = ["--seconds", "0.5", "--width", "64", "--height", "48"]
    cases: dict[str, tuple[list[str | Path], str, str]] = {
        "extract": (["extract", video, "--out", "{}"], "extracting", "1 extracted, 0 already there, 0 failed"),
        "street": (["street", "{}.mp4", *small], "filming {}.mp4 (day)", "wrote "),
        "translate": (["translate", video, "{}.mp4", *chosen], "translating clip.mp4", "wrote "),
        "translate a folder": (["translate", tmp_path / "in", "{}", *chosen], "clip.mp4", "1 translated, 0 already"),
    }
    words, what, last = cases[kind]
    monkeypatch.chdir(tmp_path)
    succeed([str(word).format("json") for word in words] + ["--json"], monkeypatch)
    written = capsys.readouterr()
    assert written.err == ""
    events = [json.loads(line) for line in written.out.splitlines()]
    assert {event["event"] for event in events} == {"file" if "folder" in kind else "progress", "notice"}
    own = [event for event in events if event["event"] != "notice"]
    assert {event.get("what", event.get("name")) for event in own} == {what.format("json")}
    assert own[-1]["done"] == own[-1]["total"] == 12
    assert events[-1]["text"].startswith(last)

    succeed([str(word).format("plain") for word in words], monkeypatch)
    written = capsys.readouterr()
    assert written.out.splitlines()[-1].startswith(last)
    lines = written.err.splitlines()
    if "folder" in kind:
        assert lines[0].startswith("1 running")
        assert lines[1] == "done    clip.mp4  12 frames"
        assert lines[-1].startswith("1 done   12/12 frames, ")
    else:
        what = what.format("plain")
        assert lines[0] == f"{what} …"
        assert lines[-1].startswith(f"{what}: 12/12 frames, in 0:00:0")
    assert not any("0/0" in line or "?" in line for line in lines)


def test_options_of_folders_and_of_files_are_not_mixed(tmp_path: Path, video: Path) -> None:
    chosen = ["--model", "identity", "--to", "b"]
    assert_one_line(recycle("translate", video, tmp_path / "out.mp4", *chosen, "--watch"), "for a folder", code=2)
    assert_one_line(recycle("translate", video.parent, tmp_path / "out", *chosen, "--preview"), "single file", code=2)


def test_a_preview_is_short_and_beside_the_source(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    write_video(film, (np.full((48, 64, 3), 2 * i, np.uint8) for i in range(100)), fps=10)
    result = recycle("translate", film, tmp_path / "out.mp4", "--model", "identity", "--to", "b", "--preview")
    assert result.returncode == 0, result.stderr
    with open_source(tmp_path / "out.mp4") as reader:
        frames = [frame.pixels for frame in reader]
    assert len(frames) == 40
    assert frames[0].shape == (48, 128, 3)
    assert abs(int(frames[0].mean()) - 60) <= 2  # from 3 to 7 s of 10


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["tra"], {"train", "translate"}),
        (["translate", "--codec", ""], {"h264", "hevc", "av1", "vp9", "prores", "ffv1"}),
        (["evaluate", "--which", "l"], {"last"}),
        (["translate", "--to", ""], {"a", "b"}),
        (["train", "--prec"], {"--precision"}),
    ],
)
def test_the_shell_completes_commands_options_and_choices_without_torch(words: list[str], offered: set[str]) -> None:
    code = "import sys; sys.argv = ['recycle']\nfrom recycle.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print(*(bool(sys.modules.get(name)) for name in ('torch', 'pydantic', 'cv2', 'rich')))"
    asked = {
        "_RECYCLE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["recycle", *words]),
        "COMP_CWORD": str(len(words)),
    }
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **asked}
    )
    *lines, modules = result.stdout.splitlines()
    assert set(lines) == offered
    assert modules == "False False False False"


def test_completion_can_be_installed(tmp_path: Path) -> None:
    """As a user of bash does, in a home folder of its own: the script asks the program `recycle`."""
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-m", "recycle", "--install-completion", "bash"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    scripts = [path.read_text() for path in tmp_path.rglob("recycle.sh")]
    assert len(scripts) == 1
    assert "_RECYCLE_COMPLETE=complete_bash" in scripts[0]
    assert "complete -o default -F _recycle_completion recycle" in scripts[0]


@pytest.mark.parametrize("name", ["-walk.mp4", "--out.mp4", "-"])
def test_a_file_that_begins_with_a_dash(name: str, video: Path, tmp_path: Path) -> None:
    shutil.copy(video, tmp_path / name)
    if name != "-":
        assert_one_line(recycle("probe", name, cwd=tmp_path), f"write './{name}'", code=2)
    assert recycle("probe", f"./{name}", cwd=tmp_path).returncode == 0


def test_a_wrong_option_refers_to_the_help_of_its_command() -> None:
    assert_one_line(recycle("probe", "--cut", "x.mp4"), "see 'recycle probe --help'", code=2)
    assert_one_line(recycle("prob", "x.mp4"), "see 'recycle --help'", code=2)
