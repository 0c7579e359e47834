"""All-reduce and all-gather over the cards of one host: the collective rows of h200_tp4.csv, under torchrun."""

from __future__ import annotations

import math
import os
from statistics import median
from typing import Any

from .card import CardBench
from .errors import MeasuringError, RowSkipped
from .rows import Row
from .timing import GRAPH_S, N_REPEATS, REPEAT_S, replays_s

BF16_BYTES = 2
GUESSED_LATENCY_S = 15e-6
GUESSED_BYTES_PER_S = 100e9


def ranks() -> tuple[int, int, int]:
    """This process's rank, its rank on this host, and the number of ranks; raises MeasuringError outside torchrun."""
    try:
        return int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        raise MeasuringError(
            "--collectives needs one process per card: torchrun --nproc-per-node=4 scripts/measure_gpu.py --collectives"
        ) from None


class CollectiveBench(CardBench):
    """Measures the rows of mode `collectives`; every rank measures, and the slowest counts."""

    def __init__(self, torch: Any, local_rank: int, world: int) -> None:
        if local_rank >= torch.cuda.device_count():
            raise MeasuringError(f"{world} processes, but PyTorch sees {torch.cuda.device_count()} cards on this host")
        torch.cuda.set_device(local_rank)
        self.torch = torch
        self.dist = torch.distributed
        self.world = world
        self.dist.init_process_group("nccl", device_id=torch.device("cuda", local_rank))
        super().__init__(torch, "kind", {"all_reduce": self.all_reduce, "all_gather": self.all_gather})

    def all_reduce(self, row: Row) -> Row:
        """Sum in place."""
        whole = self._whole(row)
        return self._timed(lambda: self.dist.all_reduce(whole), int(row["bytes"]))

    def all_gather(self, row: Row) -> Row:
        """Every rank gives its share of the result."""
        whole = self._whole(row)
        share = self.torch.ones(whole.numel() // self.world, dtype=whole.dtype, device="cuda")
        return self._timed(lambda: self.dist.all_gather_into_tensor(whole, share), int(row["bytes"]))

    def close(self) -> None:
        """Leave the group of processes."""
        self.dist.destroy_process_group()

    def _whole(self, row: Row) -> Any:
        if int(row["world"]) != self.world:
            raise RowSkipped(f"this is a row of {row['world']} cards; {self.world} processes run")
        n_elements, rest = divmod(int(row["bytes"]), BF16_BYTES)
        if rest or n_elements % self.world:
            raise RowSkipped(f"{row['bytes']} bytes do not divide into {self.world} equal shares of bf16")
        return self.torch.zeros(n_elements, dtype=self.torch.bfloat16, device="cuda")

    def _timed(self, call: Any, n_bytes: int) -> Row:
        # Every rank must take the same number of turns, so it follows from a guess, not from a clock.
        guess_s = GUESSED_LATENCY_S + n_bytes / GUESSED_BYTES_PER_S
        n_calls = max(2, min(200, math.ceil(GRAPH_S / guess_s)))
        n_replays = max(2, math.ceil(REPEAT_S / (guess_s * n_calls)))
        for _ in range(3):
            call()
        self.torch.cuda.synchronize()
        graph = self.torch.cuda.CUDAGraph()
        # NCCL's watchdog asks for events while this thread captures.
        with self.torch.cuda.graph(graph, capture_error_mode="thread_local"):
            for _ in range(n_calls):
                call()
        self._replay_s(graph, n_replays)
        t_s = median(self._replay_s(graph, n_replays) for _ in range(N_REPEATS)) / n_calls
        slowest = self.torch.tensor([t_s], dtype=self.torch.float64, device="cuda")
        self.dist.all_reduce(slowest, op=self.dist.ReduceOp.MAX)
        return {"t_us": float(slowest.item()) * 1e6}

    def _replay_s(self, graph: Any, n_replays: int) -> float:
        """Seconds per replay, all ranks beginning together."""
        self.dist.barrier()
        self.torch.cuda.synchronize()
        return replays_s(self.torch, graph, n_replays)
