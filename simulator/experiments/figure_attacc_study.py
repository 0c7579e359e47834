"""What the figures of AttAcc share: the machines, and their largest batches."""

from __future__ import annotations

from simulator.experiments.figure_data import ConfiguredRun

MODEL = "gpt3-175b"
MACHINES = {"dgx": "DGX", "dgx-large": "DGX-Large", "dgx-attacc": "DGX + AttAcc"}
"""Machines that the paper compares, by how it calls them."""

LARGEST = {
    "2048/2048": {"dgx": 18, "dgx-large": 53, "dgx-attacc": 53},
    "128/2048": {"dgx": 33, "dgx-large": 100, "dgx-attacc": 100},
    "128/128": {"dgx": 281, "dgx-large": 850, "dgx-attacc": 850},
}
"""Sequences that each machine has room for, by prompt / output length: its `batch_limit`, as a test makes sure."""


def query_run(variant: str, lengths: str, batch: int, n_samples: int) -> ConfiguredRun:
    """Equal queries on a machine, decodes at `n_samples` contexts."""
    n_in, n_out = map(int, lengths.split("/"))
    return ConfiguredRun(
        "attacc.yaml",
        {
            "system.variant": variant,
            "workload.model": MODEL,
            "workload.prompt_tokens": n_in,
            "workload.output_tokens": n_out,
            "workload.batch": batch,
            "workload.context_step": max(1, n_out // n_samples),
        },
    )
