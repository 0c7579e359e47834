"""Speed of scheduling a token's tasks, of serving a recorded request trace, and of the command line's start."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.contracts.tasks import TaskGraph
from simulator.devices.scheduling import schedule
from simulator.experiments.llm_trace import TraceRequest, load_trace, run_trace
from simulator.experiments.settings import load_settings
from simulator.experiments.trace_batches import batched
from simulator.serving.costs import BatchCosts
from simulator.serving.requests import Requests

REPO_ROOT = Path(__file__).resolve().parents[2]
CONFIGS = REPO_ROOT / "hw_configs"
N_BLOCKS = 80

pytestmark = pytest.mark.benchmark


def line(name: str, measured: float, unit: str, target: str) -> None:
    """Print one figure."""
    print(f"{name}: {measured:,.2f} {unit} (target: {target})")


def median_cpu_s(work: Callable[[], object], n: int) -> float:
    """Median CPU time of `n` calls in this process, after one that does not count."""
    work()
    times = []
    for _ in range(n):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return statistics.median(times)


def token_graph() -> TaskGraph:
    """80 blocks of 15 tasks on three resources, one after the other, between an embedding and the host."""
    block = TaskGraph()
    last: tuple[int, ...] = (block.add("enter", "", 0),)
    for step in range(7):
        pim = block.add(f"operator {step}", "pim", 1_000_003 + step, last)
        beside = block.add(f"beside {step}", "pnm" if step % 2 else "cxl", 500_009 + step, last)
        last = (pim, beside)
    graph = TaskGraph()
    after = (graph.add("embedding", "pim", 700_001),)
    graph.add("top_k", "host", 150_000, graph.add_repeated(block, N_BLOCKS, entries=(0,), exits=last, after=after))
    return graph


def test_scheduling_a_token() -> None:
    graph = token_graph()
    assert len(graph) == 1202
    print()
    line("1,202 tasks built and scheduled", median_cpu_s(lambda: schedule(token_graph()), 21) * 1e3, "ms CPU", "none")
    columns = graph.columns()
    line("  scheduled only", median_cpu_s(lambda: schedule(columns), 21) * 1e3, "ms CPU", "none")
    assert schedule(graph).makespan_ps == 700_001 + N_BLOCKS * sum(1_000_003 + step for step in range(7)) + 150_000


@pytest.mark.parametrize("config", ["cent", "cent_corrected"])
def test_serving_the_azure_trace(config: str, shared_dir: Path) -> None:
    trace = shared_dir / "traces/serving/azure2023/AzureLLMInferenceTrace_conv.csv"
    settings = load_settings(CONFIGS / f"{config}.yaml")
    policy = settings.system().accounting.slot_policy
    request = TraceRequest(str(trace), qps=0.6)
    begun = time.process_time()
    record, _checksums = run_trace(settings, request)
    first_s = time.process_time() - begun
    print()
    line(f"19,366 Azure requests, {config} ({policy}), tokens timed on the way", first_s, "CPU-s", "<= 10")
    assert record.metrics["n_requests"] == 19_366


@pytest.mark.parametrize("qps", [6.0, 12.0])
def test_batching_the_azure_trace(qps: float, shared_dir: Path) -> None:
    """At 6 requests/s batches are small and iterations many, at 12 it is the other way round."""
    trace = shared_dir / "traces/serving/azure2023/AzureLLMInferenceTrace_conv.csv"
    settings = load_settings(CONFIGS / "gpu_h200.yaml")
    system, requests = settings.system(settings.workload.context_step), TraceRequest(str(trace), qps=qps)
    arrived = load_trace(settings, requests)
    columns = Requests.of(arrived.arrival_ps, arrived.prompt_tokens, arrived.output_tokens, arrived.ids)
    begun = time.process_time()
    result = batched(settings, system, columns)
    whole_s = time.process_time() - begun
    n, n_distinct = len(result.iterations), len(result.costs.batches)
    costs = BatchCosts(settings.system(settings.workload.context_step))
    begun = time.process_time()
    for batch in result.costs.batches:
        costs.number(batch)
    steps_s = time.process_time() - begun
    print()
    line(f"19,366 Azure requests at {qps:g}/s in batches, {n:,} iterations", whole_s, "CPU-s", "<= 60")
    line(f"  of that {n_distinct:,} distinct steps, each", steps_s / n_distinct * 1e3, "ms CPU", "<= 1")
    line("  the rest, an iteration", (whole_s - steps_s) / n * 1e6, "us CPU", "none")


def child_cpu_s(*command: str, n: int) -> float:
    """Median CPU time of `n` runs of the command line, each a process of its own, after one that does not count."""
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    times = []
    for _ in range(n + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", "from simulator.cli.main import main; raise SystemExit(main())", *command],
            cwd=REPO_ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times[1:])


def test_start_of_the_command_line() -> None:
    print()
    line("sim --help, whole process", child_cpu_s("--help", n=5), "CPU-s", "<= 0.2")
    sets = ("--set", "workload.scope=block", "--set", "workload.context=128")
    run_s = child_cpu_s("run", str(CONFIGS / "cent.yaml"), "--no-report", *sets, n=5)
    line("sim run --no-report of one block, S=128, whole process", run_s, "CPU-s", "<= 1.0 before simulation")
