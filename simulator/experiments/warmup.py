"""`sim warmup`: compile every kernel, by letting the machine that comes with us do a little of everything."""

from __future__ import annotations

from typing import get_args

from simulator.devices.aim_device import Detail
from simulator.experiments.llm_steps import run_llm
from simulator.experiments.settings import load_settings
from simulator.workload.catalog import data_directory


def warmup() -> None:
    """Compile all kernels into the cache of compiled code; done before, it takes a second."""
    config = data_directory("hw_configs") / "cent.yaml"
    for detail in get_args(Detail):
        small = {
            "workload.model": "llama2-7b",
            "workload.scope": "token",
            "workload.context": 1,
            "system.n_devices": 8,
            "system.detail": detail,
        }
        run_llm(load_settings(config, small))
