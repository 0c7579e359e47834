"""The command line: plans the rows, opens the card, writes CSV and sidecar."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .compare import deviation_lines, deviations
from .errors import MeasuringError
from .rows import COLLECTIVES, EXTRA, KERNELS, MODES, STEPS, Mode, Row, title
from .session import Bench, Outcome, measure_all
from .shapes import chosen, planned, read_shapes
from .table import MeasuredTable, read_rows

NOTHING_MEASURED, REFUSED, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except MeasuringError as error:
        print(f"error: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="measure_gpu.py",
        description="Measure this machine's GPU: kernels, and by option links, launches, collectives and whole steps.",
        epilog="The CSV is what `sim calibrate gpu FILE.csv` and `sim replay PART.yaml FILE.csv` read.",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="where the rows go; FILE.json says of what card")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--extra", action="store_true", help="host link, launch costs, fp8, int8 and int4 GEMM")
    mode.add_argument("--collectives", action="store_true", help="all-reduce and all-gather, under torchrun")
    mode.add_argument("--steps", action="store_true", help="whole decode steps and prefills of Llama shapes")
    parser.add_argument("--kinds", metavar="A,B", help="these kinds only (--list names them)")
    parser.add_argument("--quick", action="store_true", help="a few shapes of every kind: one or two minutes")
    parser.add_argument(
        "--shapes", type=Path, metavar="FILE.csv", help="the rows to measure; a file of measurements will do"
    )
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="average power over N s a row (1; 0.7 if quick; 0: none)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with what an earlier run left at --out")
    parser.add_argument("--force", action="store_true", help="write over what an earlier run left at --out")
    parser.add_argument(
        "--compare", type=Path, metavar="FILE.csv", help="print how far the rows are from another file's"
    )
    parser.add_argument("--list", action="store_true", help="name every kind and stop")
    parser.add_argument("--dry-run", action="store_true", help="print the rows that would be measured and stop")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.list:
        print("\n".join(_kind_lines()))
        return 0
    mode = EXTRA if options.extra else COLLECTIVES if options.collectives else STEPS if options.steps else KERNELS
    if options.seconds is not None and not 0 <= options.seconds <= 600:
        raise MeasuringError(f"--seconds takes 0 to 600, not {options.seconds:g}")
    rank, local_rank, world = _ranks(options)
    plan = _plan(options, mode, world)
    if options.dry_run:
        print("\n".join(title(mode, row) for row in plan))
        print(f"{len(plan)} rows", file=sys.stderr)
        return 0
    if options.out is None or options.out.suffix != ".csv":
        raise MeasuringError("--out FILE.csv is missing" if options.out is None else f"--out {options.out}: not a .csv")
    given = read_rows(options.compare, mode) if options.compare else []
    table = MeasuredTable(options.out, mode, resume=options.resume, force=options.force, writes=rank == 0)
    outcome = Outcome()
    if not all(table.has(row) for row in plan):
        outcome = _measure(options, mode, plan, table, (rank, local_rank, world))
    if rank > 0:
        return INTERRUPTED if outcome.interrupted else 0
    return _report(table, outcome, given, len(plan))


def _ranks(options: argparse.Namespace) -> tuple[int, int, int]:
    from .collectives import ranks

    if not options.collectives:
        return 0, 0, 1
    return (0, 0, 4) if options.dry_run else ranks()


def _plan(options: argparse.Namespace, mode: Mode, world: int) -> list[Row]:
    if options.shapes is not None:
        rows, warnings = read_shapes(options.shapes, mode)
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
    else:
        rows = planned(mode, quick=options.quick, world=world)
    kinds = [kind.strip() for kind in options.kinds.split(",")] if options.kinds else None
    rows = chosen(rows, mode, kinds)
    if not rows:
        raise MeasuringError("no row is left to measure: look at --kinds and --shapes")
    return rows


def _measure(
    options: argparse.Namespace, mode: Mode, plan: list[Row], table: MeasuredTable, place: tuple[int, int, int]
) -> Outcome:
    from .card import facts, import_torch

    rank, _, _ = place
    torch = import_torch()
    seconds = options.seconds if options.seconds is not None else 0.7 if options.quick else 1.0
    bench = _bench(torch, mode, seconds, place)
    sidecar = options.out.with_suffix(".json")
    about = {**facts(torch), "mode": mode.name, "power_seconds": seconds, "world": place[2]}
    if rank == 0:
        if len(table):
            _same_card(sidecar, str(about["gpu"]))
        _write_sidecar(sidecar, about, Outcome(), whole=False)
    outcome = measure_all(plan, bench, table, say=print if rank == 0 else _silent)
    if rank == 0:
        about["board_after"] = facts(torch)["board"]
        _write_sidecar(sidecar, about, outcome, whole=not outcome.interrupted)
    if mode is COLLECTIVES and not outcome.interrupted:
        bench.close()
    return outcome


def _bench(torch: Any, mode: Mode, seconds: float, place: tuple[int, int, int]) -> Any:
    from .card import power_of
    from .collectives import CollectiveBench
    from .extra import ExtraBench
    from .kernels import KernelBench
    from .steps import StepBench
    from .timing import GraphTimer

    if mode is COLLECTIVES:
        return CollectiveBench(torch, place[1], place[2])
    source = power_of(torch) if seconds > 0 else None
    if seconds > 0 and source is None and mode is not EXTRA:
        print("warning: neither pynvml nor nvidia-smi gives power; power_w will be nan", file=sys.stderr)
    benches: dict[str, type[Bench]] = {"kernels": KernelBench, "extra": ExtraBench, "steps": StepBench}
    return benches[mode.name](torch, GraphTimer(torch, source, seconds))  # type: ignore[call-arg]


def _same_card(sidecar: Path, gpu: str) -> None:
    try:
        earlier = json.loads(sidecar.read_text(encoding="utf-8")).get("gpu", gpu)
    except (OSError, ValueError, AttributeError):
        return
    if earlier != gpu:
        raise MeasuringError(f"{sidecar} names a {earlier}, but this card is a {gpu}: take another --out, or --force")


def _write_sidecar(path: Path, about: dict[str, object], outcome: Outcome, *, whole: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".tmp")
    fresh.write_text(
        json.dumps({**about, "whole": whole, "skipped": outcome.skipped}, indent=2) + "\n", encoding="utf-8"
    )
    fresh.replace(path)


def _report(table: MeasuredTable, outcome: Outcome, given: list[Row], n_planned: int) -> int:
    if outcome.interrupted:
        print(f"interrupted: {len(table)} rows are kept in {table.part}; --resume goes on", file=sys.stderr)
        return INTERRUPTED
    if given:
        print("\n".join(deviation_lines(deviations(table.rows, given, table.mode))))
    print(f"{table.out}: {len(table)} rows, {len(outcome.skipped)} of {n_planned} skipped")
    return 0 if len(table) else NOTHING_MEASURED


def _kind_lines() -> list[str]:
    lines = []
    for mode in MODES:
        lines.append(f"{mode.name}{'' if mode is KERNELS else f' (--{mode.name})'}")
        lines += [f"  {kind.name:26} {kind.meaning} [{', '.join(kind.shape) or 'no shape'}]" for kind in mode.kinds]
    return lines


def _silent(_: str) -> None:
    """Ranks beyond the first say nothing."""
