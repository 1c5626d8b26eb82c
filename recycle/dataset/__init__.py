"""Turns video files into training clips: survey of the footage, extraction into frames, and the data sets of
training."""
