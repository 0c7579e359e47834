"""Sweeps: what a sweep file says, its points, the processes that run them, and the store that keeps their results."""
