"""Measures a GPU's kernels, links and whole steps; see docs/gpu_measuring.md. Nothing here needs the simulator."""
