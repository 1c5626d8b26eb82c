"""From video files to clips: a survey, extraction into frames, and the data sets of training."""
