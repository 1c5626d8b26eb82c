"""Training in two processes, on the CPU with gloo: the same as one with twice the batch; stopped, killed, continued."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from recycle.config import Pipeline, load_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import ConfigError, Interrupted
from recycle.networks.bundle import load_bundle
from recycle.training.loop import TrainReport, train
from recycle.training.processes import on_devices
from tests.jobs import signalled_at
from tests.processes import PATIENCE, descendants, lives, wait_until
from tests.training.test_loop import write_frames
from tests.warm import Process

pytestmark = pytest.mark.usefixtures("small_looks")

TASK = """
[networks]
generator = {{ width = 4, blocks = 1 }}
discriminator = {{ width = 4, layers = 2 }}
predictor = {{ encoder = "tu-test_resnet", width = 4, depth = 3 }}
[losses]
{losses}
[train]
device = "cpu"
frames = 3
precision = "fp32"
size = [16, 16]
held_out = 6
preview_every = 100_000
checkpoint_every = 3
log_every = 1
{train}
"""

DISTURBED = """
import os, signal, sys
import torch
from recycle.cli import main
from recycle.networks.predictor import SmpPredictor
what, steps = sys.argv.pop(1), -1  # the first pass measures memory
def disturb(module, inputs, output):
    global steps
    if isinstance(module, SmpPredictor) and os.environ["LOCAL_RANK"] == "1":
        steps += 0.5  # one predictor for each domain
        if what == "stop" and steps == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        if what == "poison" and steps == 2:
            return output * float("nan")
torch.nn.modules.module.register_module_forward_hook(disturb)
main()
"""
"""The command line, but the second process is asked to stop in its first step, or finds a bit flipped in memory in its
second."""

COUNTED = """
import sys
import torch.distributed as dist
from recycle.cli import main
from recycle.training import loop
calls, out = [], sys.argv.pop(1)
def counted(name):
    own = getattr(dist, name)
    def call(*given, **named):
        calls.append(name)
        return own(*given, **named)
    setattr(dist, name, call)
for name in ("all_reduce", "broadcast", "broadcast_object_list", "all_gather", "all_gather_object", "barrier"):
    counted(name)
take_step = loop.take_step
def stepping(*given, **named):
    calls.append("step")
    return take_step(*given, **named)
loop.take_step = stepping
try:
    main()
finally:
    print(" ".join(calls), file=open(out, "a"))
"""
"""The command line, but the calls of torch.distributed and the steps are written to a file. DDP's own exchange of
gradients is not among them."""


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Extracted footage: a bright square that moves over noise."""
    folders = tuple(tmp_path_factory.mktemp("footage") / name for name in "ab")
    for seed, folder in enumerate(folders):
        folder.mkdir()
        noise = np.random.default_rng(seed).integers(0, 90, (20, 24, 3), dtype=np.uint8)
        for i in range(40):
            frame = noise.copy()
            frame[4:12, i % 12 : i % 12 + 6] = 200
            cv2.imwrite(str(folder / f"{i:06d}.png"), frame)
        rows = [{"file": f"{i:06d}.png", "shot": 0, "pts": i} for i in range(40)]
        (folder / "manifest.json").write_text(json.dumps({"width": 24, "height": 20, "frames": rows}))
    return folders[0], folders[1]


def write_task(path: Path, *, losses: str, **settings: str) -> Path:
    train = "\n".join(f"{name} = {value}" for name, value in settings.items())
    path.write_text(TASK.format(losses=losses, train=train))
    return path


def start(task: Path, footage: tuple[Path, Path], out: Path, *options: str, program: tuple[str, ...]) -> Process:
    return Process(*program, "train", task, "--a", footage[0], "--b", footage[1], "--out", out, *options)


def here(task: Pipeline, footage: tuple[Path, Path], out: Path, stop_at: int = 0) -> TrainReport:
    """Train in this process, on one device."""
    a, b = (find_shots(folder) for folder in footage)
    return train(task, a, b, out, job=signalled_at(stop_at, signal.SIGTERM))


def read_step(run: Path) -> int:
    """The step of a run's checkpoint; -1: there is none yet."""
    file = run / "checkpoint.pt"
    return int(torch.load(file, weights_only=True)["step"]) if file.exists() else -1


def second_process(first: Process) -> int:
    """The process that the first one started, once that trains."""
    task = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    assert first.poll() is None
    (child,) = task.read_text().split()
    return int(child)


def errors_of(process: Process) -> list[str]:
    """The lines of its errors, at its end."""
    output = process.communicate(timeout=PATIENCE)[1]
    assert "Traceback" not in output
    return re.findall("^error: .*", output, re.MULTILINE)


