"""Whole runs: chooses a pipeline, runs its stages in order, scores the model, and compares several runs."""
