"""`sim calibrate gpu`: from a file of measured kernels and a part to a part of one's own card, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.contracts.error_stats import ErrorStats, as_breakdown
from simulator.contracts.results import Table
from simulator.core.errors import ConfigError
from simulator.devices.gpu_kernel_rows import read_kernels
from simulator.experiments.calibrate import Fit, HeldOut, fit, held_out
from simulator.experiments.calibrate_part import calibration_target, write_part
from simulator.experiments.replay import load_device
from simulator.experiments.settings import Sets
from simulator.report.provenance import file_checksum
from simulator.workload.catalog import data_directory

DEFAULT_PART = "gpu_h200.yaml"
N_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fit, its errors on rows left out, the file that was written, and from what."""

    fit: Fit
    held_out: HeldOut
    target: Path
    part: str
    measured: str

    def tables(self) -> list[tuple[str, Table]]:
        """What a person reads: parameters, then errors."""
        columns = ("parameter", "before", "after", "flat range", "rows")
        rows = [
            (one.path, f"{one.before}", f"{one.after}", f"{one.range[0]} to {one.range[1]}", one.n_rows)
            for one in self.fit.refitted
        ]
        tables = [(f"Refitted to {self.measured}", Table(columns, rows))]
        if self.fit.kept:
            tables.append(("Left as they are", Table(("parameter", "reason"), list(self.fit.kept.items()))))
        fit_, out = self.fit, self.held_out
        times = (fit_.before, fit_.after, out.errors)
        powers = (fit_.power_before, fit_.power_after, out.power_errors)
        return [*tables, ("Error of time", _error_table(*times)), ("Error of power", _error_table(*powers))]

    def remarks(self) -> list[str]:
        """What a reader must know of the figures."""
        said = [
            f"held out: {kind} {words}, each predicted by a fit without it"
            for kind, words in self.held_out.left_out.items()
        ]
        if self.fit.faults:
            lines = ", ".join(f"line {row.line} ({row.power_w:.0f} W)" for row in self.fit.faults)
            said.append(f"power readings far above the board's limit, left out as faults of the meter: {lines}")
        bounded = [one.path for one in self.fit.refitted if one.at_bound]
        if bounded:
            said.append(
                f"at the end of what is possible: {', '.join(bounded)}. Is {self.part} the data sheet of this card?"
            )
        if self.fit.n_shapes < len(self.fit.refitted):
            said.append(
                f"{len(self.fit.refitted)} parameters were refitted to {self.fit.n_shapes} different kernels: their "
                "values are a guess among many; measure more shapes"
            )
        said.append(f"kinds without held-out rows are predicted by what {self.part} says of them")
        said.append(
            f"loss {self.fit.loss_before:.4f} before, {self.fit.loss_after:.4f} after; a range is where it is flat"
        )
        return said

    def as_object(self) -> dict[str, Any]:
        """For `--json`."""
        fit_, out = self.fit, self.held_out
        return {
            "metrics": {
                "n_rows": fit_.n_rows,
                "n_refitted": len(fit_.refitted),
                "n_faults": len(fit_.faults),
                "loss_before": fit_.loss_before,
                "loss_after": fit_.loss_after,
            },
            "parameters": [
                {
                    "path": one.path,
                    "before": one.before,
                    "after": one.after,
                    "range": list(one.range),
                    "n_rows": one.n_rows,
                    "at_bound": one.at_bound,
                }
                for one in fit_.refitted
            ],
            "kept": fit_.kept,
            "faults": [{"line": row.line, "kind": row.kind, "power_w": row.power_w} for row in fit_.faults],
            "held_out": out.left_out,
            "breakdown": {
                "error_before": as_breakdown(fit_.before),
                "error": as_breakdown(fit_.after),
                "error_held_out": as_breakdown(out.errors),
                "power_error_before": as_breakdown(fit_.power_before),
                "power_error": as_breakdown(fit_.power_after),
                "power_error_held_out": as_breakdown(out.power_errors),
            },
            "notes": self.remarks(),
            "part": str(self.target),
        }


def calibrate_gpu(
    measured: str | Path, *, part: str | Path | None = None, out: str | Path | None = None, sets: Sets = ()
) -> Calibration:
    """Refit a GPU's part (that of the H200 unless named) to measured kernels, and write the new part.

    Raises ConfigError where the part is no GPU or the file cannot be written, WorkloadError at the place in the
    measurements that is wrong; nothing is written then.
    """
    base = Path(part) if part is not None else data_directory("hw_configs") / "parts" / DEFAULT_PART
    tree, device = load_device(base, sets)
    if tree.get("kind") != "gpu":
        raise ConfigError(
            f"a part of kind `{tree.get('kind')}` is no GPU", where=tree.position("kind"), remedy="name a GPU's part"
        )
    target = calibration_target(out, base, tree, str(measured))
    file = read_kernels(str(measured), device.config.formats)
    name = Path(measured).name
    source = f"{name} (sha256 {file_checksum(measured)[:N_DIGITS]})"
    fitted = fit(tree, file.rows, source=source)
    left_out = held_out(tree, file.rows)
    write_part(target, base, fitted, name)
    return Calibration(fitted, left_out, target, base.name, name)


def _error_table(
    before: Mapping[str, ErrorStats], after: Mapping[str, ErrorStats], out: Mapping[str, ErrorStats]
) -> Table:
    """A row per kind: before the fit, after it on all rows, and on rows left out, each as mean / p95 / max."""
    columns = ("kind", "rows", "before: mean p95 max", "after: mean p95 max", "held out: mean p95 max")
    return Table(
        columns, [(kind, after[kind].n, *map(_shown, (before[kind], after[kind], out.get(kind)))) for kind in after]
    )


def _shown(stats: ErrorStats | None) -> str:
    return "-" if stats is None else "  ".join(f"{100 * one:.1f}%" for one in (stats.mean, stats.p95, stats.max))
