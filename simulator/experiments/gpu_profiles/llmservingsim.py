"""Where LLMServingSim's profiles lie, and which card and model a folder is: what its two readers share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.core.errors import WorkloadError
from simulator.experiments.gpu_profiles.rows import Dropped
from simulator.workload.catalog import load_model
from simulator.workload.model import ModelSpec

FOLDER = "llmservingsim"
_CARDS = {"RTX4090": "rtx4090", "RTXPRO6000": "rtx_pro_6000"}
_MODELS = {
    "meta-llama/Llama-3.1-8B": "llama3.1-8b",
    "Qwen/Qwen3-32B": "qwen3-32b",
    "Qwen/Qwen3-30B-A3B-Instruct-2507": "qwen3-30b-a3b",
}


@dataclass(frozen=True, slots=True)
class Shard:
    """One profile folder: the card, the model, and the tensor-parallel degree whose shard was measured on one card."""

    gpu: str
    model: ModelSpec
    tp: int

    @property
    def label(self) -> str:
        """Model and degree, as rows begin with."""
        return f"{self.model.name} tp{self.tp}"

    @property
    def q_heads(self) -> int:
        """Query heads on one card."""
        return self.model.n_heads // self.tp

    @property
    def kv_heads(self) -> int:
        """Key and value heads on one card, one at least."""
        return max(1, self.model.n_kv_heads // self.tp)


def shards(folder: Path, file: str) -> Iterator[tuple[Shard | Dropped, Path]]:
    """Every `CARD/MAKER/MODEL/bf16/tpN/file` below `folder`, by name; what has no known shape comes as Dropped.

    Raises WorkloadError where there is none at all.
    """
    paths = sorted(folder.glob(f"*/*/*/bf16/tp*/{file}"))
    if not paths:
        raise WorkloadError(
            f"no CARD/MAKER/MODEL/bf16/tpN/{file} in the folder", where=str(folder), remedy="give it as published"
        )
    for path in paths:
        card, maker, model, _, degree, _ = path.relative_to(folder).parts
        known = _MODELS.get(f"{maker}/{model}")
        tp = re.fullmatch(r"tp([1-9][0-9]?)", degree)
        if card not in _CARDS or known is None or tp is None:
            yield Dropped(1, f"{card}/{maker}/{model}/bf16/{degree}/{file}: card, model or degree not known here"), path
        else:
            yield Shard(_CARDS[card], load_model(known), int(tp[1])), path
