"""From a video file to a video file by any transform of its frames: resumable, with all that goes with the picture."""
