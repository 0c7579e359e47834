"""The catalogue of analytic GPUs for the tests, and layers on them."""

from __future__ import annotations

from functools import cache
from typing import Any

from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.devices.tile_gpu import TileGpu
from simulator.devices.tile_gpu_config import TileGpuCatalogue
from simulator.devices.tile_gpu_layer import TileLayer
from simulator.workload.catalog import load_model
from simulator.workload.model import ModelSpec
from tests.systems.golden_cases import REPO_ROOT


@cache
def catalogue() -> TileGpuCatalogue:
    """The shipped catalogue."""
    return bind(load_part(REPO_ROOT / "hw_configs" / "parts" / "tile_gpus.yaml"), TileGpuCatalogue)


def device(name: str = "A100a", **kinds: Any) -> TileGpu:
    """A GPU of the catalogue."""
    return TileGpu(catalogue().gpu(name), catalogue().rules, catalogue().energies, **kinds)


def layer(model: str | ModelSpec = "gpt3-175b", n_gpus: int = 8, gpu: str = "A100a", **kinds: Any) -> TileLayer:
    """Layers of a model on GPUs of the catalogue."""
    spec = load_model(model) if isinstance(model, str) else model
    return TileLayer(catalogue(), gpu, spec, n_gpus, **kinds)
