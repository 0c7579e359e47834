"""`sim warmup`: compile every kernel once, so that the next command starts at full speed."""

from __future__ import annotations

from simulator.cli.output import working


def warmup() -> None:
    """Compile all kernels into this machine's cache."""
    with working("compiling kernels"):
        from simulator.experiments.warmup import warmup as compile_kernels

        compile_kernels()
