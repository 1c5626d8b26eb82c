"""Recognises that memory or threads ran out, of a GPU or of the machine. It imports no torch: the command line starts
fast."""

_NO_MEMORY = "there is not enough memory; close other programs, or use smaller frames or batches"
_NO_THREADS = (
    "the system starts no more threads; close other programs, or raise its limits of processes and memory (ulimit -u, "
    "ulimit -v, or those of the container)"
)

_TOO_LARGE = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
    "bad allocation",
    "bad_alloc",
    "could not create a memory",
    "could not create a primitive",
    "unable to find an engine",  # cuDNN, if no workspace could be allocated for a convolution
    "32-bit index math",  # CUDA padding of tensors with 2^31 or more elements
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` reports that a GPU, PyTorch's CPU allocator, OpenVINO or Python ran out of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch.OutOfMemoryError
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _TOO_LARGE)


def shortage(error: BaseException) -> str | None:
    """What to tell the user if `error` reports a lack of memory or of threads, where nothing smaller can be tried."""
    if is_out_of_memory(error):
        return _NO_MEMORY
    return _NO_THREADS if isinstance(error, RuntimeError) and "start new thread" in str(error) else None
