"""The kernels of h200_kernels.csv: memory streams, bf16 GEMM, attention, norm and activation, idle power."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from .card import CardBench, n_rotating
from .errors import RowSkipped
from .rows import Row
from .timing import Call, GraphTimer, Timing

BF16_BYTES, FLOAT_BYTES = 2, 4
SETTLE_S = 2.0
IDLE_S = 3.0
# The CSV's name of a back end and PyTorch's.
BACKENDS = {"flash": "FLASH_ATTENTION", "cudnn": "CUDNN_ATTENTION", "efficient": "EFFICIENT_ATTENTION"}


class KernelBench(CardBench):
    """Measures the rows of mode `kernels`."""

    def __init__(self, torch: Any, timer: GraphTimer) -> None:
        self.torch = torch
        self.timer = timer
        methods = {
            "copy": self.copy,
            "read": self.read,
            "gemm": self.gemm,
            "attn_decode": self.attn_decode,
            "attn_prefill": self.attn_prefill,
            "rmsnorm": self.rmsnorm,
            "silu_mul": self.silu_mul,
            "idle": self.idle,
        }
        super().__init__(torch, "kind", methods)

    def copy(self, row: Row) -> Row:
        """Half the bytes are read, half are written."""
        n_bytes = int(row["bytes"])
        source = self._random(n_bytes // 2 // BF16_BYTES)
        target = self.torch.empty_like(source)
        return _streamed(self.timer.measure([lambda: target.copy_(source)]), n_bytes)

    def read(self, row: Row) -> Row:
        """All bytes are summed."""
        n_bytes = int(row["bytes"])
        # Summing bf16 is limited by its conversions, not by the memory.
        source = self.torch.randn(n_bytes // FLOAT_BYTES, device="cuda")
        return _streamed(self.timer.measure([lambda: self.torch.sum(source)]), n_bytes)

    def gemm(self, row: Row) -> Row:
        """`x[M, K] @ w[N, K].T`, the weights rotating among buffers larger than the cache."""
        m, n, k = (int(row[column]) for column in ("M", "N", "K"))
        x, y = self._random(m, k), self.torch.empty(m, n, dtype=self.torch.bfloat16, device="cuda")
        weights = [self._random(n, k) for _ in range(n_rotating(self.torch, n * k * BF16_BYTES))]
        timing = self.timer.measure([partial(self.torch.mm, x, weight.t(), out=y) for weight in weights])
        moved = BF16_BYTES * (n * k + m * k + m * n)
        return {**_streamed(timing, moved), "tflops": 2 * m * n * k / timing.t_us / 1e6}

    def attn_decode(self, row: Row) -> Row:
        """One query per sequence over `L` positions; each sequence has keys and values of its own."""
        batch, context = int(row["B"]), int(row["L"])
        kv_bytes = 2 * batch * int(row["Hkv"]) * context * int(row["D"]) * BF16_BYTES
        name, timing = self._attention(row, batch, 1, n_rotating(self.torch, kv_bytes))
        return {**_streamed(timing, kv_bytes), "backend": name}

    def attn_prefill(self, row: Row) -> Row:
        """Causal attention of whole prompts; only the lower triangle counts as work."""
        batch, length = int(row["B"]), int(row["L"])
        name, timing = self._attention(row, batch, length, 1)
        flops = 2 * batch * int(row["Hq"]) * int(row["D"]) * length * length
        return {**_timed(timing), "tflops": flops / timing.t_us / 1e6, "backend": name}

    def rmsnorm(self, row: Row) -> Row:
        """PyTorch's own RMS norm."""
        x = self._random(int(row["M"]), int(row["N"]))
        weight = self._random(int(row["N"]))
        norm = self.torch.nn.functional.rms_norm
        return _timed(self.timer.measure([lambda: norm(x, (int(row["N"]),), weight)]))

    def silu_mul(self, row: Row) -> Row:
        """`silu(gate) * up`, two kernels."""
        gate, up = (self._random(int(row["M"]), int(row["N"])) for _ in range(2))
        silu = self.torch.nn.functional.silu
        return _timed(self.timer.measure([lambda: silu(gate) * up]))

    def idle(self, row: Row) -> Row:
        """Board power once the card has settled."""
        self.torch.cuda.synchronize()
        time.sleep(SETTLE_S)
        return {"power_w": self.timer.power_w(IDLE_S)}

    def _attention(self, row: Row, batch: int, n_queries: int, n_buffers: int) -> tuple[str, Timing]:
        """The fastest back end's name and timing."""
        q_heads, kv_heads, width, context = (int(row[column]) for column in ("Hq", "Hkv", "D", "L"))
        query = self._random(batch, q_heads, n_queries, width)
        cache = (batch, kv_heads, context, width)
        caches = [(self._random(*cache), self._random(*cache)) for _ in range(n_buffers)]
        fastest: tuple[float, str, list[Call]] | None = None
        reasons = []
        for name in BACKENDS:
            calls = [self._attend(name, query, key, value, n_queries > 1) for key, value in caches]
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    t_s = self.timer.estimate_s(calls)
            except RuntimeError as error:
                if isinstance(error, self.torch.cuda.OutOfMemoryError):
                    raise
                reasons.append(f"{name}: {str(error).splitlines()[0]}")
                continue
            if fastest is None or t_s < fastest[0]:
                fastest = (t_s, name, calls)
        if fastest is None:
            raise RowSkipped("no attention back end takes this shape: " + "; ".join(reasons))
        return fastest[1], self.timer.measure(fastest[2])

    def _attend(self, name: str, query: Any, key: Any, value: Any, is_causal: bool) -> Callable[[], object]:
        attention = self.torch.nn.attention
        backend = getattr(attention.SDPBackend, BACKENDS[name])
        grouped = query.shape[1] != key.shape[1]
        options = {"is_causal": is_causal, **({"enable_gqa": True} if grouped else {})}

        def call() -> object:
            with attention.sdpa_kernel(backend):
                return self.torch.nn.functional.scaled_dot_product_attention(query, key, value, **options)

        return call

    def _random(self, *shape: int) -> Any:
        # Random numbers, since a card draws less power, and so runs faster, on zeros.
        return self.torch.randn(*shape, dtype=self.torch.bfloat16, device="cuda")


def _timed(timing: Timing) -> Row:
    return {"t_us": timing.t_us, "power_w": timing.power_w}


def _streamed(timing: Timing, n_bytes: int) -> Row:
    return {**_timed(timing), "gbps": n_bytes / timing.t_us / 1e3}
