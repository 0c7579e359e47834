"""What machines with attention stacks beside a processor have in common: which sequences go where, and sums."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.contracts.results import Bound, Scalar, StepResult
from simulator.contracts.system import CapacityMode
from simulator.contracts.tasks import Task, TaskGraph
from simulator.core.energy import EnergyLedger
from simulator.core.errors import ConfigError, MappingError
from simulator.core.rounding import ceil_div
from simulator.devices.pim_attention import PimHead
from simulator.devices.pim_pool import Detail, Heads, PimPool
from simulator.devices.pim_stack import PimStack
from simulator.devices.scheduling import schedule
from simulator.devices.tile_gpu import TileOperator, summed_energy
from simulator.memory.hbm_pim.channel import PimChannel
from simulator.workload.batch import Batch, Sequence
from simulator.workload.model import ModelSpec

# Commands of a stack as golden tables name their counts.
_COUNTED = {"MAC": "n_mac", "SFM": "n_softmax", "MVGB": "n_mvgb", "MVSB": "n_mvsb", "WRGB": "n_wrgb"}


def is_decode(sequence: Sequence) -> bool:
    """Whether a sequence's keys and values are there already, but for the few new tokens that it brings."""
    return sequence.new_tokens == 1 or sequence.is_verified


def split(batch: Batch) -> tuple[Batch | None, Batch | None]:
    """The sequences that attend on stacks, and prompts, which do on the processor."""
    decodes = [run for run in batch.runs if is_decode(run[0])]
    prompts = [run for run in batch.runs if not is_decode(run[0])]
    return (Batch.of_runs(decodes) if decodes else None), (Batch.of_runs(prompts) if prompts else None)


def rounded(batch: Batch, context_step: int) -> Batch:
    """The batch with the contexts of decodes rounded up to multiples of `context_step`, in a fixed order."""
    if context_step == 1 and len(batch.runs) == 1:
        return batch
    runs = []
    for sequence, n in batch.runs:
        context = sequence.context
        if is_decode(sequence):
            context = ceil_div(context, context_step) * context_step
        runs.append((Sequence(sequence.new_tokens, context), n))
    return Batch.of_runs(sorted(runs, key=lambda run: (run[0].context, run[0].new_tokens)))


def pim_heads(decodes: Batch, model: ModelSpec) -> Heads:
    """The key-value heads of all decodes: queries of the new tokens, and of heads that share keys, go together."""
    found = []
    for sequence, n in decodes.runs:
        context = sequence.context
        if model.sliding_window:
            context = min(context, model.sliding_window + sequence.new_tokens - 1)
        found.append((PimHead(context, model.rep * sequence.new_tokens), n * model.n_kv_heads))
    return found


def named_commands(commands: dict[str, int], channel: PimChannel) -> dict[str, Scalar]:
    """Commands by the names that the channel's placement has for them, then under those of AttAcc's tables."""
    rules = channel.rules
    names = {"MAC": rules.mac, "ACT": rules.act, "PRE": rules.pre}
    found: dict[str, Scalar] = {names.get(name, name): n for name, n in commands.items()}
    return {**found, **{column: commands.get(name, 0) for name, column in _COUNTED.items()}}


def operator_bound(operator: TileOperator, share: float = 1.0) -> Bound:
    """What bounds an operator of the processor: its arithmetic, its memory, a link or its start, and by how much of
    the time."""
    if operator.bound == "memory" and 2 * operator.start_ps > operator.time_ps:
        return Bound("launch latency", operator.start_ps / operator.time_ps, 1.0, "of the time")
    roof = {"compute": operator.compute_ps, "memory": operator.memory_ps}.get(operator.bound, operator.time_ps)
    frac = min(1.0, roof / operator.time_ps) if operator.time_ps else 0.0
    return Bound(operator.bound, frac, 1.0, "of the time" if share == 1.0 else "of the time, shared")


def gpu_ledger(operators: Iterable[TileOperator]) -> EnergyLedger:
    """Energy of one processor's operators by component."""
    total = summed_energy(operators)
    return EnergyLedger(
        {
            "gpu_dram": total.dram_pj, "gpu_l2": total.l2_pj, "gpu_l1": total.l1_pj, "gpu_reg": total.reg_pj,
            "gpu_alu": total.alu_pj, "links": total.nvlink_pj,
        }
    )  # fmt: skip


def attention_alone(
    stack: PimStack,
    head: PimHead,
    n_heads: int,
    head_dim: int,
    bytes_per_element: int,
    detail: Detail = "fast",
    *,
    capacity: CapacityMode = "report",
) -> StepResult:
    """One layer's attention of `n_heads` equal heads on one stack, its power beside the stack's budget.

    Keys and values that the stack has no room for are noted, or refused by MappingError where `capacity` is enforced.
    """
    missing = 2 * n_heads * head.context * head_dim * bytes_per_element - stack.capacity_bytes
    overfull = (
        f"keys and values of {n_heads:,} head{'' if n_heads == 1 else 's'} of {head.context:,} positions overfill a "
        f"stack by {missing:,} bytes"
    )
    if missing > 0 and capacity == "enforce":
        raise MappingError(
            overfull,
            where="workload.context",
            remedy="use a shorter context or fewer heads (workload.heads_per_stack), or set system.capacity=report",
            missing_bytes=missing,
        )
    run = PimPool(stack, 1, head_dim, bytes_per_element, detail).attention([(head, n_heads)])
    bound = Bound(run.bound, run.peak_frac, 1.0, "of the columns")
    planned = schedule(TaskGraph([Task("attention", "pim", round(run.time_ps))]))
    power_w, budget_w = run.energy.total_pj / planned.makespan_ps, stack.config.energy.power.budget_mw / 1e3
    if power_w > budget_w and stack.config.power_budget == "enforce":
        raise ConfigError(
            f"attention draws {power_w:,.1f} W of a stack, {power_w - budget_w:,.1f} W more than its budget",
            where="system.stack.power_budget",
            remedy="space products (power_limit: true), use units in fewer places, or report the power only",
        )
    return StepResult(
        latency_ps=planned.makespan_ps,
        interval_ps=planned.makespan_ps,
        n_slots=1,
        schedule=planned,
        energy=run.energy,
        power_w=power_w,
        bounds={"attention": bound},
        metrics={"pim_cycles": run.ticks, "power_budget_w": budget_w},
        breakdown={"commands": named_commands(run.commands, stack.channel)},
        notes=(f"{overfull}; the run goes on as if they fitted (system.capacity: report)",) if missing > 0 else (),
    )
