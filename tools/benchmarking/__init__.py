"""What `tools/benchmark.py` times, and how."""
