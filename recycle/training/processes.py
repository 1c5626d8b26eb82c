"""Training on many devices: one process per device, started here or by torchrun or srun; monitored, and ended together.

Processes that torchrun and srun start find each other through environment variables. Otherwise, the first process of a
node starts the others by repeating its own command line, with the same variables as torchrun; LOCAL_RANK > 0 marks
these other processes.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""Seconds that other processes wait for rank 0 to report an error and end them."""

LAST_WORD = 6.0
"""Seconds that a process has to end by itself after another one ended; NCCL would wait for half an hour."""

_LOST = (
    "another process of this training ended (see its error above, if any); run the same command again to continue from "
    "the last checkpoint"
)
_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
_PARENT = "RECYCLE_PARENT"
"""Environment variable with the process id of the process that started this one."""


@contextmanager
def on_devices(pipeline: Pipeline) -> Iterator[Fabric]:
    """A launched Fabric on all devices that `pipeline.train` requests; the body runs in one process per device.

    Code after the body runs only in rank 0; the other processes end. An error in one process ends all; rank 0 reports
    it if it can. Raises ConfigError if there are not enough devices or processes, RecycleError if another process
    ended.
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
                raise RecycleError(f"the processes of this training cannot reach one another: {error}") from error
            if "gloo" not in str(error):
                raise
            raise RecycleError(_LOST) from error
        torch.distributed.destroy_process_group()
    if fabric.global_rank > 0:
        raise SystemExit(0)


def once(fabric: Fabric, work: Callable[[], T]) -> T:
    """The result of `work` on rank 0, in all processes; a RecycleError that it raises is raised in all processes."""
    done: tuple[T | None, RecycleError | None] = (None, None)
    with fabric.rank_zero_first():  # unlike a broadcast, it has no timeout
        if fabric.is_global_zero:
            try:
                done = work(), None
            except RecycleError as error:
                done = None, error
    result, problem = fabric.broadcast(done)
    if problem is not None:
        raise problem
    return result  # type: ignore[return-value]


def in_numbers(
    fabric: Fabric, groups: Sequence[Mapping[str, Tensor]], beside: Mapping[str, float]
) -> list[dict[str, float]]:
    """Scalars of each group, and the numbers `beside`, as means over all processes, which have the same names.

    One all-reduce sums all of them, and the device is waited for once.
    """
    values = [value.detach() for group in groups for value in group.values()]
    dtype = torch.float64 if any(value.dtype == torch.float64 for value in values) else torch.float32
    values += [torch.full((), number, device=fabric.device) for number in beside.values()]
    vector = torch.stack([value.to(dtype) for value in values])
    if fabric.world_size > 1:
        torch.distributed.all_reduce(vector)  # Fabric's own waits for all processes first
        vector /= fabric.world_size
    numbers = iter(vector.tolist())
    return [{name: next(numbers) for name in group} for group in (*groups, beside)]


def gathered(fabric: Fabric, own: T) -> list[T]:
    """`own` of every process in the order of their ranks, on rank 0; [] in other processes.

    The others send theirs one by one, so that none but rank 0 ever holds more than its own.
    """
    if fabric.global_rank > 0:
        torch.distributed.send_object_list([own], dst=0)
        return []
    box: list[T] = [own]
    found = [own]
    for rank in range(1, fabric.world_size):
        torch.distributed.recv_object_list(box, src=rank)
        found.append(box[0])
    return found


def any_of(fabric: Fabric, wish: bool) -> bool:
    """Whether `wish` is true in any process; the same answer in all processes."""
    if fabric.world_size == 1:
        return wish
    return bool(fabric.all_reduce(torch.tensor(float(wish), device=fabric.device), reduce_op="max"))


def _world(settings: TrainSettings) -> tuple[int, int]:
    """Devices per node, and number of nodes: from the settings, else from torchrun or srun, else 1."""
    started = _started()
    given = started[1] if started else (1, 1)
    world = settings.devices or given[0], settings.nodes or given[1]
    if started and world != given:
        raise ConfigError(
            f"{world[1]} nodes with {world[0]} devices each are requested, but {started[0]} started {given[1]} with "
            f"{given[0]} processes each; omit --devices and --nodes, or start as many with {started[0]}"
        )
    return world


def started_by() -> str | None:
    """'torchrun' or 'srun' if it started several processes of this training, else None."""
    started = _started()
    return started[0] if started and started[1] != (1, 1) else None


def _started() -> tuple[str, tuple[int, int]] | None:
    """The program that started this process, with the number of processes per node and of nodes; None if none did."""
    if TorchElasticEnvironment.detect():
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return "torchrun", (here, int(os.environ["WORLD_SIZE"]) // here)
    if SLURMEnvironment.detect():
        tasks, nodes = os.environ["SLURM_NTASKS"], int(os.environ.get("SLURM_NNODES", "1"))
        return "srun", (int(os.environ.get("SLURM_NTASKS_PER_NODE", int(tasks) // nodes)), nodes)
    return None


@contextmanager
def _ending_together(fabric: Fabric, devices: int, nodes: int) -> Iterator[None]:
    """Start the other processes of this node if nothing else does; an error ends all processes started here."""
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
            process.kill()  # no effect on processes that have ended
            process.wait()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _start(devices: int, nodes: int) -> list[subprocess.Popen[bytes]]:
    """Start all processes of this node except the first, which is this one."""
    if nodes > 1 and not {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK"} <= os.environ.keys():
        raise ConfigError(
            f"training on {nodes} nodes must be started on each node, with torchrun or srun, or with MASTER_ADDR, "
            "MASTER_PORT and NODE_RANK set; see docs/guide/gpu.md"
        )
    if nodes == 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0"}
    os.environ |= {"LOCAL_RANK": "0", "WORLD_SIZE": str(devices * nodes)}
    # In separate sessions, so that Ctrl-C reaches only this process, which stops all of them at the same step.
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


def _watch(others: list[subprocess.Popen[bytes]], over: Event) -> None:
    """End this process if its parent or a process that it started has ended and it does not end by itself."""
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
    """Give rank 0 time to report an error that it has too, and to end this process."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        raise SystemExit(130) from error
    with suppress(ValueError):  # outside the main thread, the caller handles signals
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
    time.sleep(FIRST_WORD)
