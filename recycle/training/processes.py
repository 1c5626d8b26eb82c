"""Training on many devices: one process for each, started here or by torchrun or srun; watched, and ended together.

The processes that torchrun and srun start find one another by the variables that these set. Else the first process of
a node starts the others by repeating its own command line, with the same variables as torchrun, of which
LOCAL_RANK > 0 tells them that they are such others.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor

from recycle.config import Pipeline, TrainSettings
from recycle.errors import ConfigError, Interrupted, RecycleError
from recycle.training.fabric import make_fabric

T = TypeVar("T")

FIRST_WORD = 3.0
"""Seconds for which other processes leave it to rank 0 to tell of an error and to end them."""

LAST_WORD = 6.0
"""Seconds that a process has to end by itself after another is gone: NCCL would wait for it half an hour."""

_LOST = (
    "another process of this training is gone (its own error, if it had one, stands above); run the same command again "
    "to continue from the last checkpoint"
)
_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
_PARENT = "RECYCLE_PARENT"
"""Variable that holds the process id of the one that started this one."""


@contextmanager
def on_devices(pipeline: Pipeline) -> Iterator[Fabric]:
    """A launched Fabric on all devices that `pipeline.train` asks for; the body runs in one process for each of them.

    What follows the body is for rank 0 alone: the other processes end. An error in one process ends all; rank 0 tells
    of it where it can. Raises ConfigError where there are not that many devices or processes, RecycleError where
    another process is gone.
    """
    settings, losses = pipeline.train, pipeline.losses
    devices, nodes = _world(settings)
    find_unused = len(losses.weights.taught(recycle=not losses.prediction.wait)) < 2
    fabric = make_fabric(settings.device, settings.precision, devices=devices, nodes=nodes, find_unused=find_unused)
    if devices * nodes == 1:
        yield fabric
        return
    with _ending_together(fabric, devices, nodes):
        try:
            fabric.launch()
            yield fabric
            fabric.barrier()
        except RuntimeError as error:
            if isinstance(error, torch.distributed.DistError):
                raise RecycleError(f"the processes of this training do not reach one another: {error}") from error
            if "gloo" not in str(error):
                raise
            raise RecycleError(_LOST) from error
        torch.distributed.destroy_process_group()
    if fabric.global_rank > 0:
        raise SystemExit(0)


def once(fabric: Fabric, work: Callable[[], T]) -> T:
    """What `work` gives on rank 0, on all processes; a RecycleError of it is raised on all."""
    done: tuple[T | None, RecycleError | None] = (None, None)
    with fabric.rank_zero_first():  # unlike a broadcast it waits as long as it takes
        if fabric.is_global_zero:
            try:
                done = work(), None
            except RecycleError as error:
                done = None, error
    result, problem = fabric.broadcast(done)
    if problem is not None:
        raise problem
    return result  # type: ignore[return-value]


def average(fabric: Fabric, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The means over all processes of numbers that each process has under the same names."""
    if fabric.world_size == 1 or not values:
        return values
    means = fabric.all_reduce(torch.stack([value.detach().float() for value in values.values()]), reduce_op="mean")
    return dict(zip(values, means, strict=True))


def any_of(fabric: Fabric, wish: bool) -> bool:
    """Whether any process wishes it; the same answer for all."""
    if fabric.world_size == 1:
        return wish
    return bool(fabric.all_reduce(torch.tensor(float(wish), device=fabric.device), reduce_op="max"))


def _world(settings: TrainSettings) -> tuple[int, int]:
    """Devices of each node, and nodes: as set, else as torchrun or srun started processes, else 1."""
    started = _started()
    given = started[1] if started else (1, 1)
    world = settings.devices or given[0], settings.nodes or given[1]
    if started and world != given:
        raise ConfigError(
            f"{world[1]} nodes with {world[0]} devices each are asked for, but {started[0]} started {given[1]} with "
            f"{given[0]} processes each; leave --devices and --nodes away, or have {started[0]} start as many"
        )
    return world


def started_by() -> str | None:
    """'torchrun' or 'srun' where it started several processes of this training, else None."""
    started = _started()
    return started[0] if started and started[1] != (1, 1) else None


def _started() -> tuple[str, tuple[int, int]] | None:
    """What started this process from outside, with how many on each node, and on how many nodes."""
    if TorchElasticEnvironment.detect():
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return "torchrun", (here, int(os.environ["WORLD_SIZE"]) // here)
    if SLURMEnvironment.detect():
        tasks, nodes = os.environ["SLURM_NTASKS"], int(os.environ.get("SLURM_NNODES", "1"))
        return "srun", (int(os.environ.get("SLURM_NTASKS_PER_NODE", int(tasks) // nodes)), nodes)
    return None


@contextmanager
def _ending_together(fabric: Fabric, devices: int, nodes: int) -> Iterator[None]:
    """Starts the other processes of this node where that is left to us; an error ends all that were started."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    strategy: Any = fabric.strategy
    others = [] if strategy.cluster_environment.creates_processes_externally else _start(devices, nodes)
    over = Event()
    Thread(target=_watch, args=(others, over), daemon=True, name="watch").start()
    try:
        yield
        over.set()
        for process in others:
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
    except BaseException as error:
        over.set()
        if fabric.global_rank > 0:
            _after_rank_zero(error)
        raise
    finally:
        for process in others:
            process.kill()  # does nothing to those that have ended
            process.wait()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _start(devices: int, nodes: int) -> "list[subprocess.Popen[bytes]]":
    """Start all processes of this node but the first, which is this one."""
    if nodes > 1 and not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys():
        raise ConfigError(
            f"training on {nodes} nodes is started on each of them by torchrun or srun, or with MASTER_ADDR, "
            "MASTER_PORT and NODE_RANK set; see docs/guide/gpu.md"
        )
    if nodes == 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0"}
    os.environ |= {"LOCAL_RANK": "0", "WORLD_SIZE": str(devices * nodes)}
    # In a session of their own: the keyboard's Ctrl-C reaches this process alone, which lets all stop at one step.
    return [
        subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env=os.environ | {"LOCAL_RANK": str(rank), _PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        for rank in range(1, devices)
    ]


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


def _watch(others: "list[subprocess.Popen[bytes]]", over: Event) -> None:
    """End this process where one that it started, or that started it, is gone and it does not end by itself."""
    parent = int(os.environ.get(_PARENT, "0"))
    while not over.wait(0.5):
        if any(process.poll() for process in others) or parent not in (0, os.getppid()):
            if not over.wait(LAST_WORD):
                for process in others:
                    process.kill()
                sys.stderr.write(f"error: {_LOST}\n")
                sys.stderr.flush()
                os._exit(1)
            return


def _after_rank_zero(error: BaseException) -> None:
    """Give rank 0 the time to tell of an error that it has too, and to end this process."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        raise SystemExit(130) from error
    with suppress(ValueError):  # not in the main thread: the caller looks after signals
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
    time.sleep(FIRST_WORD)
