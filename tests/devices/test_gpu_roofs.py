"""Kernels against the data sheet: no kernel beats a roof, more work never takes less, energy by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError
from simulator.devices.gpu import Gpu
from simulator.devices.gpu_kernels import Kernel

from .gpu_parts import device, heads, part, rows

H200 = device()
FORMATS = ("bf16", "fp8", "int8", "w4a16")
SIZE = st.integers(1, 20_000)


def alone(gpu: Gpu, kernel: Kernel) -> tuple[float, float]:
    """(time in ps, clock ratio) of a kernel that repeats."""
    work = gpu.run([[(kernel, 1.0)]])
    return float(work.time_ps[0]), float(work.ratios[0])


def watts(gpu: Gpu, kernel: Kernel) -> float:
    """Board power while a kernel repeats."""
    time_ps, ratio = alone(gpu, kernel)
    return float(gpu.config.energies.active_mw) / 1e3 + sum(gpu.dynamic_pj(kernel, ratio)) / time_ps


@given(SIZE, SIZE, SIZE, st.sampled_from(FORMATS))
@settings(max_examples=200, deadline=None)
def test_no_product_beats_the_data_sheet(m: int, n: int, k: int, form: str) -> None:
    kernel = H200.kernels.gemm(m, n, k, form)
    time_ps, ratio = alone(H200, kernel)
    bits = H200.config.formats[form]
    n_bytes = (n * k * bits.weight_bits + m * k * bits.act_bits + m * n * bits.result_bits) / 8
    assert time_ps > n_bytes / 4.8
    assert time_ps > 2 * m * n * k / bits.peak_tflops
    assert kernel.dram_bytes >= n_bytes
    assert kernel.flops >= 2 * m * n * k
    assert watts(H200, kernel) <= 700 * (1 + 1e-9)
    bound = H200.bound(kernel, time_ps, ratio)
    assert 0 <= bound.achieved <= bound.peak


@given(SIZE, SIZE, SIZE, st.sampled_from(FORMATS), st.sampled_from(["m", "n", "k"]))
@settings(max_examples=200, deadline=None)
def test_a_larger_product_takes_no_less(m: int, n: int, k: int, form: str, grown: str) -> None:
    sizes = {"m": m, "n": n, "k": k}
    larger = {**sizes, grown: sizes[grown] + 1}
    before, after = (alone(H200, H200.kernels.gemm(**each, number_format=form)) for each in (sizes, larger))
    assert after[0] >= before[0] * (1 - 1e-12)


@given(heads(), rows(), st.sampled_from(["split_kv", "fa2", "matmul", "prefill cudnn", "prefill fa2"]))
@settings(max_examples=150, deadline=None)
def test_no_attention_beats_the_data_sheet(sizes, one, name: str) -> None:
    kernels = H200.kernels
    if name.startswith("prefill"):
        kernel = kernels.attention_prefill(sizes, [one], name.split()[1])
    else:
        kernel = kernels.attention_decode(sizes, [one], name)
    time_ps, ratio = alone(H200, kernel)
    assert time_ps > kernel.dram_bytes / 4.8
    assert time_ps > kernel.flops / 989.4
    assert watts(H200, kernel) <= 700 * (1 + 1e-9)
    bound = H200.bound(kernel, time_ps, ratio)
    assert 0 <= bound.achieved <= bound.peak


@given(st.integers(1, 10**10), st.integers(0, 10**9))
@settings(deadline=None)
def test_streams_grow_with_their_bytes_and_keep_to_their_roof(n_bytes: int, strided: int) -> None:
    kernels = H200.kernels

    def of_halves(n_elements: int) -> Kernel:
        return kernels.elementwise(n_bytes, strided_elements=n_elements)

    for kernel, more in (
        (kernels.elementwise(n_bytes), kernels.elementwise(n_bytes + 1)),
        (
            kernels.elementwise(n_bytes, strided_elements=strided),
            kernels.elementwise(n_bytes, strided_elements=strided + 1),
        ),
        (kernels.stream(n_bytes, writes=True), kernels.stream(n_bytes + 1, writes=True)),
        (kernels.stream(n_bytes, writes=False), kernels.stream(n_bytes + 1, writes=False)),
    ):
        assert more.memory_ps >= kernel.memory_ps
        assert kernel.dram_bytes in (0, n_bytes)
        assert kernel.memory_ps >= n_bytes / (4.8 if kernel.dram_bytes else 5.75)
        assert kernel.flops == kernel.compute_pj == 0


@given(st.integers(1, 100_000), st.integers(1, 20_000))
@settings(deadline=None)
def test_norms_grow_with_rows_and_width(rows: int, width: int) -> None:
    one = H200.kernels.norm(rows, width)
    taller, wider = H200.kernels.norm(rows + 1, width), H200.kernels.norm(rows, width + 1)
    assert taller.latency_ps == one.latency_ps < wider.latency_ps
    assert min(taller.memory_ps, wider.memory_ps) >= one.memory_ps
    assert one.dram_bytes in (0, 4 * rows * width)


def test_energy_of_a_kernel_by_hand() -> None:
    """What a board draws anyway, and the energy of the bytes that it reads in a second; an operation on half the bits
    takes half."""
    read = H200.kernels.stream(1 << 40, writes=False)
    bandwidth, energies = H200.config.bandwidths.attention_frac * 4.8, H200.config.energies
    expected_w = energies.active_mw / 1e3 + bandwidth * energies.dram_pj_per_byte
    assert watts(H200, read) == pytest.approx(expected_w, rel=1e-4)
    assert 450 < expected_w < 720
    wide, narrow = H200.kernels.gemm(64, 64, 64), H200.kernels.gemm(64, 64, 64, "fp8")
    assert wide.compute_pj == 2 * 64**3 * energies.pj_per_flop
    assert narrow.compute_pj == wide.compute_pj / 2


def test_large_products_are_held_by_the_limit_and_small_ones_by_the_launch() -> None:
    large, small = H200.kernels.gemm(8192, 8192, 8192), H200.kernels.gemm(1, 64, 64)
    time_ps, ratio = alone(H200, large)
    assert watts(H200, large) == pytest.approx(700, rel=1e-9)
    assert 0.6 < large.flops / time_ps / 989.4 < 0.75
    assert H200.bound(large, time_ps, ratio).constraint == "power limit"
    assert H200.bound(small, *alone(H200, small)).constraint == "launch latency"


def test_experts_read_their_own_weights_and_whole_tiles_of_rows() -> None:
    kernels = H200.kernels
    one, eight = kernels.grouped_gemm(16, 512, 1024, 1), kernels.grouped_gemm(16, 512, 1024, 8)
    assert eight.flops == one.flops
    assert eight.dram_bytes - one.dram_bytes == 7 * 512 * 1024 * 2
    assert kernels.grouped_gemm(9, 512, 1024, 8, "w4a16").flops == 2 * 32 * 512 * 1024
    assert kernels.gemm(1, 64, 64, "w4a16").flops == 2 * 4 * 64 * 64


def test_a_part_without_links_has_none() -> None:
    bare = Gpu(part().model_copy(update={"fabric": None, "host_link": None}))
    with pytest.raises(ConfigError, match="no fabric"):
        bare.collectives(2)
    with pytest.raises(ConfigError, match="no link to a host"):
        bare.host_link()


@given(st.integers(0, 1 << 32), st.integers(1, 1 << 20))
def test_copies_over_the_host_link_grow_and_keep_to_the_link(n_bytes: int, more: int) -> None:
    link = H200.host_link()
    for kind in ("h2d_pinned", "d2h_pinned", "h2d_pageable", "bidirectional_pinned"):
        assert link.copy_ps(kind, n_bytes + more) >= link.copy_ps(kind, n_bytes)
        both = 2 if kind == "bidirectional_pinned" else 1
        assert link.copy_ps(kind, n_bytes) * both >= n_bytes / 63.1e9 * 1e12
    assert link.copy_ps("h2d_pageable", n_bytes) >= link.copy_ps("h2d_pinned", n_bytes)
