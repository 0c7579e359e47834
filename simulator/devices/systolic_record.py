"""A replayed list of matrix products as a record: totals, what the memory cost, energy, and a row for each product."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulator.contracts.results import RunRecord, Scalar, Table
from simulator.kernels import systolic as closed
from simulator.kernels import systolic_memory as memory
from simulator.kernels import systolic_walk as walked

if TYPE_CHECKING:
    from simulator.devices.systolic_array import Ints, Replayed, SystolicArray

# Which operand the kernel's X, Y and Z are.
OPERANDS = {
    "os": ("ifmap", "filter", "ofmap"),
    "ws": ("ifmap", "ofmap", "filter"),
    "is": ("filter", "ofmap", "ifmap"),
}
_ORDER_NAMES = ("rows_outer", "cols_outer")
_SRAM = {
    "ifmap_sram_reads": closed.IFMAP_READS,
    "filter_sram_reads": closed.FILTER_READS,
    "ofmap_sram_reads": closed.OFMAP_READS,
    "ofmap_sram_writes": closed.OFMAP_WRITES,
}
_MOST_SHOWN = 40  # products of a list that is printed
_SHOWN = ("name", "count", "cycles", "total_cycles", "utilisation_frac", "bound")
_PEAKS = {
    "peak_left_words_per_cyc": walked.LEFT,
    "peak_top_words_per_cyc": walked.TOP,
    "peak_out_words_per_cyc": walked.OUT,
}


def run_record(array: SystolicArray, replayed: Replayed) -> RunRecord:
    """Everything that a replay hands to the report."""
    config, gemms = array.config, replayed.gemms
    times = gemms.count.tolist()
    metrics = _metrics(array, replayed, times)
    breakdown: dict[str, dict[str, Scalar]] = {
        "dram_words": {
            name: _total(replayed.results[:, column], times)
            for name, column in zip(OPERANDS[config.dataflow], (0, 1, 2), strict=True)
        }
    }
    table, is_short = _table(array, replayed), len(gemms) <= _MOST_SHOWN
    time_ps = metrics["time_us"] * 1e6
    ledger = array.dram.ledger(int(metrics["dram_read_bytes"]), int(metrics["dram_write_bytes"]), time_ps)
    if ledger is not None:
        metrics["dram_energy_uj"] = ledger.total_pj * 1e-6
        breakdown["dram_energy_by_component_uj"] = {name: pj * 1e-6 for name, pj in ledger.by_component().items()}
    return RunRecord(
        system=config.name,
        workload=gemms.file.rpartition("/")[2],
        metrics=metrics,
        breakdown=breakdown,
        headlines=_headlines(array, metrics),
        notes=_notes(array, replayed),
        key_metrics=("cycles", "total_cycles", "utilisation_frac", "total_utilisation_frac", "traffic_over_unique"),
        tables={"gemms": table, **({"products": _shown(table)} if is_short else {})},
        shown_tables=("products",) if is_short else (),
    )


def _metrics(array: SystolicArray, replayed: Replayed, times: Sequence[int]) -> dict[str, int | float]:
    config, gemms, counts, results = array.config, replayed.gemms, replayed.counts, replayed.results
    cycles, total = _total(counts[:, closed.CYCLES], times), _total(results[:, memory.TOTAL], times)
    n_folds = _total(counts[:, closed.N_FOLDS], times)
    macs = _total(gemms.m * gemms.n * gemms.k, times)
    n_cells = config.rows * config.cols
    read, written = (_total(results[:, one], times) for one in (memory.READ_BYTES, memory.WRITE_BYTES))
    unique = _total(_unique_words(replayed), times) * config.word_bytes
    n_gemms = sum(times)
    # A product of c cycles by its own count has its last one at c.
    seconds = (total + n_gemms) / config.clock_hz
    rates = array.rates_gb_per_s
    metrics: dict[str, int | float] = {
        "cycles": cycles,
        "total_cycles": total,
        "stall_cycles": total - cycles,
        "fill_and_drain_cycles": _total(results[:, memory.EXPOSED], times),
        "utilisation_frac": macs / (cycles * n_cells) if cycles else 1.0,
        "total_utilisation_frac": macs / (total * n_cells),
        "mapping_frac": _total(counts[:, closed.CELLS_USED], times) / (n_folds * n_cells),
        "time_us": seconds * 1e6,
        "n_gemms": n_gemms,
        "n_folds": n_folds,
        "macs": macs,
        **{name: _total(counts[:, column], times) for name, column in _SRAM.items()},
        "dram_read_bytes": read,
        "dram_write_bytes": written,
        "unique_bytes": unique,
        "traffic_over_unique": (read + written) / unique,
        "dram_read_gb_per_s": rates[0],
        "dram_write_gb_per_s": rates[1],
        "dram_latency_ns": array.dram.latency_ps * 1e-3,
        "dram_busy_frac": (read / rates[0] + written / rates[1]) * 1e-9 / seconds,
    }
    if replayed.most is not None:
        metrics |= {name: int(replayed.most[:, column].max()) for name, column in _PEAKS.items()}
    return metrics


def _total(column: Ints, times: Iterable[int]) -> int:
    """A sum that may be beyond 64 bits."""
    return sum(value * n for value, n in zip(column.tolist(), times, strict=True))


def _unique_words(replayed: Replayed) -> Ints:
    gemms = replayed.gemms
    words: Ints = gemms.m * gemms.k + gemms.n * gemms.k + gemms.m * gemms.n
    return words


def _table(array: SystolicArray, replayed: Replayed) -> Table:
    """A row for each product, of one time that it comes."""
    gemms, counts, results = replayed.gemms, replayed.counts, replayed.results
    n_cells = array.config.rows * array.config.cols
    cycles, total = counts[:, closed.CYCLES], results[:, memory.TOTAL]
    macs = (gemms.m * gemms.n * gemms.k).astype(np.float64)
    stalls = total - cycles
    waits = stalls > results[:, memory.EXPOSED]
    columns: dict[str, Sequence[Scalar]] = {
        "name": gemms.names,
        "m": gemms.m.tolist(),
        "n": gemms.n.tolist(),
        "k": gemms.k.tolist(),
        "count": gemms.count.tolist(),
        "cycles": cycles.tolist(),
        "total_cycles": total.tolist(),
        "stall_cycles": stalls.tolist(),
        "utilisation_frac": np.where(cycles > 0, macs / (np.maximum(cycles, 1) * n_cells), 1.0).tolist(),
        "bound": [("compute", "memory")[wait] for wait in waits.tolist()],
        "fold_order": [_ORDER_NAMES[order] for order in results[:, memory.ORDER].tolist()],
        "n_folds": counts[:, closed.N_FOLDS].tolist(),
        **{name: counts[:, column].tolist() for name, column in _SRAM.items()},
        "dram_read_bytes": results[:, memory.READ_BYTES].tolist(),
        "dram_write_bytes": results[:, memory.WRITE_BYTES].tolist(),
    }
    if replayed.most is not None:
        columns |= {name: replayed.most[:, column].tolist() for name, column in _PEAKS.items()}
    return Table(tuple(columns), list(zip(*columns.values(), strict=True)))


def _shown(table: Table) -> Table:
    """What of the table a screen has room for."""
    places = [table.columns.index(column) for column in _SHOWN]
    return Table(_SHOWN, [tuple(row[place] for place in places) for row in table.rows])


def _headlines(array: SystolicArray, metrics: dict[str, int | float]) -> tuple[str, ...]:
    config = array.config
    cycles, total = int(metrics["cycles"]), int(metrics["total_cycles"])
    more = f" ({total / cycles - 1:+.1%})" if cycles else ""
    return (
        f"{metrics['n_gemms']:,} products on {config.rows} x {config.cols} cells, {config.dataflow.upper()}: "
        f"{cycles:,} cycles, {metrics['utilisation_frac']:.1%} of the cells' time in use",
        f"with the memory {total:,} cycles{more}; {metrics['traffic_over_unique']:.2f} times the words that differ are "
        f"moved, the DRAM is busy for {metrics['dram_busy_frac']:.1%} of the time",
    )


def _notes(array: SystolicArray, replayed: Replayed) -> tuple[str, ...]:
    config = array.config
    notes = [
        "cycles count from 0, product by product: the number of the last one, as SCALE-Sim reports it",
        "every product starts with empty buffers; its first fetch and last write are not hidden",
    ]
    if config.bandwidth_gb_per_s is not None:
        notes.append(f"bandwidth is given, {config.bandwidth_gb_per_s:g} GB/s, not what the DRAM sustains")
    if array.dram.read.pj_per_byte is None:
        notes.append("no energy: the DRAM part has no currents for its devices")
    if replayed.most is not None:
        notes.append("every cycle was walked; the count is that of the closed form")
    return tuple(notes)
