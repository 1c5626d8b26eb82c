"""The checks of `python -m tools.gpu_check`."""
