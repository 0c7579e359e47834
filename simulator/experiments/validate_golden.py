"""Golden rows of the AiM simulator: each case as a program or a run, its cycles and commands beside ours."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.core.errors import ModelFault
from simulator.devices.aim_device import AimDevice, named_counts
from simulator.devices.aim_mapping import AttentionShape, ChannelGroup, attention_output, attention_score, gemv
from simulator.experiments.validate_records import Group, Point
from simulator.experiments.validate_runs import Runs
from simulator.experiments.validate_targets import Targets, golden_rows
from simulator.memory.aim_isa import Opcode
from simulator.memory.aim_program import AimProgram, AimProgramBuilder

_GEMV = re.compile(r"K=(\d+) N=(\d+) over (\d+) banks, order=([\w-]+), reuse=(\d+)(, AF variant)?, first row 0")
_ATTENTION = re.compile(r"(\w+), (\d+) channels per block, S=(\d+), first row 0")
_BLOCK = re.compile(r"(\w+), (\d+) channels per block, S=(\d+)(?:, only section (\w+))?")
_TENSOR = re.compile(r"(\w+), model parallel, FC_devices=(\d+), S=(\d+)")
_PUBLISHED = re.compile(r"Llama2-(\w+): (\d+) devices, PP=(\d+) TP=(\d+), \d+ channels per block, S=(\d+);.*")
_COUNT = "ch0_"


def golden_points(targets: Targets, runs: Runs) -> Iterator[Point]:
    """Every number of the golden table beside ours."""
    golden = targets.golden
    device = runs.dram()
    rows = golden_rows(targets)
    for category, title in golden.titles.items():
        published = category == "published_block"
        source = golden.published_source if published else golden.source
        group = Group(category, title, source)
        for row in rows:
            if row["category"] != category:
                continue
            if published:
                yield from _published(group, row, runs)
            else:
                yield from _equal(group, row, _measure(category, row, targets, runs, device))
        if category == "micro":
            yield from _micro_cycles(group, targets, device)


def _equal(group: Group, row: Mapping[str, str], ours: Mapping[str, int]) -> Iterator[Point]:
    """Device cycles and every command count of channel 0; a row of the table tells the whole category."""
    expected = {"device_cycles": int(row["device_cycles"])}
    expected |= {name.removeprefix(_COUNT): int(text) for name, text in row.items() if name.startswith(_COUNT) and text}
    for name, target in expected.items():
        yield Point(group, _family(row), f"{row['case_id']}: {name}", target, ours[name])


def _family(row: Mapping[str, str]) -> str:
    """The row of the table that a case belongs to: the model where there is one, else all cases of the category."""
    model = re.match(r"(\d+B),", row["description"])
    return f"{row['category'].replace('_', ' ')}{f' {model[1]}' if model else ''}"


def _micro_cycles(group: Group, targets: Targets, device: AimDevice) -> Iterator[Point]:
    for case, cycles in targets.micro_cycles.items():
        yield Point(group, "micro", f"{case}: device_cycles", cycles, _replayed(case, targets, device)["device_cycles"])


def _measure(
    category: str, row: Mapping[str, str], targets: Targets, runs: Runs, device: AimDevice
) -> Mapping[str, int]:
    """Device cycles and command counts of a case."""
    text = row["description"]
    if category == "micro":
        return _replayed(row["case_id"], targets, device)
    if category == "gemv":
        return _timed(_gemv_program(text, device), device)
    if category in ("attn_score", "attn_output"):
        return _timed(_attention_program(category, text, runs, device), device)
    if category in ("block", "block_part"):
        model, _, context, part = _match(_BLOCK, text)
        return _counts(runs.record(model, part or "block", {"workload.context": int(context)}))
    model, width, context = _match(_TENSOR, text)
    mapping = f"{runs.n_devices(model) // int(width)}x{width}"
    scope = "block_fc_only" if category == "tp_fconly" else "block"
    return _counts(runs.record(model, scope, {"workload.context": int(context), "system.parallelism": mapping}))


def _replayed(case: str, targets: Targets, device: AimDevice) -> Mapping[str, int]:
    """A micro case written as a trace file and replayed, as `sim replay` would."""
    lines = [line for entry in targets.micro[case] for line in entry.text()]
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / f"{case}.aim"
        trace.write_text("\n".join([*lines, "AiM EOC"]) + "\n", encoding="utf-8")
        return _counts(device.replay(trace, 1))


def _gemv_program(text: str, device: AimDevice) -> AimProgram:
    n_inputs, n_outputs, n_banks, order, reuse, activated = _match(_GEMV, text)
    builder = AimProgramBuilder()
    # The fused activation leaves half the accumulators, whatever the case asks for.
    limit = None if activated else int(reuse)
    gemv(
        builder, device.geometry, int(n_inputs), int(n_outputs), int(n_banks), 0,
        activated=bool(activated), order=order, reuse=limit,
    )  # fmt: skip
    return _ended(builder)


def _attention_program(category: str, text: str, runs: Runs, device: AimDevice) -> AimProgram:
    label, n_channels, context = _match(_ATTENTION, text)
    model, geometry = runs.model(label), device.geometry
    group = ChannelGroup(geometry, int(n_channels), geometry.n_channels // int(n_channels))
    shape = AttentionShape(model.n_heads, model.n_kv_heads, model.head_dim, 4096)
    builder = AimProgramBuilder()
    if category == "attn_score":
        attention_score(builder, geometry, group.n_banks, shape, int(context), 0)
    else:
        attention_output(builder, group, shape, int(context), 0)
    return _ended(builder)


def _ended(builder: AimProgramBuilder) -> AimProgram:
    builder.command(Opcode.EOC, mask=0)
    builder.section("end")
    return builder.build()


def _timed(program: AimProgram, device: AimDevice) -> Mapping[str, int]:
    timing = device.time(program)
    return {"device_cycles": timing.cycles, **_whole(named_counts(timing.commands[0]))}


def _counts(record: RunRecord) -> Mapping[str, int]:
    cycles = int(record.metrics["device_cycles"])
    return {"device_cycles": cycles, **_whole(record.breakdown["channel0_commands"])}


def _whole(counts: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(count) for name, count in counts.items()}


def _published(group: Group, row: Mapping[str, str], runs: Runs) -> Iterator[Point]:
    """Cycles of a block, its transfers and near-memory time, and the token's time, energy and power."""
    label, n_devices, stages, width, context = _match(_PUBLISHED, row["description"])
    mapping = {"system.n_devices": int(n_devices), "system.parallelism": f"{stages}x{width}"}
    record = runs.record(label, "block", {**mapping, "workload.context": int(context)})
    n_layers = runs.model(label).n_layers
    time_ms, metrics = record.breakdown["token_time_by_resource_ms"], record.metrics
    ours = {
        "cxl_us": float(time_ms["CXL"]) * 1e3 / n_layers,
        "pnm_us": float(time_ms["PNM"]) * 1e3 / n_layers,
        "embedding_ms": runs.value(record, "embedding_ms"),
        "token_ms": metrics["token_latency_ms"],
        "tokens_per_s": metrics["throughput_tokens_per_s"],
        "mJ_per_token": metrics["energy_mj_per_token"],
        "power_W": metrics["power_w"],
    }
    case = f"{label} {stages}x{width}"
    yield Point(group, case, f"S={context}: block cycles", int(row["device_cycles"]), metrics["block_cycles"])
    for name, value in ours.items():
        yield Point.printed(group, case, f"S={context}: {name}", row[name], value)


def _match(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ModelFault(f"the golden table has a case that validation cannot read: {text!r}")
    return tuple(found.groups(default=""))
