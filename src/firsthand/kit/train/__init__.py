"""Training: the loop, devices, processes, checkpoints, shipped weights."""