def moments(run: Path, part: str) -> torch.Tensor:
    """Adam's running mean of all gradients of one side: what a run has learnt from, without Adam's division, which
    makes steps of full length of the rounding errors of a bias before a normalisation."""
    state = torch.load(run / "checkpoint.pt", weights_only=True)[f"optimiser_{part}"]["state"]
    return torch.cat([state[i]["exp_avg"].flatten() for i in sorted(state)])


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    script = tmp_path_factory.mktemp("script") / "disturbed.py"
    script.write_text(DISTURBED)
    return str(script)


@pytest.fixture(scope="module")
def on_two(footage: tuple[Path, Path], disturbed: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes, with a batch of one each and sharded optimisers, stopped after 1 of 4 steps."""
    folder = tmp_path_factory.mktemp("two")
    losses = "weights = { cycle = 10.0, recycle = 10.0, recurrent = 10.0, temporal = 1.0 }"
    task = write_task(folder / "task.toml", losses=losses, steps="4", pool_size="0")
    process = start(task, footage, folder / "run", "--devices", "2", "--sharded", program=(disturbed, "stop"))
    assert errors_of(process) == ["error: stopped and saved at step 1; run the same command again to continue"]
    assert process.returncode == 130
    return folder


def test_two_processes_learn_what_one_learns_from_twice_the_batch(
    on_two: Path, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    settings = load_pipeline(on_two / "task.toml")
    single = settings.model_copy(update={"train": settings.train.model_copy(update={"batch_size": 2})})
    with pytest.raises(Interrupted):
        here(single, footage, tmp_path, stop_at=1)
    for part in ("translators", "discriminators"):
        one, two = moments(tmp_path, part), moments(on_two / "run", part)
        # after one step these are the gradients; it is 1 if both processes work on the same clips
        assert float((one - two).norm() / one.norm()) < 1e-4
    frames = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    one, two = (load_bundle(run / "model").gen_ab(frames) for run in (tmp_path, on_two / "run"))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-3)


def test_a_checkpoint_holds_the_pools_of_both_processes(on_two: Path) -> None:
    seed = load_pipeline(on_two / "task.toml").train.seed
    pools = torch.load(on_two / "run" / "checkpoint.pt", weights_only=True)["pools"]
    drawn = [pools[rank][name]["random"] for rank in (0, 1) for name in ("disc_a", "disc_b")]
    for number, state in enumerate(drawn):
        assert torch.equal(state, torch.Generator().manual_seed(seed + number).get_state())


def test_a_run_of_two_processes_is_continued_by_one(on_two: Path, footage: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(on_two / "run", tmp_path / "run")
    report = here(load_pipeline(on_two / "task.toml"), footage, tmp_path / "run")
    assert (report.resumed_from, report.step) == (1, 4)
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["optimiser_translators"]["state"]
    assert {float(own["step"]) for own in state.values()} == {4.0}


def test_a_run_of_one_process_is_continued_by_two(
    on_two: Path, footage: tuple[Path, Path], disturbed: str, tmp_path: Path
) -> None:
    settings = load_pipeline(on_two / "task.toml")
    single = settings.model_copy(update={"train": settings.train.model_copy(update={"batch_size": 2})})
    for step in (1, 2):
        with pytest.raises(Interrupted):
            here(single, footage, tmp_path / "one", stop_at=step)
        if step == 1:
            shutil.copytree(tmp_path / "one", tmp_path / "two")
    options = ("--devices", "2", "--sharded")
    process = start(on_two / "task.toml", footage, tmp_path / "two", *options, program=(disturbed, "stop"))
    assert errors_of(process) == ["error: stopped and saved at step 2; run the same command again to continue"]
    for part in ("translators", "discriminators"):
        one, two = (moments(tmp_path / name, part) for name in ("one", "two"))
        assert float((one - two).norm() / one.norm()) < 1e-4


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_killed_process_ends_the_other_and_the_run_can_be_continued(
    footage: tuple[Path, Path], disturbed: str, tmp_path: Path
) -> None:
    """Without discriminators, and with generators that nothing teaches at first: what DistributedDataParallel must be
    told of. When the run goes on, a loss of the second process is not finite once."""
    losses = "prediction = { wait = true }\nweights = { adversarial = 0.0, recycle = 10.0, recurrent = 10.0 }"
    task, out = write_task(tmp_path / "task.toml", losses=losses, steps="100_000"), tmp_path / "run"
    process = start(task, footage, out, "--devices", "2", "--hours", "1", program=("-m", "recycle"))
    wait_until(lambda: read_step(out) >= 3)
    os.kill(second_process(process), signal.SIGKILL)
    (error,) = errors_of(process)
    assert process.returncode == 1
    assert "another process of this training ended" in error

    killed = read_step(out)
    last = str(killed + 4)
    process = start(task, footage, out, "--devices", "2", "--steps", last, program=(disturbed, "poison"))
    lines, noise = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, noise
    *said, model, translation = lines.splitlines()
    assert [line.split(";")[0].split(": the networks")[0] for line in said] == [
        f"continuing from step {killed} of {last}",
        "domain a has only 34 clips",
        "domain b has only 34 clips",
        "memory",
        f"step {killed + 1}: the loss recurrent is not finite",
        f"trained {last} steps",
    ]
    assert model.startswith(f"model       {out}/model")
    assert translation.startswith("translate   recycle translate ")
    assert "Warning" not in noise
    first, *others = noise.splitlines()  # the progress, of one process alone
    assert first == "training …"
    assert others[-1].startswith(f"training: {last}/{last} steps, in ")
    assert all(line.startswith("training: ") for line in others)
    assert read_step(out) == killed + 4


def test_a_step_exchanges_its_numbers_and_the_time_that_is_left_at_once(
    footage: tuple[Path, Path], tmp_path: Path
) -> None:
    script, calls = tmp_path / "counted.py", tmp_path / "calls.txt"
    script.write_text(COUNTED)
    task = write_task(tmp_path / "task.toml", losses="weights = { cycle = 10.0 }", hours="0.003")
    process = start(task, footage, tmp_path / "run", "--devices", "2", program=(str(script), str(calls)))
    assert errors_of(process) == []
    made = calls.read_text().splitlines()
    assert len(made) == 2
    for own in made:
        steps = [part.split() for part in own.split("step")[1:]]
        assert len(steps) >= 3
        assert all(step[0] == "all_reduce" for step in steps)
        assert steps.count(["all_reduce"]) >= len(steps) / 4  # the others also held a review, or saved


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_all_processes_end_with_the_first(on_two: Path, footage: tuple[Path, Path], tmp_path: Path) -> None:
    """The second device's, and those that load clips for either, with what multiprocessing has started for them."""
    task = tmp_path / "task.toml"
    task.write_text((on_two / "task.toml").read_text().replace('device = "cpu"', 'device = "cpu"\nworkers = 1'))
    out = shutil.copytree(on_two / "run", tmp_path / "run")
    options = ("--devices", "2", "--sharded", "--steps", "100000")
    process = start(task, footage, out, *options, program=("-m", "recycle"))
    wait_until(lambda: process.poll() is not None or read_step(out) >= 3)
    others = descendants(process.pid)
    assert len(others) >= 1 + 2 * 3
    process.kill()
    process.communicate()
    wait_until(lambda: not any(lives(other) for other in others))


@pytest.mark.parametrize(
    ("variables", "settings", "message"),
    [
        (
            {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "RANK": "0"},
            {"devices": 8},
            "2 nodes with 8 devices each are requested, but torchrun started 2 with 2 processes each",
        ),
        (
            {"SLURM_NTASKS": "6", "SLURM_NTASKS_PER_NODE": "3", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train"},
            {"nodes": 1},
            "1 nodes with 3 devices each are requested, but srun started 2 with 3 processes each",
        ),
        ({}, {"nodes": 2}, "on 2 nodes must be started on each node, with torchrun or srun"),
    ],
)
def test_processes_that_do_not_fit_the_settings(
    variables: dict[str, str], settings: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    task = Pipeline.model_validate({"train": {"device": "cpu", **settings}})
    with pytest.raises(ConfigError, match=message) as error, on_devices(task):
        pass
    assert "\n" not in str(error.value)


def test_two_processes_share_projected_discriminators_and_a_pretrained_generator(tmp_path: Path) -> None:
    """The gradients of their one step are those of one process with twice the batch, and no frozen weight is saved."""
    footage = tmp_path / "a", tmp_path / "b"
    for seed, folder in enumerate(footage):
        write_frames(folder, 40, seed=seed, size=(28, 32))
    text = TASK.format(losses="weights = { cycle = 10.0, colours = 10.0 }", train="steps = 1\npool_size = 0")
    text = text.replace("{ width = 4, blocks = 1 }", '{ kind = "unet", width = 4, skip = true }')
    text = text.replace("{ width = 4, layers = 2 }", '[{ width = 4, layers = 2 }, { kind = "projected", width = 8 }]')
    (tmp_path / "task.toml").write_text(text.replace("[16, 16]", "[24, 24]").replace("frames = 3", "frames = 1"))
    program = ("-c", "from recycle.cli import main; main()")
    process = start(tmp_path / "task.toml", footage, tmp_path / "two", "--devices", "2", program=program)
    assert errors_of(process) == []
    settings = load_pipeline(tmp_path / "task.toml")
    single = settings.model_copy(update={"train": settings.train.model_copy(update={"batch_size": 2})})
    here(single, footage, tmp_path / "one")
    for part in ("translators", "discriminators"):
        one, two = moments(tmp_path / "one", part), moments(tmp_path / "two", part)
        assert float((one - two).norm() / one.norm()) < 1e-4
    state = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)
    assert {key.split(".")[1] for key in state["discriminators"]} == {
        *("disc_a", "disc_b", "projected_disc_a", "projected_disc_b")
    }
    assert not [key for key in state["discriminators"] if "eyes" in key]
