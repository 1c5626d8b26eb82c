"""Allows one training at a time in a run's folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lightning_fabric import Fabric

from recycle.events import Job
from recycle.run_folder import RunFolder
from recycle.system.disk import writing
from recycle.system.lock import only_one
from recycle.training.processes import once

_held: set[Path] = set()
"""Folders that this process holds; the caller of `train` may already hold its folder."""


@contextmanager
def alone_in(folder: Path, fabric: Fabric, job: Job) -> Iterator[None]:
    """Lock the folder of a run while the body runs; the folder is created, and calls may be nested.

    All processes of a training call this; rank 0 takes the lock for all. The lock ends with its process, however that
    ends. Raises OutputError in all processes if another process holds the folder or it cannot be written.
    """
    key = folder.resolve()
    if key in _held:
        yield
        return
    refusal = f"another recycle process is using {folder}; wait for it, stop it, or give another --out folder"
    with ExitStack() as stack:

        def take() -> bool:
            with writing(folder):
                return stack.enter_context(only_one(RunFolder(folder).lock, refusal))

        if not once(fabric, take) and fabric.is_global_zero:
            job.say(f"{folder} is on a file system without locks: make sure that no other training runs in it")
        _held.add(key)
        stack.callback(_held.discard, key)
        yield
