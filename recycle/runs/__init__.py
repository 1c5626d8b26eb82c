"""Whole runs: a pipeline chosen, its stages in order, its scores, and several runs side by side."""
