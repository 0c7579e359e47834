"""Speed of the AiM timing kernel: a block in every detail, in-order commands beside a C++ twin, a sweep of contexts."""

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

from simulator.experiments.settings import load_settings
from simulator.kernels import aim_state
from simulator.kernels.aim import run_program
from simulator.memory.aim_isa import Opcode
from simulator.memory.aim_program import MASK, N_COLUMNS, OPCODE, REPEAT, AimProgram
from simulator.memory.aim_timing import time_program
from simulator.systems.cent import Cent
from simulator.workload.batch import Batch

CENT = Path(__file__).resolve().parents[2] / "hw_configs/cent.yaml"
TWIN = Path(__file__).with_name("aim_twin.cpp")
CONTEXT = 4096
# The published sampling up to 4,096 positions, the paper's long contexts, and one between them: 36 different points.
SWEEP = (*range(128, 4097, 128), 6400, 14592, 22784, 30976)
# Of the kernel's speed to the twin's: 0.7 is wanted, this leaves room for a busy machine and other compilers.
RATIO_FLOOR = 0.5

pytestmark = pytest.mark.benchmark

# Program, channels and table of a part to (device cycles, each channel's commands and clocks with a row open).
Twin = Callable[[AimProgram, int, NDArray[np.int64]], tuple[int, NDArray[np.int64]]]


def line(name: str, measured: float, unit: str, target: str) -> None:
    """Print one figure."""
    print(f"{name}: {measured:,.2f} {unit} (target: {target})")


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of one call in this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def cent(*sets: str) -> Cent:
    """A fresh system, Llama-2-70B on 32 devices unless `sets` say otherwise."""
    system: Cent = load_settings(CENT, ["workload.model=llama2-70b", *sets]).system()
    return system


