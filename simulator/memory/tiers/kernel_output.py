"""Where the kernel of the tiers puts the events of a call: reads that CXL memory serves, and hint faults."""

from __future__ import annotations

import numpy as np


class KernelOutput:
    """Room for the events of up to `n` records: lines uint32[n] with times int64[n] (nothing unless they are wanted),
    and faults, int64[n] each: page, time, and when the page was protected."""

    def __init__(self, n: int, *, wants_lines: bool) -> None:
        n_lines = n if wants_lines else 0
        self.n, self._wants_lines = n, wants_lines
        self.line, self.line_ps = np.empty(n_lines, np.uint32), np.empty(n_lines, np.int64)
        self.fault_page, self.fault_ps, self.fault_protected_ps = (np.empty(n, np.int64) for _ in range(3))

    def grown(self, n: int) -> KernelOutput:
        """This, or a larger one where a chunk has more records."""
        return self if n <= self.n else KernelOutput(n, wants_lines=self._wants_lines)
