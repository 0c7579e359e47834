"""Speed of attention on stacks with units: beside the reference's measured speed, beside a C++ twin, over contexts."""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.devices.pim_attention import HeadShape, PimHead, PublishedShare, attention_program
from simulator.kernels import hbm_pim_queue as codes
from simulator.kernels.hbm_pim import run_channel
from simulator.memory.hbm_pim.program import PimProgram
from tests.devices.pim_attention_parts import GoldenAttention, attention, golden, stack

TWIN = Path(__file__).with_name("pim_twin.cpp")
# Of the kernel's speed to the twin's: 0.7 is wanted, this is what numba gives, with room for a busy machine.
RATIO_FLOOR = 0.25
N_CONTEXTS = 64

pytestmark = pytest.mark.benchmark

# Program, rules and counts to ticks.
Kernel = Callable[[PimProgram, NDArray[np.int64], NDArray[np.int64]], int]


def line(name: str, measured: float, unit: str, target: str) -> None:
    """Print one figure."""
    print(f"{name}: {measured:,.2f} {unit} (target: {target})")


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of one call in this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, cxx: str) -> Kernel:
    """The C++ twin, compiled; skipped where there is no compiler."""
    library = tmp_path_factory.mktemp("twin") / "pim_twin.so"
    constants = [f"-D{name}={value}" for name, value in vars(codes).items() if type(value) is int]
    options = ["-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([cxx, *options, *constants, str(TWIN), "-o", str(library)], check=True)
    run = ctypes.CDLL(str(library)).run_channel
    pointer = np.ctypeslib.ndpointer(np.int64, flags="C_CONTIGUOUS")
    run.argtypes = [pointer, ctypes.c_int64, pointer, ctypes.c_int64, pointer, pointer]
    run.restype = ctypes.c_int64

    def call(program: PimProgram, rules: NDArray[np.int64], counts: NDArray[np.int64]) -> int:
        shape = program.patterns.shape
        return int(run(program.runs, len(program.runs), program.patterns, shape[1], rules, counts))

    return call


@pytest.mark.parametrize(
    ("placement", "target"), [("bank", "> 120, 10 x the plain loop"), ("bg", "none"), ("buffer", "none")]
)
def test_a_channel_beside_cpp(placement: str, target: str, twin: Kernel) -> None:
    """Channel 0 of A03: ten heads of 2,048 positions."""
    one = stack(placement=placement)
    share = PublishedShare(0, (16,) * 9 + (10,), 4096)
    program = attention_program(one.channel, (PimHead(2048),) * 10, HeadShape(128, 2, one.busy_ticks), share)
    rules = one.channel.kernel_rules
    ours, theirs = np.zeros(codes.N_COUNTS, np.int64), np.zeros(codes.N_COUNTS, np.int64)
    ticks = run_channel(program.runs, program.patterns, rules, ours)
    assert twin(program, rules, theirs) == ticks
    assert np.array_equal(ours, theirs)
    ours_s, theirs_s = [], []
    for _ in range(15):  # alternately, so that both meet the same machine
        ours_s.append(cpu_s(lambda: run_channel(program.runs, program.patterns, rules, ours)))
        theirs_s.append(cpu_s(lambda: twin(program, rules, theirs)))
    rate, twin_rate = (ticks / statistics.median(times) / 1e6 for times in (ours_s, theirs_s))
    print()
    line(f"one channel, {placement}, {ticks:,} cycles", rate, "M cycles/CPU-s", target)
    line("  C++ -O3 -march=native, same algorithm, same results", twin_rate, "M cycles/CPU-s", "none")
    line("  kernel against C++", rate / twin_rate, "x", ">= 0.7")
    assert rate >= RATIO_FLOOR * twin_rate


def fresh_s(row: GoldenAttention) -> float:
    """CPU time of a golden row on a stack that has not timed it before."""
    one = stack(placement=row.placement, power_limit=row.power_limit)
    return cpu_s(lambda: attention(one, row.n_heads, row.context, row.head_dim, row.n_bytes))


def test_golden_rows_beside_the_reference() -> None:
    """All golden rows of attention alone, programs included, against the reference's own speed."""
    print()
    for row in golden():
        if row.cycles_per_cpu_s:
            rate = row.cycles / min(fresh_s(row) for _ in range(3))
            line(f"{row.case}, {row.placement}, {row.cycles:,} cycles", rate / 1e6, "M cycles/CPU-s", "none")
            line(f"  reference {row.cycles_per_cpu_s:,.0f} cycles/CPU-s", rate / row.cycles_per_cpu_s, "x", "> 100")
            assert rate > 100 * row.cycles_per_cpu_s


@pytest.mark.parametrize(
    ("n_heads", "first", "n_all", "target_s"),
    [(154, 2048, 2048, 2.0), (2050, 128, 128, 1.0)],
    ids=["batch 64 from 2,048 on", "batch 854 from 128 on"],
)
def test_every_context_of_an_answer(n_heads: int, first: int, n_all: int, target_s: float) -> None:
    """A GPT-175B answer's attention on one stack, each context timed afresh: a sample of them, scaled up."""
    one = stack()
    attention(one, 16, 100)
    contexts = np.linspace(first, first + n_all - 1, N_CONTEXTS).astype(int).tolist()
    work_s = cpu_s(lambda: [attention(one, n_heads, context) for context in contexts]) * n_all / N_CONTEXTS
    print()
    line(f"{n_heads} heads, {n_all:,} contexts from {first:,} on", work_s, "CPU-s", f"< {target_s:g}")
