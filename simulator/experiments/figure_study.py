"""What figures compute from: runs made once for all of them, parts, the cost of the machine, the baseline beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from math import prod
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ModelFault
from simulator.devices.cost import HOURS_PER_YEAR, Cost
from simulator.experiments.bitmod_study import BitmodStudy
from simulator.experiments.drawn_batches import DrawnTimes
from simulator.experiments.figure_data import ConfiguredRun, DrawnRun, Replay, Run, Value, printed
from simulator.experiments.figure_targets import Gpu, load_baseline
from simulator.experiments.format_study import FormatStudy
from simulator.experiments.llm_batched import BatchedQuery
from simulator.experiments.m5_study import M5Study
from simulator.experiments.papi_designs import PapiDesigns
from simulator.experiments.validate_records import Number
from simulator.experiments.validate_runs import ConfiguredRuns, Runs
from simulator.experiments.validate_targets import RunCase, RunGroup, Targets, load_targets
from simulator.workload.catalog import data_directory

MODELS = ("7B", "13B", "70B")
PHASES = ("prefill", "decode", "end to end")
GEOMEAN = "geomean"
DRAWN_CONTEXT_STEP, DRAWN_SAMPLES = 64, 16
"""How coarsely batches of drawn requests are computed: contexts so far apart, so many of a batch's passes."""


class Study:
    """Records of all figures, costs and baselines of CENT for its own; a run asked for twice is made once."""

    def __init__(self, targets: Targets | None = None, runs: Runs | None = None) -> None:
        self.targets = load_targets("cent") if targets is None else targets
        self.runs = Runs(self.targets) if runs is None else runs
        self._configured = ConfiguredRuns()
        self._designs: dict[str, PapiDesigns] = {}

    @cached_property
    def gpu(self) -> Gpu:
        """The GPUs that CENT is compared with."""
        return load_baseline("cent_gpu")

    @cached_property
    def m5(self) -> M5Study:
        """Trackers and policies on traces of memory accesses."""
        return M5Study()

    @cached_property
    def bitmod(self) -> BitmodStudy:
        """BitMoD and the arrays that it is compared with, on its six models."""
        return BitmodStudy()

    @cached_property
    def formats(self) -> FormatStudy:
        """Models in number formats, on texts."""
        return FormatStudy()

    @cached_property
    def cost(self) -> Cost:
        """The cost of a CENT machine."""
        return Cost(bind(load_part(data_directory("hw_configs") / "parts" / "cent_cost.yaml"), Cost.Config))

    def record(self, run: Run | ConfiguredRun) -> RunRecord:
        """The record of a run."""
        if isinstance(run, ConfiguredRun):
            return self._configured.record(run.config, run.sets)
        return self.runs.record(run.model, run.scope, run.sets)

    def query(self, run: ConfiguredRun) -> BatchedQuery:
        """The steps of a run's equal queries, on a machine that takes batches."""
        return self._configured.query(run.config, run.sets)

    def drawn(self, run: DrawnRun) -> DrawnTimes:
        """What a batch of drawn requests takes on a design of PAPI's comparison."""
        if run.config not in self._designs:
            self._designs[run.config] = PapiDesigns(run.config, DRAWN_CONTEXT_STEP, DRAWN_SAMPLES)
        return self._designs[run.config].times(run.design, run.drawn)

    def system(self, run: ConfiguredRun) -> Any:
        """The machine of a run; what it does is the figure's business."""
        return self._configured.system(run.config, run.sets)

    def part(self, replay: Replay) -> Any:
        """The device of a replay's part, with its overrides; what it replays is the figure's business."""
        from simulator.experiments.replay import load_device

        return load_device(data_directory("hw_configs") / replay.part, replay.sets)[1]

    def metric(self, run: Run, name: str) -> float:
        """A metric of a run, or one of the values that cent.yaml defines over records."""
        return self.runs.value(self.record(run), name)

    def usd_per_h(self, label: str) -> float:
        """Dollars of an hour of the CENT devices that a model's machine has, as the source states them."""
        return self.cost.usd_per_h(self.runs.n_devices(label))

    def derived_usd_per_h(self, label: str, power_w: float) -> float:
        """The same from the machine's price over its years, and electricity."""
        return self.cost.usd_per_h(self.runs.n_devices(label), "derived", power_w)

    def derived_gpu_usd_per_h(self, label: str) -> float:
        """Dollars of an hour of a model's GPUs, as `derived_usd_per_h` takes ours."""
        gpu, own = self.gpu.models[label], self.cost.config.ownership
        share = gpu.n_gpus / self.gpu.usd_per_h_gpus
        price_per_h = sum(self.gpu.machine_usd.values()) * share / (own.years * HOURS_PER_YEAR)
        return price_per_h + gpu.watts["end to end"] / 1000 * own.electricity_usd_per_kwh

    def group(self, name: str) -> RunGroup:
        """A table of cent.yaml. Raises ModelFault for an unknown one: figures are written against them."""
        for group in self.targets.groups:
            if group.name == name:
                return group
        raise ModelFault(f"the targets of CENT have no table {name!r}")

    def case_run(self, group: RunGroup, case: RunCase) -> Run:
        """The run of a row of a table."""
        return Run(case.model, group.scope, case.sets)

    def case_value(self, panel: str, series: str, at: str, group: RunGroup, case: RunCase, quantity: str) -> Value:
        """Our value of a quantity of a table's row, and the published one where the row has it."""
        ours = self.metric(self.case_run(group, case), quantity)
        number = case.targets.get(quantity)
        return Value(panel, series, at, ours) if number is None else published(panel, series, at, ours, number)


def mapped(label: str, mapping: str) -> Run:
    """A query under a mapping: `pp`, `tp`, or stages x devices per stage."""
    return Run(label, sets={} if mapping == "pp" else {"system.parallelism": mapping})


def published(panel: str, series: str, at: str, ours: float, number: Number) -> Value:
    """A value beside a number that is met at its printed digits."""
    value, tolerance, n_decimals = printed(number)
    return Value(panel, series, at, ours, value, tolerance, n_decimals)


def phase_metric(phase: str, name: str) -> str:
    """The name of a query's metric in a phase: `decode_power_w`; end to end it is `power_w`."""
    return name if phase == "end to end" else f"{phase}_{name}"


def with_geomeans(values: Iterable[Value]) -> list[Value]:
    """The values, each series followed by its geometric mean over the positions."""
    by_series: dict[tuple[str, str], list[Value]] = {}
    for value in values:
        by_series.setdefault((value.panel, value.series), []).append(value)
    return [
        one
        for (panel, series), members in by_series.items()
        for one in (*members, Value(panel, series, GEOMEAN, geomean([member.ours for member in members])))
    ]


def geomean(values: Sequence[float]) -> float:
    """The geometric mean of positive values."""
    return float(prod(values) ** (1 / len(values)))
