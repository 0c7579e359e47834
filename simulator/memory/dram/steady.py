"""Closed forms for steady DRAM streams: what a standard allows at most, which rule says so, and one stream exactly."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

from simulator.core.errors import ConfigError
from simulator.memory.dram.spec import DramSpec


@dataclass(frozen=True, slots=True)
class StreamBound:
    """The least ticks per access that a standard allows a stream, and what sets them.

    `limits` gives the ticks per access of every resource, the largest of which is `ticks_per_access`, under the name
    `limiting`; `share` of the time is left by refresh. `peak_gb_per_s` (10^9 bytes) is one channel's.
    """

    limiting: str
    ticks_per_access: Fraction
    limits: dict[str, Fraction]
    share: Fraction
    peak_gb_per_s: float

    def least_cycles(self, n_accesses: int) -> int:
        """Ticks between the first and the last of so many accesses, refresh left out: no run is shorter."""
        return max(0, -(-(n_accesses - 1) * self.ticks_per_access.numerator // self.ticks_per_access.denominator))


def hit_stream(spec: DramSpec, interleave: dict[str, int] | None = None, *, is_write: bool = False) -> StreamBound:
    """Column commands alone, all rows open, in turn to `interleave` nodes of each level (one where not named).

    A rule of latency v at a level whose nodes are N in the round comes up once in N accesses: v / N ticks per access.
    Without `interleave`, the peak that the standard allows: all nodes evenly, in the best order, in which changes of
    rank or stack do not count. Raises ConfigError for more nodes than there are.
    """
    counts = _counts(spec, interleave)
    column = "WR" if is_write else "RD"
    limits = _pair_limits(spec, column, column, counts, in_turn=interleave is not None)
    limits["command bus"] = Fraction(_slots(spec, (column,)))
    return _bound(spec, limits, Fraction(1))


def miss_stream(
    spec: DramSpec,
    *,
    accesses_per_row: int = 1,
    is_write: bool = False,
    refresh: str = "NoRefresh",
    interleave: dict[str, int] | None = None,
) -> StreamBound:
    """A row opened for every `accesses_per_row` accesses, spread evenly over the banks (`interleave` nodes of each
    level): the largest of the data bus, the activation rules (RRD, FAW), the banks' row cycle and the command buses.

    With a refresh the share that it leaves is deducted: `AllBank` stops all banks of a rank for tRFC every tREFI; per
    bank, one bank at a time is missing, which only a bound by banks feels.
    """
    if accesses_per_row < 1:
        raise ConfigError(f"{accesses_per_row} accesses per row", remedy="at least 1")
    counts = _counts(spec, interleave)
    per_row = Fraction(1, accesses_per_row)
    column = "WR" if is_write else "RD"
    act = _activate(spec)
    limits = _pair_limits(spec, column, column, counts, in_turn=False)
    for name, ticks in _pair_limits(spec, act, act, counts, in_turn=False).items():
        limits[name] = ticks * per_row
    n_banks = prod(counts)
    cycle = row_cycle_cyc(spec, accesses_per_row, is_write=is_write)
    limits["bank row cycle"] = cycle * per_row / n_banks
    rows = [act, *(["ACT2"] if "ACT2" in spec.commands else []), "PREpb"]
    for number, bus in enumerate(spec.buses):
        busy = Fraction(_slots(spec, [name for name in (column,) if name in bus]))
        busy += _slots(spec, [name for name in rows if name in bus]) * per_row
        limits["command bus" if len(spec.buses) == 1 else f"command bus {number}"] = busy
    share = refresh_share(spec, refresh)
    if refresh not in ("NoRefresh", "AllBank"):
        limits["bank row cycle"] /= bank_share(spec, refresh)
    return _bound(spec, limits, share)


def row_cycle_cyc(spec: DramSpec, accesses_per_row: int = 1, *, is_write: bool = False) -> int:
    """Least ticks from one activation of a bank to its next: tRC, tRAS + tRP, or through the accesses between."""
    bank, act, column = len(spec.levels), _activate(spec), "WR" if is_write else "RD"
    between = (accesses_per_row - 1) * latency(spec, column, column, bank)
    recovery = latency(spec, column, "PREpb", bank) + latency(spec, "PREpb", act, bank)
    return max(
        latency(spec, act, act, bank),
        latency(spec, act, "PREpb", bank) + latency(spec, "PREpb", act, bank),
        latency(spec, act, column, bank) + between + recovery,
    )


def refresh_share(spec: DramSpec, refresh: str) -> Fraction:
    """Share of the time that all-bank refresh leaves to a rank: 1 - tRFC / tREFI; 1 for other ways to refresh.

    Source: JESD79-4, 4.24; a stream loses `refresh_stall_cyc` each time, not only tRFC.
    """
    if refresh != "AllBank":
        return Fraction(1)
    return 1 - Fraction(spec.timing.get("n_rfcab", spec.timing.get("n_rfc", 0)), spec.timing["n_refi"])


def bank_share(spec: DramSpec, refresh: str) -> Fraction:
    """Share of the time that per-bank refresh leaves to each bank: 1 - tRFCpb / (the interval between its refreshes).

    The interval is what the manager does: PerBank walks all banks of a channel one per tREFIpb,
    HBM34PerBankRefresh one bank of every pseudo channel at a time.
    """
    if refresh not in ("PerBank", "HBM34PerBankRefresh"):
        return Fraction(1)
    at_a_time = 1 if refresh == "PerBank" else prod(spec.level_sizes[: spec.refresh_level])
    return 1 - Fraction(spec.timing["n_rfcpb"] * at_a_time, spec.timing["n_refipb"] * spec.n_banks)


def refresh_stall_cyc(spec: DramSpec) -> int:
    """Ticks that one all-bank refresh takes from a stream of reads: the last read's tRTP, tRP, tRFC, tRCD."""
    scope, bank, act = spec.refresh_level, len(spec.levels), _activate(spec)
    return (
        latency(spec, "RD", "PREab", scope)
        + latency(spec, "PREab", "REFab", scope)
        + latency(spec, "REFab", act, scope)
        + latency(spec, act, "RD", bank)
    )