@pytest.mark.parametrize(
    ("detail", "target"),
    [("full", "none: every channel for itself"), ("class", "<= 20 ms"), ("fast", "< class, aim 5 ms")],
)
def test_one_block(detail: str, target: str) -> None:
    system = cent()
    program, dram = system.program("block", CONTEXT), system.device.dram
    timing = time_program(program, dram.geometry.n_channels, dram.table, detail)  # also compiles
    work_s = statistics.median(
        cpu_s(lambda: time_program(program, dram.geometry.n_channels, dram.table, detail)) for _ in range(5)
    )
    print()
    line(f"70B block, S={CONTEXT}, detail {detail}", work_s * 1e3, "ms CPU", target)
    n_commands = int(timing.commands.sum())
    line(f"  its {n_commands:,} commands on all channels", n_commands / work_s / 1e6, "M commands/s", "none")
    assert timing.cycles == time_program(program, dram.geometry.n_channels, dram.table, "fast").cycles


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, cxx: str) -> Twin:
    """The C++ twin, compiled; skipped where there is no compiler."""
    library = tmp_path_factory.mktemp("twin") / "aim_twin.so"
    constants = [f"-D{name}={value}" for name, value in vars(aim_state).items() if type(value) is int]
    options = ["-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([cxx, *options, *constants, str(TWIN), "-o", str(library)], check=True)
    run_in_order = ctypes.CDLL(str(library)).run_in_order
    pointer = np.ctypeslib.ndpointer(np.int64, flags="C_CONTIGUOUS")
    run_in_order.argtypes = [pointer, ctypes.c_int64, pointer, ctypes.c_int64, pointer]
    run_in_order.restype = ctypes.c_int64

    def call(program: AimProgram, n_channels: int, table: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        tallies = np.zeros((n_channels, aim_state.TALLY_WORDS), np.int64)
        cycles = run_in_order(program.runs, len(program.runs), table, n_channels, tallies)
        return cycles, tallies

    return call


def of_channel_0(program: AimProgram, n_times: int) -> AimProgram:
    """What channel 0 is sent, `n_times` over, for a device of one channel; other channels' lines take their clock."""
    body = program.runs[program.runs[:, OPCODE] != Opcode.EOC]
    runs = np.concatenate([np.tile(body, (n_times, 1)), program.runs[program.runs[:, OPCODE] == Opcode.EOC][:1]])
    runs[:, MASK] &= 1
    return AimProgram(np.ascontiguousarray(runs), program.targets, ("all",), (len(runs),))


def one_column_a_line(program: AimProgram) -> AimProgram:
    """The same commands, each an instruction of its own, so that no two share a look at the rules."""
    table = program.runs
    n_columns = table[:, N_COLUMNS]
    runs = np.repeat(table, np.where(table[:, REPEAT] == 1, n_columns, 1), axis=0)
    runs[runs[:, REPEAT] == 1, N_COLUMNS] = 1
    return AimProgram(np.ascontiguousarray(runs), program.targets, ("all",), (len(runs),))


def in_order_programs() -> dict[str, tuple[AimProgram, int, NDArray[np.int64]]]:
    """Programs without plain reads and writes, with channels and constants of their part."""
    pipeline, tensor = cent(), cent("system.parallelism=1x32")
    n_channels, table = pipeline.device.dram.geometry.n_channels, pipeline.device.dram.table
    ffn = pipeline.program("fc_ffn", CONTEXT)
    split_up = one_column_a_line(AimProgram.from_lines(ffn.lines()))
    fc_only = tensor.program("block_fc_only", CONTEXT)
    return {
        "feed-forward GEMVs of a 70B block, one class": (of_channel_0(ffn, 20), 1, table),
        "all GEMVs of a 70B block on 32 devices, one class": (of_channel_0(fc_only, 200), 1, table),
        "feed-forward GEMVs of a 70B block, every channel": (ffn, n_channels, table),
        "feed-forward GEMVs, one class, one column an instruction": (of_channel_0(split_up, 5), 1, table),
    }


def kernel_call(program: AimProgram, n_channels: int, table: NDArray[np.int64]) -> Callable[[], object]:
    """The kernel with its work space laid out, as `time_program` calls it in detail full: nothing else is timed."""
    section_ends = np.array(program.section_ends, np.int64)
    state = np.empty(n_channels * aim_state.WORDS, np.int64)
    snapshot = np.empty((n_channels + 1) * aim_state.WORDS, np.int64)
    order, roster = np.empty(0, np.int64), np.empty(aim_state.ROSTER_WORDS, np.int64)
    tallies = np.zeros((n_channels, aim_state.TALLY_WORDS), np.int64)
    section_cyc = np.zeros(len(section_ends), np.int64)
    section_commands = np.zeros((len(section_ends), aim_state.N_COMMANDS), np.int64)
    return lambda: run_program(
        program.runs, program.targets, section_ends, n_channels, table, False, False,
        state, snapshot, order, roster, tallies, section_cyc, section_commands,
    )  # fmt: skip


def ratio_to_cpp(name: str, program: AimProgram, n_channels: int, table: NDArray[np.int64], twin: Twin) -> float:
    """Time kernel and twin on one program, print both rates, and return how fast the kernel is against the twin."""
    assert not {Opcode.W_MEM, Opcode.R_MEM} & set(program.runs[:, OPCODE].tolist())
    ours = time_program(program, n_channels, table, "full")
    cycles, tallies = twin(program, n_channels, table)
    assert ours.cycles == cycles
    assert np.array_equal(np.column_stack([ours.commands, ours.active_cyc]), tallies)
    kernel = kernel_call(program, n_channels, table)
    ours_s, theirs_s = [], []
    for _ in range(11):  # alternately, so that both meet the same machine
        ours_s.append(cpu_s(kernel))
        theirs_s.append(cpu_s(lambda: twin(program, n_channels, table)))
    n_commands = int(ours.commands.sum())
    rate, twin_rate = (n_commands / statistics.median(times) / 1e6 for times in (ours_s, theirs_s))
    ratio = statistics.median(theirs / mine for theirs, mine in zip(theirs_s, ours_s, strict=True))
    print()
    line(f"in-order commands, {name} ({n_commands:,})", rate, "M commands/s", ">= 100")
    line("  C++ -O3 -march=native, same algorithm, same results", twin_rate, "M commands/s", "none")
    line("  kernel against C++", ratio, "x", ">= 0.7")
    return ratio


def test_in_order_commands_beside_cpp(twin: Twin) -> None:
    ratios = [ratio_to_cpp(name, *case, twin) for name, case in in_order_programs().items()]
    assert min(ratios) >= RATIO_FLOOR


def sweep_cpu_s() -> float:
    """CPU time of the sweep on a fresh system, which remembers nothing."""
    system = cent()
    return cpu_s(lambda: [system.step(Batch.decode(context)) for context in SWEEP])


def test_sweep_of_contexts() -> None:
    sweep_cpu_s()  # kernels compiled
    median_s = statistics.median(sweep_cpu_s() for _ in range(3))
    print()
    name = f"70B, {len(SWEEP)} contexts from {SWEEP[0]} to {SWEEP[-1]}, programs included"
    line(name, median_s, "CPU-s", "<= 2; the reference takes about 900")
