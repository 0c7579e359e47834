"""Every numba function: arrays in, arrays out; no objects, no allocation in loops, no printing, no randomness."""
