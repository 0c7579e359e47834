"""What each constraint means and what would loosen it, as a table: one row per constraint, read by `explain`.

A system whose constraints have other names offers its own rows as a class attribute `advice` of the same form; a
constraint without a row is explained by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.core.config import ConfigTree
from simulator.core.paths import format_path
from simulator.core.units import split_suffix


@dataclass(frozen=True, slots=True)
class Advice:
    """`meaning` says what the operator does while it is bound so, `remedy` what would help; `knobs` are names of
    parameters that act on it, wherever a configuration has them (`section.name`: in sections of that name only)."""

    meaning: str
    remedy: str
    knobs: tuple[str, ...] = ()


ADVICE: Mapping[str, Advice] = {
    "bank": Advice(
        "columns stream past the units beside the banks",
        "more channels or devices for the operator, a shorter column pitch, or fewer bits an operand",
        ("n_ccd", "n_devices", "n_channels"),
    ),
    "products": Advice(
        "units beside the memory multiply column after column",
        "more or faster units, products closer together (power_limit), more stacks, or fewer bits",
        ("unit_clock", "units_per_place", "n_fc_stacks", "n_attention_stacks", "stacks_per_gpu"),
    ),
    "rows": Advice(
        "rows are opened and closed",
        "more columns of each open row, or a shorter activation and precharge",
    ),
    "refresh": Advice("the channel refreshes", "a shorter refresh, or a rarer one"),
    "moves": Advice(
        "inputs, scores and sums move between units and buffer die",
        "fewer tokens at a time, larger blocks, or a faster way to the buffer die",
    ),
    "row": Advice(
        "rows are opened and closed",
        "more work for each open row, or a shorter activation and precharge",
        ("n_rcd_mac", "n_rp", "n_rtp", "row_bytes"),
    ),
    "mode switch": Advice(
        "channels change between register and data mode",
        "results read less often (more accumulators), or a shorter switch",
        ("n_mod", "n_accumulators"),
    ),
    "bus": Advice(
        "bursts cross the data bus",
        "fewer vectors moved between banks, or a faster bus",
        ("n_bl",),
    ),
    "dispatcher": Advice(
        "host instructions wait for the dispatcher to send them",
        "more instructions a clock, or fewer and longer ones",
        ("dispatcher_width",),
    ),
    "link": Advice(
        "bytes cross the link",
        "more or faster lanes, fewer bytes, fewer and larger messages, or transfers beside the work",
        (
            "n_lanes",
            "lane_gib_per_s",
            "cxl_overlap",
            "ll.launch",
            "ll.step",
            "simple.payload_share",
            "system.tensor_parallel",
        ),
    ),
    "link latency": Advice(
        "a collective starts and steps, and carries little",
        "fewer and larger messages, a faster protocol for short ones, or fewer GPUs that share a layer",
        ("ll.launch", "ll.step", "simple.launch", "system.tensor_parallel"),
    ),
    "near-memory unit": Advice(
        "the near-memory unit works",
        "more units or a faster clock, or its work beside the in-memory work",
        ("n_units", "pnm_overlap"),
    ),
    "host": Advice(
        "the host works",
        "a faster host step, or one that overlaps with the next token",
        ("top_k",),
    ),
    "compute": Advice(
        "the arithmetic units are busy",
        "more or faster units, or fewer operations",
    ),
    "memory": Advice(
        "memory delivers what it can",
        "more bandwidth, fewer bytes, or more reuse of each byte",
    ),
    "memory bandwidth": Advice(
        "memory delivers what it can",
        "more bandwidth, fewer bytes (bits a weight or a value), or more sequences for each reading of the weights",
        ("device.bandwidth", "gemm_frac", "attention_frac", "system.tensor_parallel"),
    ),
    "cache bandwidth": Advice(
        "bytes that stay in the cache come as fast as it can",
        "a faster cache, or kernels that are fused",
        ("system.elementwise",),
    ),
    "launch latency": Advice(
        "kernels start and end",
        "fewer and larger kernels: fused ones, or a larger batch",
        ("system.elementwise", "launches.norm", "launches.norm_element", "launches.gemm", "launches.attention_decode"),
    ),
    "power limit": Advice(
        "the arithmetic units run at the clock that the board's power limit leaves",
        "a higher limit, or less energy a byte and an operation",
        ("board_limit", "pj_per_flop", "energies.dram"),
    ),
    "capacity": Advice(
        "there is no room for more",
        "more memory, shorter contexts, or fewer bits a value",
    ),
}


def advice_for(constraint: str, own: Mapping[str, Advice]) -> Advice:
    """The row of a constraint: the system's own, the general one, or one that repeats its name."""
    return own.get(constraint) or ADVICE.get(constraint) or Advice(f"the {constraint} is busy", f"more {constraint}")


def system_advice(system_class: Any) -> Mapping[str, Advice]:
    """The rows that a system offers itself."""
    own: Mapping[str, Advice] = getattr(system_class, "advice", {})
    return own


def knob_paths(tree: ConfigTree, knobs: Iterable[str]) -> tuple[str, ...]:
    """Where a configuration states parameters of these names (units in the key set aside), in the order of `knobs`.

    Left out are the link to the host, which no step crosses, and what a link's other generations have.
    """
    wanted = tuple(knobs)
    found: dict[str, list[str]] = {}
    for path, _ in tree.node.walk(tree.path):
        if not path or {"host_link", "generations"} & {str(part) for part in path}:
            continue
        for name in dict.fromkeys((split_suffix(path[-1])[0], path[-1])):
            found.setdefault(name, []).append(format_path(path))
            if len(path) > 1:
                found.setdefault(f"{path[-2]}.{name}", []).append(format_path(path))
    return tuple(dict.fromkeys(place for knob in wanted for place in found.get(knob, ())))