def turnaround(spec: DramSpec, n_reads: int, n_writes: int) -> StreamBound:
    """Batches of reads and writes to open rows in turn: each change of direction costs its rule instead of a burst.

    The cheapest order is meant: neighbours in different bank groups of one rank. The share left is in
    `ticks_per_access`, which averages over both batches.
    """
    if n_reads < 1 or n_writes < 1:
        raise ConfigError("a batch is empty", remedy="give at least one read and one write")
    apart = len(spec.levels) - 2 if spec.levels[-2:-1] == ("bank_group",) else len(spec.levels) - 1
    n_nodes = prod(spec.level_sizes[: spec.refresh_level])
    read = hit_stream(spec).ticks_per_access
    write = hit_stream(spec, is_write=True).ticks_per_access
    there, back = latency(spec, "RD", "WR", apart), latency(spec, "WR", "RD", apart)
    ticks = (n_reads - 1) * read + (n_writes - 1) * write + Fraction(there + back, n_nodes)
    n_accesses = n_reads + n_writes
    limits = {
        "reads": n_reads * read / n_accesses,
        "writes": n_writes * write / n_accesses,
        "turnaround": (Fraction(there + back, n_nodes) - read - write) / n_accesses,
    }
    each = Fraction(ticks, n_accesses)
    return StreamBound("turnaround", each, limits, Fraction(1), _gb_per_s(spec, each))


