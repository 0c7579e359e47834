"""Measure a GPU of this machine: `python scripts/measure_gpu.py --out my_gpu.csv`; see docs/gpu_measuring.md.

Needs PyTorch with CUDA to measure; `--help`, `--list` and `--dry-run` do without.
"""

from __future__ import annotations

import sys

from gpu_measuring.command import main

if __name__ == "__main__":
    sys.exit(main())
