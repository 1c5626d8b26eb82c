"""The machine beneath: cores, memory, devices, files that appear whole, processes, places elsewhere."""
