"""CENT systems for the tests: any model on any settings, and random small models."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from simulator.core.errors import SimulatorError
from simulator.experiments.settings import Settings, load_settings
from simulator.systems.cent import Cent
from simulator.workload.model import ModelSpec

from .golden_cases import REPO_ROOT

SMALL = ModelSpec(
    name="small", n_layers=4, hidden=1024, n_heads=8, n_kv_heads=4, head_dim=128, ffn=2816, vocab=2000, max_context=4096
)


def settings_of(sets: dict[str, Any] | None = None, config: str = "cent") -> Settings:
    """The settings of a shipped configuration with some changes."""
    return load_settings(REPO_ROOT / "hw_configs" / f"{config}.yaml", sets or {})


def machine(model: ModelSpec | str = SMALL, *, config: str = "cent", context_step: int = 1, **system: Any) -> Cent:
    """A CENT system for a model; `system` are keys below `system`, dots written as double underscores."""
    sets = {"system." + key.replace("__", "."): value for key, value in system.items()}
    if isinstance(model, str):
        sets["workload.model"] = model
    settings = settings_of(sets, config)
    spec = settings.model if isinstance(model, str) else model
    made = settings.system_class(settings.system_config, spec, context_step)
    assert isinstance(made, Cent)
    return made


def machine_or_refusal(*arguments: Any, **named: Any) -> Cent | SimulatorError:
    """A system, or the named error that refuses it."""
    try:
        return machine(*arguments, **named)
    except SimulatorError as error:
        return error


@st.composite
def models(draw: st.DrawFn, *, max_layers: int = 6) -> ModelSpec:
    """Small models of every shape that a ModelSpec can have."""
    n_kv_heads = draw(st.integers(1, 9))
    n_experts = draw(st.sampled_from([0, 0, 1, 4, 9]))
    position = draw(st.sampled_from(["rope", "learned", "alibi", "none"]))
    return ModelSpec(
        name="drawn",
        n_layers=draw(st.integers(1, max_layers)),
        hidden=draw(st.one_of(st.integers(1, 3000), st.sampled_from([16, 1024, 1040, 2048]))),
        n_heads=n_kv_heads * draw(st.integers(1, 8)),
        n_kv_heads=n_kv_heads,
        head_dim=draw(st.sampled_from([32, 40, 64, 80, 96, 100, 128, 192, 256])),
        ffn=0 if n_experts else draw(st.integers(1, 6000)),
        vocab=draw(st.integers(2, 9000)),
        max_context=4096,
        gated=draw(st.booleans()),
        position=position,
        n_positions=4096 if position == "learned" else 0,
        sliding_window=draw(st.sampled_from([None, 1, 100, 1024])),
        n_experts=n_experts,
        n_experts_per_token=draw(st.integers(1, n_experts)) if n_experts else 0,
        expert_ffn=draw(st.integers(1, 2000)) if n_experts else 0,
        n_shared_experts=draw(st.integers(0, 2)) if n_experts else 0,
        qk_norm=draw(st.booleans()),
        parallel_block=draw(st.booleans()),
    )


@st.composite
def parallelisms(draw: st.DrawFn, model: ModelSpec) -> tuple[str, int]:
    """A mapping that fits the model's layers, and its number of devices."""
    if draw(st.booleans()):
        return "pp", draw(st.integers(1, 9))
    stages, width = draw(st.integers(1, model.n_layers)), draw(st.integers(1, 5))
    if stages == model.n_layers and width == 1:
        return "pp", draw(st.integers(1, 9))
    return f"{stages}x{width}", stages * width
