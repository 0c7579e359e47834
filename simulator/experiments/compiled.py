"""Whether the first command of this version is still to come, the one that compiles the kernels."""

from __future__ import annotations


def is_warm() -> bool:
    """Whether compiled kernels of this version lie in this machine's cache."""
    from simulator.kernels import compiled_folder

    return compiled_folder is not None and any(compiled_folder.rglob("*.nbi"))
