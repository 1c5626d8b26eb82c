"""A run can be killed, stopped, damaged and continued; its result depends only on the settings."""

import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from safetensors.torch import load_file

from recycle.config import Pipeline, TrainSettings, load_pipeline, parse_pipeline
from recycle.dataset.shots import Shot, find_shots
from recycle.domains import Names
from recycle.errors import BundleError, FootageError, Interrupted, OutputError, RecycleError
from recycle.networks.bundle import load_bundle
from recycle.networks.discriminator import Judgement, PatchDiscriminator
from recycle.run_folder import RunFolder, model_in
from recycle.training.headings import heading
from recycle.training.logs import read_faults
from recycle.training.loop import TrainReport, train
from recycle.training.run import Run
from recycle.training.schedule import learning_rate
from tests.jobs import saying, signalled_at
from tests.processes import descendants, lives, wait_until
from tests.warm import Process

pytestmark = pytest.mark.usefixtures("small_looks")

SETTINGS: dict[str, Any] = {
    "networks": {
        "generator": {"width": 4, "blocks": 1},
        "discriminator": {"width": 4, "layers": 2},
        "predictor": {"encoder": "tu-test_resnet", "width": 4, "depth": 3},
    },
    "losses": {"weights": {"recycle": 10, "recurrent": 10}},
    "train": {
        **{
            "frames": 3,
            "size": [16, 16],
            "steps": 9,
            "batch_size": 2,
            "pool_size": 3,
            "precision": "fp32",
            "device": "cpu",
        },
        **{"checkpoint_every": 3, "preview_every": 4, "log_every": 2, "held_out": 6},
    },
}

CHILD = """
import os, sys
from pathlib import Path
from recycle.config import load_pipeline
from recycle.events import Job, Step
from recycle.dataset.shots import find_shots
from recycle.training.loop import train
pipeline, a, b, out = map(Path, sys.argv[1:5])
signal, at = map(int, sys.argv[5:])
def observe(event):
    if isinstance(event, Step):
        print("step", event.step, flush=True)
        if event.step == at:
            os.kill(os.getpid(), signal)
train(load_pipeline(pipeline), find_shots(a), find_shots(b), out, job=Job(observe))
"""
"""Trains, and sends itself a signal after a step, so that it is the same one on any machine."""


def pipeline(**train_settings: Any) -> Pipeline:
    return parse_pipeline({**SETTINGS, "train": {**SETTINGS["train"], **train_settings}}, where="test")


