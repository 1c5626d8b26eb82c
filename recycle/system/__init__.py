"""Access to the machine: cores, memory, devices, atomic files, locks, worker processes and remote storage."""
