"""Machines with attention stacks for the tests: one system per model and settings, driven with many batches."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from simulator.experiments.settings import Settings, load_settings
from simulator.systems.attacc import Attacc
from simulator.systems.papi import Papi
from simulator.workload.batch import Batch, Sequence
from simulator.workload.catalog import load_model
from simulator.workload.model import ModelSpec

from .golden_cases import REPO_ROOT

SMALL = ModelSpec(
    name="small", n_layers=4, hidden=1024, n_heads=8, n_kv_heads=8, head_dim=128, ffn=2816, vocab=2000, max_context=4096
)
"""A model that every machine computes in a moment; every key-value head has one query head, as in AttAcc's models."""


@lru_cache(maxsize=128)
def settings_of(config: str, sets: tuple[tuple[str, Any], ...]) -> Settings:
    """A shipped configuration with some changes."""
    return load_settings(REPO_ROOT / "hw_configs" / f"{config}.yaml", dict(sets))


def _made(config: str, model: ModelSpec | str, context_step: int, system: dict[str, Any]) -> Any:
    settings = settings_of(config, tuple(("system." + key.replace("__", "."), value) for key, value in system.items()))
    spec = load_model(model) if isinstance(model, str) else model
    return settings.system_class(settings.system_config, spec, context_step)


@lru_cache(maxsize=128)
def attacc(model: ModelSpec | str = SMALL, *, context_step: int = 1, **system: Any) -> Attacc:
    """An AttAcc machine; `system` are keys below `system`, dots written as double underscores."""
    made = _made("attacc", model, context_step, system)
    assert isinstance(made, Attacc)
    return made


@lru_cache(maxsize=128)
def papi(model: ModelSpec | str = SMALL, *, context_step: int = 1, **system: Any) -> Papi:
    """A PAPI machine, likewise."""
    made = _made("papi", model, context_step, system)
    assert isinstance(made, Papi)
    return made


def batch_of(pairs: list[tuple[int, int]]) -> Batch:
    """A batch of (new tokens, context)."""
    return Batch(tuple(Sequence(new, context) for new, context in pairs))


def decodes(contexts: list[int]) -> Batch:
    """One new token for each context."""
    return batch_of([(1, context) for context in contexts])