def write_frames(folder: Path, count: int, *, seed: int, size: tuple[int, int] = (20, 24)) -> Path:
    """Extracted footage: a bright square that moves over noise."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    noise = random.integers(0, 90, (*size, 3), dtype=np.uint8)
    for i in range(count):
        frame = noise.copy()
        frame[4:12, i % 12 : i % 12 + 6] = 200
        cv2.imwrite(str(folder / f"{i:06d}.png"), frame)
    rows = [{"file": f"{i:06d}.png", "shot": 0, "pts": i} for i in range(count)]
    manifest = {"width": size[1], "height": size[0], "frames": rows}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("footage")
    return write_frames(root / "a", 80, seed=1), write_frames(root / "b", 70, seed=2)


def run(task: Pipeline, footage: tuple[Path, Path], out: Path) -> TrainReport:
    a, b = (find_shots(folder) for folder in footage)
    return train(task, a, b, out)


def same_run(one: Path, other: Path) -> None:
    """Weights, averages, optimiser moments, pools and random state are equal to the last bit."""
    first, second = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (one, other))
    assert first.pop("pipeline") == second.pop("pipeline")
    for key in ("footage", "trained_on"):
        assert first.pop(key) == second.pop(key) != {}
    assert first["step"] == second["step"]
    assert first.pop("clock")["seconds"] > 0 < second.pop("clock")["seconds"]
    assert len(first["health"]["values"].pop("waiting")) == len(second["health"]["values"].pop("waiting")) > 0
    torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=False)
    bundles = [load_file(run / "model" / "model.safetensors") for run in (one, other)]
    torch.testing.assert_close(bundles[0], bundles[1], rtol=0, atol=0)


def start(task: Path, footage: tuple[Path, Path], out: Path, *, stop: int = 0, at: int = -1, **how: Any) -> Process:
    """Train in a process that sends itself the signal `stop` after the step `at`."""
    return Process("-c", CHILD, task, *footage, out, int(stop), at, **how)


def wait_for_step(process: Process, step: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == f"step {step}":
            return
    assert process.stderr is not None
    raise AssertionError(f"no step {step}: {process.stderr.read()}")


@pytest.fixture(scope="module")
def uninterrupted(footage: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    (out / "task.toml").write_text(to_toml())
    process = start(out / "task.toml", footage, out)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return out


def to_toml(**train: Any) -> str:
    groups = {f"networks.{name}": own for name, own in SETTINGS["networks"].items()}
    groups |= {"losses.weights": SETTINGS["losses"]["weights"], "train": SETTINGS["train"] | train}
    return "\n".join(
        "\n".join([f"[{group}]", *(f"{key} = {json.dumps(value)}" for key, value in own.items())])
        for group, own in groups.items()
    )


@pytest.mark.parametrize("kill_at", [1, 5])
def test_a_killed_run_continues_to_the_same_result(
    kill_at: int, uninterrupted: Path, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    start(uninterrupted / "task.toml", footage, out, stop=signal.SIGKILL, at=kill_at).communicate()
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == kill_at // 3 * 3
    run(load_pipeline(uninterrupted / "task.toml"), footage, out)
    same_run(out, uninterrupted)
    assert not list(out.rglob("*.partial*"))


def test_an_interrupted_run_saves_and_continues(
    uninterrupted: Path, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    _, errors = start(uninterrupted / "task.toml", footage, out, stop=signal.SIGINT, at=4).communicate()
    assert "stopped and saved at step 4; run the same command again" in errors
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 4
    run(load_pipeline(uninterrupted / "task.toml"), footage, out)
    same_run(out, uninterrupted)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Frames so large that a run of tiny networks mostly waits for one loading process."""
    root = tmp_path_factory.mktemp("large")
    return write_frames(root / "a", 20, seed=1, size=(480, 640)), write_frames(root / "b", 20, seed=2, size=(480, 640))


@pytest.mark.parametrize("stopping", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_waits_for_its_loaders_saves_when_all_its_processes_are_stopped(
    stopping: signal.Signals, large: tuple[Path, Path], tmp_path: Path
) -> None:
    """As Ctrl-C in a terminal and a cluster's end of time do."""
    (tmp_path / "task.toml").write_text(to_toml(workers=1, steps=100_000))
    process = start(tmp_path / "task.toml", large, tmp_path / "run", start_new_session=True)
    wait_for_step(process, 2)
    os.killpg(process.pid, stopping)
    _, errors = process.communicate()
    match = re.search(r"stopped and saved at step (\d+)", errors)
    assert match, errors
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == int(match[1]) >= 2


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_killed_run_leaves_no_process_behind(footage: tuple[Path, Path], tmp_path: Path) -> None:
    """Neither those that load clips nor the fork server and the resource tracker of multiprocessing."""
    (tmp_path / "task.toml").write_text(to_toml(workers=2, steps=100_000))
    process = start(tmp_path / "task.toml", footage, tmp_path / "run")
    wait_for_step(process, 2)
    others = descendants(process.pid)
    assert len(others) >= 4
    with pytest.raises(OutputError, match=r"another recycle process is using .*/run; wait for it, stop it, or give"):
        run(pipeline(), footage, tmp_path / "run")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not any(lives(other) for other in others))


