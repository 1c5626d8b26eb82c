"""Resumable rendering: applies a transform to every frame of a video and keeps its sound, subtitles and metadata."""
