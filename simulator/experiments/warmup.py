"""`sim warmup`: compile every kernel, by letting the machine that comes with us do a little of everything."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import numpy as np

from simulator.devices.aim_device import Detail
from simulator.devices.gpu_kernel_rows import KernelRow
from simulator.devices.gpu_replay import predict
from simulator.devices.systolic_array import Dataflow
from simulator.experiments.access_run import run_access_workload
from simulator.experiments.access_settings import bound_access_settings
from simulator.experiments.access_traces import describe_accesses
from simulator.experiments.calibrate import fit
from simulator.experiments.llm_workload import run_llm
from simulator.experiments.replay import SYNTHETIC, load_device, plan_replay
from simulator.experiments.settings import load_run_tree, load_settings
from simulator.memory.cache_filter import CacheFilter, CacheLevel
from simulator.memory.lackey_text import LackeyText
from simulator.memory.trackers.config import Algorithm
from simulator.numerics.format_names import format_named
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
    _warm_memories()
    _warm_accesses()
    _warm_trackers()
    _warm_gpus()
    _warm_formats()
    _warm_systolic()


def _warm_memories() -> None:
    """Serve a little traffic of every kind on every standard: each has a controller of its own."""
    traffic = {"trace": "mix", "trace_param": 4, "read_frac": 0.5, "n_requests": 300, "arrivals": "poisson"}
    parts = sorted((data_directory("hw_configs") / "parts" / "dram").glob("*.yaml"))
    for part in parts:
        plan_replay(part, SYNTHETIC, sets={**traffic, "offer_interval_cyc": 20}).perform()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        trace.write_text("LD 0x40\n")
        plan_replay(parts[0], trace).perform()


def _warm_accesses() -> None:
    """Count a little trace of memory accesses, and run some on two tiers."""
    config = data_directory("hw_configs") / "m5.yaml"
    run_access_workload(
        bound_access_settings(load_run_tree(config, {"workload.records": 2000, "workload.repeat": 2}), config)
    )
    caches = CacheFilter(CacheLevel.parse("1KiB/2", where="--l1"), CacheLevel.parse("2KiB/2", where="--llc"))
    for accesses in LackeyText().feed(b"I  1000,4\n L 1000,8\n"):
        caches.filter(accesses.line, accesses.is_store)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        trace.write_text("0x40 R\n")
        describe_accesses(trace, "text", (1,))


def _warm_trackers() -> None:
    """Show every kind of tracker a few reads."""
    part = data_directory("hw_configs") / "parts" / "hpt.yaml"
    few = {"synthetic.n_accesses": 300, "synthetic.n_pages": 20, "epoch_reads": 50, "k": 2, "arrivals": "even"}
    for algorithm in get_args(Algorithm):
        plan_replay(part, SYNTHETIC, sets={**few, "algorithm": algorithm}).perform()


def _warm_gpus() -> None:
    """Predict a kernel, and fit a part to it."""
    part = data_directory("hw_configs") / "parts" / "gpu_h200.yaml"
    measured = KernelRow("gemm", "gemm", {"M": 1, "N": 4096, "K": 4096}, t_us=14.0)
    tree, gpu = load_device(part)
    predict(gpu, [measured])
    fit(tree, [measured])


def _warm_formats() -> None:
    """Round a little matrix to levels, to the best of several tables of them, to pairs, and to blocks."""
    for name in ("fp4", "bitmod_3b", "ant4", "olive4", "anda_m6"):
        format_named(name).rounded(np.ones((1, 2), np.float32))


def _warm_systolic() -> None:
    """Replay a small product, cycle by cycle, too."""
    part = data_directory("hw_configs") / "parts" / "systolic.yaml"
    with tempfile.TemporaryDirectory() as folder:
        products = Path(folder) / "products.csv"
        products.write_text("M,N,K\n3,4,5\n")
        for dataflow in get_args(Dataflow):
            plan_replay(part, products, sets={"dataflow": dataflow, "walk": True}).perform()