def test_a_terminal_that_closes_saves_and_stops_but_not_under_nohup(footage: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = (find_shots(folder) for folder in footage)

    def go() -> TrainReport:
        return train(pipeline(steps=4), a, b, tmp_path, job=signalled_at(2, signal.SIGHUP))

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises(Interrupted, match="stopped and saved at step 2; run the same command again to continue"):
            go()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
        shutil.rmtree(tmp_path)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert go().step == 4
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_leftovers_of_a_killed_save_are_removed_but_not_files_of_a_running_process(
    footage: tuple[Path, Path], tmp_path: Path
) -> None:
    gone, living = 2**22 + 1, os.getppid()  # Linux has no greater process id than 2^22
    for process in (gone, os.getpid(), living):
        for name in (f".checkpoint.{process}.partial.pt", f"model/.model.{process}.partial.safetensors"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"half")
        for folder in ("model-best", "previews", "held-out"):
            (tmp_path / folder / f".some.thing.{process}.partial.png").mkdir(parents=True)
    (tmp_path / "previews" / ".mine.partial").touch()
    (tmp_path / "previews" / "notes.1.partial.txt").touch()
    run(pipeline(steps=1), footage, tmp_path)
    left = {path.name for path in tmp_path.rglob("*.partial*")}
    assert {name for name in left if f".{living}." not in name} == {".mine.partial", "notes.1.partial.txt"}
    assert len(left) == 2 + 3
    assert len(list(tmp_path.rglob(f"*.{living}.partial*"))) == 5


def test_a_finished_run_has_a_model_previews_and_curves(uninterrupted: Path, footage: tuple[Path, Path]) -> None:
    bundle = load_bundle(uninterrupted / "model")
    assert bundle.config.step == 9
    assert bundle.config.short_side == 20
    names = {path.name for path in (uninterrupted / "previews").iterdir()}
    assert names == {f"step-00000{n}.{kind}" for n in (4, 8, 9) for kind in ("png", "mp4")}
    picture = cv2.imread(str(uninterrupted / "previews" / "step-000009.png"))
    assert picture is not None
    band = heading([""], 6 * 24).shape[0]
    assert picture.shape == (2 * (band + 3 * 6 * 20), 4 * 6 * 24, 3)  # two directions of three times, enlarged
    report = run(pipeline(), footage, uninterrupted)
    assert report.step == report.resumed_from == 9


def test_more_steps_continue_a_finished_run(footage: tuple[Path, Path], tmp_path: Path) -> None:
    run(pipeline(steps=3), footage, tmp_path)
    report = run(pipeline(steps=5), footage, tmp_path)
    assert (report.resumed_from, report.step) == (3, 5)


@pytest.mark.parametrize("lost", ["damaged", "missing"])
def test_the_models_of_a_finished_run_are_written_again(
    lost: str, uninterrupted: Path, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(uninterrupted, tmp_path / "run")
    task, where = load_pipeline(uninterrupted / "task.toml"), RunFolder(tmp_path / "run")
    weights = where.model / "model.safetensors"
    before, step = weights.read_bytes(), load_bundle(where.model).config.step
    for model in filter(Path.exists, (where.model, where.best)):
        if lost == "damaged":
            (model / "model.safetensors").write_bytes(before[:1000])
        else:
            shutil.rmtree(model)
    report = run(task, footage, where.folder)
    assert weights.read_bytes() == before
    assert f"{where.model} was missing or damaged: it holds the model of step {step} again" in report.notices
    assert model_in(where.folder) == where.model
    assert load_bundle(where.model).config.step == step
    assert not run(task, footage, where.folder).notices


def test_messages_and_the_model_have_the_names_of_the_domains(footage: tuple[Path, Path], tmp_path: Path) -> None:
    told: list[str] = []
    few = write_frames(tmp_path / "few", 3, seed=5)
    named = parse_pipeline({**pipeline(steps=1).model_dump(), "domains": ["summer", "winter"]}, where="test")
    train(named, find_shots(footage[0]), find_shots(few), tmp_path / "run", job=saying(told))
    assert any(text.startswith("domain winter has too little footage to hold out frames") for text in told)
    assert any(text.startswith("domain winter has only 1 clip;") for text in told)
    assert not any(re.search(r"\bdomain [ab]\b", text) for text in told)
    assert load_bundle(tmp_path / "run" / "model").config.domains == ("summer", "winter")
    assert json.loads((tmp_path / "run" / "pipeline.json").read_text())["domains"] == ["summer", "winter"]


def test_a_run_from_before_it_had_names_continues_with_names(footage: tuple[Path, Path], tmp_path: Path) -> None:
    run(pipeline(steps=2), footage, tmp_path)
    assert "domains" not in json.loads((tmp_path / "pipeline.json").read_text())
    named = pipeline(steps=3).model_copy(update={"domains": Names("summer", "winter")})
    assert run(named, footage, tmp_path).resumed_from == 2
    assert load_bundle(tmp_path / "model").config.domains == ("summer", "winter")
    renamed = named.model_copy(update={"domains": Names("green", "white")})
    assert run(renamed, footage, tmp_path).resumed_from == 3  # nothing is left to train
    for model in ("model", "model-best"):
        assert load_bundle(tmp_path / model).config.domains == ("green", "white")
    assert run(pipeline(steps=3), footage, tmp_path).resumed_from == 3
    assert "domains" not in json.loads((tmp_path / "model" / "config.json").read_text())


def test_the_number_of_loading_processes_changes_nothing(footage: tuple[Path, Path], tmp_path: Path) -> None:
    for workers in (0, 2):
        run(pipeline(steps=3, workers=workers), footage, tmp_path / str(workers))
    one, other = (load_file(tmp_path / w / "model" / "model.safetensors") for w in ("0", "2"))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_damaged_checkpoint_is_an_error_and_stays(footage: tuple[Path, Path], tmp_path: Path) -> None:
    run(pipeline(steps=1), footage, tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    damaged = checkpoint.read_bytes()[:-1000]
    checkpoint.write_bytes(damaged)
    with pytest.raises(BundleError, match="cannot read the checkpoint"):
        run(pipeline(steps=2), footage, tmp_path)
    assert checkpoint.read_bytes() == damaged


def test_a_checkpoint_of_another_version_is_an_error_and_stays(footage: tuple[Path, Path], tmp_path: Path) -> None:
    run(pipeline(steps=1), footage, tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    del state["format"], state["optimiser_translators"]
    torch.save(state, checkpoint)
    older = checkpoint.read_bytes()
    with pytest.raises(BundleError, match="an incompatible version of recycle; give another --out"):
        run(pipeline(steps=2), footage, tmp_path)
    assert checkpoint.read_bytes() == older


def test_other_settings_do_not_continue_a_run(footage: tuple[Path, Path], tmp_path: Path) -> None:
    run(pipeline(steps=1), footage, tmp_path)
    with pytest.raises(RecycleError, match=r"train\.ema = 0\.\d+, the pipeline now says 0\.1"):
        run(pipeline(steps=2, ema=0.1), footage, tmp_path)
    lighter = parse_pipeline({**SETTINGS, "losses": {"weights": {"recycle": 5, "recurrent": 10}}}, where="test")
    with pytest.raises(RecycleError, match=r"losses\.weights\.recycle = 10\.0, the pipeline now says 5\.0; restore"):
        run(lighter, footage, tmp_path)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("role", ["patch", "projected"])
def test_settings_that_files_omit_are_compared_too(tmp_path: Path, role: str, before: bool) -> None:
    a, b = (write_frames(tmp_path / name, 30, seed=1, size=(24, 24)) for name in "ab")
    out = tmp_path / "run"

    def judging(by_kind: bool, steps: int) -> Pipeline:
        own = {"kind": role, "by_kind": by_kind} | (
            {"norm": "spectral", "width": 8, "layers": 1} if role == "patch" else {}
        )
        networks = {**SETTINGS["networks"], "discriminator": [own]}
        train_settings = {**SETTINGS["train"], "steps": steps, "size": [24, 24]}
        return parse_pipeline({**SETTINGS, "networks": networks, "train": train_settings}, where="test")

    run(judging(before, 1), (a, b), out)
    words = rf"networks\.discriminator\.by_kind = {before}, the pipeline now says {not before}; restore that"
    with pytest.raises(RecycleError, match=words):
        run(judging(not before, 2), (a, b), out)
    run(judging(before, 2), (a, b), out)


def test_other_footage_does_not_continue_a_run_but_more_of_it_does(footage: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = footage
    out = tmp_path / "run"
    run(pipeline(steps=1), (a, b), out)
    told = (out / "pipeline.json").read_bytes()
    other = write_frames(tmp_path / "other-0123abcd", 30, seed=5)
    for steps in (1, 2):  # finished or not
        with pytest.raises(RecycleError, match=r"trained on other footage of domain b \(b; now other-0123abcd\)"):
            run(pipeline(steps=steps), (a, other), out)
    assert (out / "pipeline.json").read_bytes() == told
    for number, (more, change) in enumerate(
        (
            ([b, other], "sources: 1, missing: 0"),
            ([other], "sources: 0, missing: 1"),
            ([tmp_path / "other-ffff0000"], "sources: 1, missing: 1"),
        )
    ):
        if not more[0].exists():  # the same source after a change
            other.rename(more[0])
        shots = [shot for folder in more for shot in find_shots(folder)]
        notices = train(pipeline(steps=2 + number), find_shots(a), shots, out).notices
        assert [notice for notice in notices if f"new {change}" in notice], notices
        again = train(pipeline(steps=2 + number), find_shots(a), shots, out)
        assert (again.step, again.notices) == (2 + number, [])


def test_a_renamed_source_is_the_same_footage(footage: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = footage[0], write_frames(tmp_path / "anna-0123abcd", 60, seed=2)
    run(pipeline(steps=1), (a, b), tmp_path / "run")
    b = b.rename(tmp_path / "berta-0123abcd")
    report = run(pipeline(steps=2), (a, b), tmp_path / "run")
    assert report.step == 2
    assert [notice for notice in report.notices if "sources: 1, missing: 1" in notice]


def test_frames_that_were_trained_on_are_not_held_out_later(footage: tuple[Path, Path], tmp_path: Path) -> None:
    """The end of the second source was held out; without it, the end of the first would be."""
    a, out = footage[0], tmp_path / "run"
    sources = [write_frames(tmp_path / name, 80, seed=seed) for seed, name in enumerate(("one", "two"))]

    def go(steps: int, *b: Path) -> list[str]:
        shots = [shot for folder in b for shot in find_shots(folder)]
        task = pipeline(steps=steps, preview_every=1)
        notices = train(task, find_shots(a), shots, out).notices
        return [notice for notice in notices if "used for training before" in notice]

    def held_out() -> list[str]:
        return sorted(file.name for file in (out / "held-out").iterdir())

    def scored() -> set[int]:
        return {int(step) for step in json.loads((out / "validation.json").read_text())["scores"]}

    assert go(2, *sources) == []
    first = held_out()
    assert [name[0] for name in first] == ["a", "b"]
    for steps in (4, 6):  # the second call knows it, too
        (told,) = go(steps, sources[0])
        assert "the held-out frames of domain b were used for training before" in told
        assert held_out() == first[:1]
    assert scored() == {3, 4, 5, 6}, "scores of other clips do not compare"
    assert go(7, sources[0], write_frames(tmp_path / "three", 80, seed=9)) == []
    assert len(held_out()) == 2
    assert scored() == {7}


def test_a_setting_that_became_invalid_does_not_prevent_continuing(footage: tuple[Path, Path], tmp_path: Path) -> None:
    task = parse_pipeline({**SETTINGS, "losses": {"weights": {"cycle": 1}}}, where="test")
    run(task.model_copy(update={"train": task.train.model_copy(update={"steps": 1})}), footage, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    saved = json.loads(state["pipeline"])
    saved["train"]["predictor_rate"] = 2.0  # does nothing without predictors
    torch.save({**state, "pipeline": json.dumps(saved)}, tmp_path / "checkpoint.pt")
    report = run(task.model_copy(update={"train": task.train.model_copy(update={"steps": 2})}), footage, tmp_path)
    assert (report.resumed_from, report.step) == (1, 2)


@pytest.mark.parametrize("seconds", [3600.0, 1e-4])
def test_any_rate_of_frames_can_be_trained_on(seconds: float, footage: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = ([replace(shot, interval=seconds) for shot in find_shots(folder)] for folder in footage)
    train(pipeline(steps=1), a, b, tmp_path)
    assert len(list((tmp_path / "held-out").iterdir())) == 2


def test_a_domain_with_two_frames_is_an_error(footage: tuple[Path, Path], tmp_path: Path) -> None:
    short = write_frames(tmp_path / "short", 2, seed=3)
    with pytest.raises(FootageError, match=r"domain b has too little footage.*2 frames.*needs 3"):
        run(pipeline(), (footage[0], short), tmp_path / "run")


def test_little_footage_is_a_notice(footage: tuple[Path, Path], tmp_path: Path) -> None:
    report = run(pipeline(steps=1), footage, tmp_path)
    assert [notice.split(";")[0] for notice in report.notices] == [
        "domain a has only 72 clips",
        "domain b has only 62 clips",
    ]


def test_frames_smaller_than_the_training_size_are_an_error(footage: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FootageError, match=r"train\.size 32x16 .* is larger than the frames of domain a \(20x24\)"):
        run(pipeline(size=[32, 16]), footage, tmp_path)


def test_losses_that_stay_infinite_end_the_run_with_their_name(footage: tuple[Path, Path], tmp_path: Path) -> None:
    task = pipeline()
    weights = task.losses.weights.model_copy(update={"recycle": 1e39})  # more than a file may ask for
    task = task.model_copy(update={"losses": task.losses.model_copy(update={"weights": weights})})
    with pytest.raises(RecycleError, match=r"the loss recycle is not finite, again after 3 rollbacks"):
        run(task, footage, tmp_path)


def test_one_bad_step_is_rolled_back(footage: tuple[Path, Path], tmp_path: Path) -> None:
    """A bit flip in memory, say: one activation becomes NaN at the fifth step."""
    calls = 0

    def poison(module: Any, inputs: Any, output: Any) -> Any:
        nonlocal calls
        if not isinstance(module, PatchDiscriminator):
            return None
        calls += 1
        if calls != 17:
            return None
        return Judgement(tuple(logits * float("nan") for logits in output.logits), output.layers)

    handle = torch.nn.modules.module.register_module_forward_hook(poison)
    try:
        report = run(pipeline(), footage, tmp_path)
    finally:
        handle.remove()
    assert report.step == 9
    words = "went back to the last checkpoint, step 3, to continue at 0.5 of"
    told = [text for text in report.notices if words in text]
    assert read_faults(RunFolder(tmp_path)) == told != []
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    rates = [group["lr"] for group in state["optimiser_translators"]["param_groups"]]
    assert rates == [pytest.approx(learning_rate(8, TrainSettings(steps=9)) / 2)] * 2
    assert run(pipeline(steps=10), footage, tmp_path).step == 10
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["slowing"] == 0.5
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    assert read_faults(RunFolder(tmp_path)) == told  # a report of the run that went on still tells of it
    for file in tmp_path.glob("checkpoint*.pt"):
        file.unlink()
    run(pipeline(steps=1), footage, tmp_path)
    assert read_faults(RunFolder(tmp_path)) == []  # another run


def test_shots_are_read_as_rgb(tmp_path: Path) -> None:
    red = np.zeros((4, 5, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "0.png"), red)
    frame = Shot((tmp_path / "0.png",), 5, 4).read(0)
    assert frame.shape == (3, 4, 5)
    assert frame[:, 0, 0].tolist() == [255, 0, 0]


def test_rates_may_be_lowered_as_warnings_advise(footage: tuple[Path, Path], tmp_path: Path) -> None:
    run(pipeline(steps=2), footage, tmp_path)
    run(pipeline(steps=3, learning_rate=1e-6, discriminator_rate=0.5, decay=0), footage, tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    rates = [state[f"optimiser_{part}"]["param_groups"][0]["lr"] for part in ("translators", "discriminators")]
    assert rates == [1e-6, 5e-7]


def fp16(scale: float) -> Fabric:
    """fp16 with its loss scaler, which doubles its scale at every second step that goes well."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
    fabric = Fabric(accelerator="cpu", plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
    fabric.launch()
    return fabric


def test_fp16_continues_with_its_loss_scale(footage: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = (find_shots(folder) for folder in footage)
    for folder, lengths in ((tmp_path / "one", [5]), (tmp_path / "two", [3, 5])):
        for steps in lengths:
            task = pipeline(steps=steps, decay=0)
            train(task, a, b, folder, fabric=fp16(8.0))
    one, two = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two"))
    assert one["loss_scaler"]["scale"] == two["loss_scaler"]["scale"] == 32
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two")]
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


def test_fp16_leaves_out_a_step_whose_gradients_overflow(footage: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = (find_shots(folder) for folder in footage)
    task = pipeline(steps=1, ema=0)
    before = Run(task, tmp_path, fp16(1.0), short_side=20).average.bundle.state_dict()
    train(task, a, b, tmp_path, fabric=fp16(2.0**60))
    torch.testing.assert_close(load_file(tmp_path / "model" / "model.safetensors"), before, rtol=0, atol=0)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["loss_scaler"]["scale"] == 2.0**59


def test_footage_that_cannot_be_held_out_is_reported(footage: tuple[Path, Path], tmp_path: Path) -> None:
    short = write_frames(tmp_path / "short", 30, seed=3)
    notices = run(pipeline(steps=1), (footage[0], short), tmp_path / "run").notices
    assert [text for text in notices if "to hold out frames" in text] == [notices[0]]
    assert notices[0].startswith("domain b ")
