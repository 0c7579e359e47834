"""The rows of h200_extra.csv: host link, launch costs, and GEMM in fp8, int8 and weight-only int4."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

from .card import CardBench, n_rotating
from .rows import Row
from .timing import N_REPEATS, GraphTimer

HOST_REPEAT_S = 0.1
MAX_HOST_CALLS = 2000
GROUP = 128
INNER_K_TILES = 8


class ExtraBench(CardBench):
    """Measures the rows of mode `extra`."""

    def __init__(self, torch: Any, timer: GraphTimer) -> None:
        self.torch = torch
        self.timer = timer
        methods = {
            "h2d_pinned": self.h2d_pinned,
            "d2h_pinned": self.d2h_pinned,
            "h2d_pageable": self.h2d_pageable,
            "bidirectional_pinned": self.bidirectional_pinned,
            "launch_eager_small_kernel": self.launch_eager,
            "launch_graph_small_kernel": self.launch_graph,
            "launch_and_sync": self.launch_and_sync,
            "gemm_fp8": self.gemm_fp8,
            "gemm_int8": self.gemm_int8,
            "gemm_w4a16_g128": self.gemm_int4,
        }
        super().__init__(torch, "kind", methods)

    def h2d_pinned(self, row: Row) -> Row:
        """Copies from page-locked memory, one after the other in a graph."""
        host, card = self._pinned(int(row["bytes"])), self._on_card(int(row["bytes"]))
        return self._in_graph([lambda: card.copy_(host, non_blocking=True)])

    def d2h_pinned(self, row: Row) -> Row:
        """Copies into page-locked memory."""
        host, card = self._pinned(int(row["bytes"])), self._on_card(int(row["bytes"]))
        return self._in_graph([lambda: host.copy_(card, non_blocking=True)])

    def h2d_pageable(self, row: Row) -> Row:
        """Copies from ordinary memory, each waited for: the driver stages them."""
        card = self._on_card(int(row["bytes"]))
        host = self.torch.ones(int(row["bytes"]), dtype=self.torch.uint8)
        return self._by_host_clock(lambda: card.copy_(host))

    def bidirectional_pinned(self, row: Row) -> Row:
        """Half the bytes go down while half come up, until both are there."""
        half = int(row["bytes"]) // 2
        ends = [(self._pinned(half), self._on_card(half)) for _ in range(2)]
        streams = [self.torch.cuda.Stream() for _ in range(2)]

        def both() -> None:
            with self.torch.cuda.stream(streams[0]):
                ends[0][1].copy_(ends[0][0], non_blocking=True)
            with self.torch.cuda.stream(streams[1]):
                ends[1][0].copy_(ends[1][1], non_blocking=True)

        return self._by_host_clock(both)

    def launch_eager(self, row: Row) -> Row:
        """Mean time between small kernels that Python launches as fast as it can."""
        small = self.torch.zeros(1, device="cuda")

        def burst() -> None:
            for _ in range(MAX_HOST_CALLS):
                small.fill_(1.0)

        return {"t_us": float(self._by_host_clock(burst)["t_us"]) / MAX_HOST_CALLS}

    def launch_graph(self, row: Row) -> Row:
        """The same in a graph."""
        small = self.torch.zeros(1, device="cuda")
        return self._in_graph([lambda: small.fill_(1.0)])

    def launch_and_sync(self, row: Row) -> Row:
        """From the call of a small kernel until Python knows that it is done."""
        small = self.torch.zeros(1, device="cuda")
        return self._by_host_clock(lambda: small.fill_(1.0))

    def gemm_fp8(self, row: Row) -> Row:
        """`torch._scaled_mm`, fast accumulation."""
        m, n, k = _sizes(row)
        kind = self.torch.float8_e4m3fn
        x = self._random(m, k).to(kind)
        weights = [self._random(n, k).to(kind) for _ in range(n_rotating(self.torch, n * k))]
        one = self.torch.ones((), device="cuda")
        options = {"scale_a": one, "scale_b": one, "out_dtype": self.torch.bfloat16, "use_fast_accum": True}
        return self._in_graph([partial(self.torch._scaled_mm, x, weight.t(), **options) for weight in weights])

    def gemm_int8(self, row: Row) -> Row:
        """`torch._int_mm`."""
        m, n, k = _sizes(row)
        x = self._random_bytes(m, k)
        weights = [self._random_bytes(n, k) for _ in range(n_rotating(self.torch, n * k))]
        return self._in_graph([partial(self.torch._int_mm, x, weight.t()) for weight in weights])

    def gemm_int4(self, row: Row) -> Row:
        """`torch._weight_int4pack_mm`, which is meant for few tokens."""
        m, n, k = _sizes(row)
        x = self._random(m, k)
        calls = []
        for _ in range(n_rotating(self.torch, n * k // 2)):
            nibbles = self.torch.randint(0, 256, (n, k // 2), dtype=self.torch.uint8, device="cuda")
            packed = self.torch._convert_weight_to_int4pack(nibbles, INNER_K_TILES)
            scales = self._random(k // GROUP, n, 2)
            calls.append(partial(self.torch._weight_int4pack_mm, x, packed, GROUP, scales))
        return self._in_graph(calls)

    def _in_graph(self, calls: Sequence[Callable[[], object]]) -> Row:
        return {"t_us": self.timer.measure(calls, power=False).t_us}

    def _by_host_clock(self, call: Callable[[], object]) -> Row:
        """Median of three repeats of enough calls, the card waited for after each."""
        t_s = self._host_s(call, 1)
        t_s = min(t_s, self._host_s(call, 2))
        n_calls = max(2, min(MAX_HOST_CALLS, math.ceil(HOST_REPEAT_S / t_s)))
        return {"t_us": median(self._host_s(call, n_calls) for _ in range(N_REPEATS)) * 1e6}

    def _host_s(self, call: Callable[[], object], n_calls: int) -> float:
        self.torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(n_calls):
            call()
            self.torch.cuda.synchronize()
        return (time.perf_counter() - begin) / n_calls

    def _pinned(self, n_bytes: int) -> Any:
        return self.torch.ones(n_bytes, dtype=self.torch.uint8).pin_memory()

    def _on_card(self, n_bytes: int) -> Any:
        return self.torch.ones(n_bytes, dtype=self.torch.uint8, device="cuda")

    def _random(self, *shape: int) -> Any:
        return self.torch.randn(*shape, dtype=self.torch.bfloat16, device="cuda")

    def _random_bytes(self, *shape: int) -> Any:
        return self.torch.randint(-128, 128, shape, dtype=self.torch.int8, device="cuda")


def _sizes(row: Row) -> tuple[int, int, int]:
    return int(row["M"]), int(row["N"]), int(row["K"])
