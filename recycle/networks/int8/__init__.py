"""Generators whose convolutions multiply 8-bit integers on a CPU, by OpenVINO."""