def expected_cycles(spec: DramSpec, n: int, *, is_write: bool = False) -> int:
    """Tick of the last column command of `n` accesses that fill one bank row by row, without refresh: exact.

    Rows take `n_columns / prefetch` accesses. The front end offers one access per tick from the start, and the queue
    holds at least two. Raises ConfigError where a bank could be precharged between two hits, which is no steady stream.
    """
    if n < 1:
        raise ConfigError(f"a stream of {n} accesses", remedy="at least 1")
    bank, act, column = len(spec.levels), _activate(spec), "WR" if is_write else "RD"
    pitch = max(latency(spec, column, column, bank), 1)
    to_close = latency(spec, column, "PREpb", bank)
    if to_close < pitch:
        raise ConfigError(
            f"{spec.standard} may precharge {to_close} ticks after an access and access again after {pitch}",
            remedy="simulate this stream; it has no closed form",
        )
    per_row = spec.n_columns // spec.prefetch
    to_column = _on_edge(spec, latency(spec, act, column, bank)) + _cas_cyc(spec)
    pitch = _on_edge(spec, pitch)
    last = to_column + (per_row - 1) * pitch
    close = max(last + to_close, latency(spec, act, "PREpb", bank))
    period = _on_edge(spec, max(close + latency(spec, "PREpb", act, bank), latency(spec, act, act, bank)))
    full, rest = divmod(n - 1, per_row)
    return 1 + full * period + to_column + rest * pitch


def latency(spec: DramSpec, before: str, after: str, shared: int) -> int:
    """Ticks between two commands whose places agree down to level `shared` (0 the channel, the last one the bank).

    The largest of the rules of these levels, and of those for siblings at the next; windows of several commands are
    left out. 0 where there is none.
    """
    first, second = spec.command_index(before), spec.command_index(after)
    return max(
        (
            int(ticks)
            for level, one, two, ticks, window, sibling in spec.rules
            if one == first and two == second and window == 1 and (level == shared + 1 if sibling else level <= shared)
        ),
        default=0,
    )


def _counts(spec: DramSpec, interleave: dict[str, int] | None) -> tuple[int, ...]:
    wanted = {} if interleave is None else interleave
    for level, count in wanted.items():
        if level not in spec.levels or not 1 <= count <= spec.level_sizes[spec.levels.index(level)]:
            sizes = ", ".join(f"{name}: {size}" for name, size in zip(spec.levels, spec.level_sizes, strict=True))
            raise ConfigError(f"cannot go round {count} of {level!r}", remedy=f"up to {sizes}")
    if interleave is None:
        return spec.level_sizes
    return tuple(wanted.get(level, 1) for level in spec.levels)


def _pair_limits(
    spec: DramSpec, before: str, after: str, counts: tuple[int, ...], *, in_turn: bool
) -> dict[str, Fraction]:
    """Ticks per command that each rule between these commands asks of an even spread over `counts` nodes.

    Rules for siblings count only where the nodes take turns: another order can change between them seldom.
    """
    first, second = spec.command_index(before), spec.command_index(after)
    limits: dict[str, Fraction] = {}
    for row, name in zip(spec.rules.tolist(), spec.rule_names, strict=True):
        level, one, two, ticks, window, sibling = row
        if one != first or two != second:
            continue
        if sibling and (not in_turn or counts[level - 1] == 1):
            continue
        nodes = prod(counts[: level - 1]) if sibling else prod(counts[:level])
        limits[name] = max(limits.get(name, Fraction(0)), Fraction(ticks, window * nodes))
    return limits


def _bound(spec: DramSpec, limits: dict[str, Fraction], share: Fraction) -> StreamBound:
    limiting = max(limits, key=lambda name: limits[name])
    ticks = limits[limiting]
    return StreamBound(limiting, ticks, limits, share, _gb_per_s(spec, ticks) * float(share))


def _gb_per_s(spec: DramSpec, ticks_per_access: Fraction) -> float:
    return float(1000 * spec.tx_bytes / (ticks_per_access * spec.tick_period_ps))


def _slots(spec: DramSpec, commands: list[str] | tuple[str, ...]) -> int:
    return sum(spec.slot_ticks[spec.command_index(name)] for name in commands)


def _activate(spec: DramSpec) -> str:
    return "ACT" if "ACT" in spec.commands else "ACT1"


def _on_edge(spec: DramSpec, ticks: int) -> int:
    """Ticks up to the next whole clock, where columns and activations wait for a rising edge."""
    each = spec.ticks_per_ck if spec.controller == "half_clock" else 1
    return -(-ticks // each) * each


def _cas_cyc(spec: DramSpec) -> int:
    """A tick for the CAS that wakes LPDDR5's data clock, which has always gone back to sleep when a row was changed."""
    return 1 if "CAS_RD" in spec.commands else 0
