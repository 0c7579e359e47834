"""GPU parts for the tests, and attention heads and rows to run on them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.gpu import Gpu
from simulator.devices.gpu_config import GpuConfig
from simulator.devices.gpu_kernels import Heads, Rows
from tests.systems.golden_cases import REPO_ROOT


def part(name: str = "gpu_h200", **sets: Any) -> GpuConfig:
    """A shipped part, some keys changed (dots written as double underscores)."""
    path = REPO_ROOT / "hw_configs" / "parts" / f"{name}.yaml"
    return bind(load_part(path, {key.replace("__", "."): value for key, value in sets.items()}), GpuConfig)


def device(name: str = "gpu_h200", **sets: Any) -> Gpu:
    """The GPU of a shipped part."""
    return Gpu(part(name, **sets))


@st.composite
def heads(draw: st.DrawFn) -> Heads:
    """Heads of one GPU."""
    n_kv = draw(st.integers(1, 16))
    return Heads(
        n_kv * draw(st.integers(1, 8)),
        n_kv,
        draw(st.sampled_from([32, 64, 80, 128])),
        draw(st.sampled_from([8, 16])),
    )


@st.composite
def rows(draw: st.DrawFn, *, longest: int = 3000, most_new: int | None = None) -> Rows:
    """Query rows of equal sequences."""
    context = draw(st.integers(1, longest))
    new = draw(st.integers(1, min(context, most_new or context)))
    return Rows(draw(st.integers(1, 40)), new, context, draw(st.sampled_from([None, None, 1, 100, 128, 1024])))
