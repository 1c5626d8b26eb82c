"""From video files to clips: probe, decode, shots, extraction, the clip dataset, the synthetic street."""
