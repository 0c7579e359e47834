"""GPU systems for the tests: any model on any settings, random small models that GPUs can share, random batches."""

from __future__ import annotations

from collections.abc import Sequence as Row
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from simulator.experiments.settings import Settings, load_settings
from simulator.systems.gpu import Gpu
from simulator.workload.batch import Batch, Sequence
from simulator.workload.catalog import load_model
from simulator.workload.model import ModelSpec
from tests.twins import gpu_step

from .golden_cases import REPO_ROOT
from .machines import models

ATTENTION_KERNELS = ("split_kv", "fa2", "matmul")
SMALL = ModelSpec(
    name="small", n_layers=4, hidden=1024, n_heads=8, n_kv_heads=4, head_dim=128, ffn=2816, vocab=2000, max_context=4096
)


@lru_cache(maxsize=64)
def _settings(config: str, sets: tuple[tuple[str, Any], ...]) -> Settings:
    return load_settings(REPO_ROOT / "hw_configs" / f"{config}.yaml", dict(sets))


def gpu(model: ModelSpec | str = SMALL, *, config: str = "gpu_h200", context_step: int = 1, **system: Any) -> Gpu:
    """A GPU system for a model; `system` are keys below `system`, dots written as double underscores."""
    sets = tuple(("system." + key.replace("__", "."), value) for key, value in system.items())
    settings = _settings(config, sets)
    spec = load_model(model) if isinstance(model, str) else model
    made = settings.system_class(settings.system_config, spec, context_step)
    assert isinstance(made, Gpu)
    return made


def batch_of(pairs: Row[tuple[int, int]]) -> Batch:
    """A batch of (new tokens, context)."""
    return Batch(tuple(Sequence(new, context) for new, context in pairs))


def twin_of(system: Gpu, sequences: list[tuple[int, int]]) -> gpu_step.Step:
    """The twin's step on the system's own part."""
    config = system.config
    return gpu_step.step(
        gpu_step.Card(config.device),
        system.model,
        sequences,
        system.shard.number_format,
        n_ranks=config.tensor_parallel,
        attention=config.attention_kernel,
        fused=config.elementwise == "fused",
    )


@st.composite
def shared_models(draw: st.DrawFn, n_ranks: int = 1, *, window: bool = True) -> ModelSpec:
    """Models whose heads `n_ranks` GPUs can share or copy, of every other shape."""
    model = draw(models())
    n_kv = draw(st.sampled_from([1, 2, 4, 8]))
    rep = draw(st.sampled_from([1, 2, 4, 8]))
    while n_kv * rep % n_ranks:
        rep *= 2
    norms = draw(st.integers(0, 4))
    changes: dict[str, Any] = {} if window else {"sliding_window": None}
    return model.replace(
        n_heads=n_kv * rep,
        n_kv_heads=n_kv,
        norms_per_layer=norms,
        kv_bits=draw(st.sampled_from([8, 16])),
        **changes,
    )


@st.composite
def pairs(draw: st.DrawFn, *, most: int = 6, longest: int = 2000) -> list[tuple[int, int]]:
    """(new tokens, context) of a batch: prompts, chunks of prompts, single tokens and guessed ones together."""
    found = []
    for _ in range(draw(st.integers(1, most))):
        context = draw(st.integers(1, longest))
        new = draw(st.one_of(st.just(1), st.just(context), st.integers(1, context), st.integers(1, min(16, context))))
        found.append((new, context))
    return found
