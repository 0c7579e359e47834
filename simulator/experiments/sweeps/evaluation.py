"""Running one point in this process, with what neighbouring points share kept ready."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.contracts.runner import Outcome, Point
from simulator.core.config import ConfigTree
from simulator.core.errors import ModelFault, SimulatorError
from simulator.experiments.run_kinds import LlmRun, bound_run, workload_kind
from simulator.experiments.settings import BoundSystem, Settings, bound_settings, bound_system
from simulator.experiments.sweeps.points import SweepPlan
from simulator.report.records import summary_object
from simulator.workload.catalog import load_model

_N_SECTIONS = 64
_N_SYSTEMS = 8
_N_USES = 64
"""A system keeps the steps that it was asked for: after so many points a fresh one takes its place."""


@dataclass(frozen=True, slots=True)
class _WarmSettings(Settings):
    """Settings whose system may be one that served other points: a system's answers do not depend on earlier ones."""

    systems: SystemCache
    key: str

    def system(self, context_step: int = 1) -> Any:
        """The system, built or met again."""
        return self.systems.system(self, context_step)


class SystemCache:
    """The last systems that were built, by their section's text, model and sampling."""

    def __init__(self) -> None:
        self._sections: OrderedDict[str, BoundSystem] = OrderedDict()
        self._systems: OrderedDict[Hashable, tuple[Any, list[int]]] = OrderedDict()
        self._read_model = lru_cache(maxsize=_N_SYSTEMS)(load_model)

    def settings(self, tree: ConfigTree, config: str) -> Settings:
        """The bound settings of a point. Raises SimulatorError as `bound_settings`."""
        key = json.dumps(tree.at("system").plain(), sort_keys=True) if "system" in tree else ""
        section = self._sections.pop(key, None) or bound_system(tree, config)
        self._sections[key] = section
        if len(self._sections) > _N_SECTIONS:
            self._sections.popitem(last=False)
        cold = bound_settings(tree, config, section, self._read_model)
        shared = {field.name: getattr(cold, field.name) for field in fields(Settings)}
        return _WarmSettings(**shared, systems=self, key=key)

    def system(self, settings: _WarmSettings, context_step: int) -> Any:
        """The system of these settings."""
        key = (settings.key, settings.model, context_step)
        system, uses = self._systems.pop(key, (None, [0]))
        if system is None or uses[0] >= _N_USES:
            system, uses = settings.system_class(settings.system_config, settings.model, context_step), [0]
        uses[0] += 1
        self._systems[key] = (system, uses)
        if len(self._systems) > _N_SYSTEMS:
            self._systems.popitem(last=False)
        return system


class PointEvaluator:
    """Runs the points of a plan, one after another."""

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._cache = SystemCache()

    def outcome(self, point: Point) -> Outcome:
        """Run a point; what it raises becomes its outcome."""
        started = time.process_time()
        try:
            payload, failed = self._payload(self._record(point)), False
        except SimulatorError as error:
            payload, failed = failure(error.exit_code, str(error)), True
        except Exception as error:  # a defect of one system must not end the sweep
            text = f"a defect of the simulator: {type(error).__name__}: {error}"
            payload, failed = failure(ModelFault.exit_code, text), True
        return Outcome(point.key, failed, payload, time.process_time() - started)

    def _record(self, point: Point) -> RunRecord:
        plan = self._plan
        tree, config = plan.tree(point.config, point.values), plan.configs[point.config]
        request = plan.request(point.values)
        if workload_kind(tree) != "llm":
            return bound_run(tree, config, request).perform()[0]
        return LlmRun(self._cache.settings(tree, config), request).perform()[0]

    def _payload(self, record: RunRecord) -> str:
        summary = summary_object(record, None)
        metrics = summary["metrics"]
        for name in self._plan.kept:
            group, _, part = name.partition(".")
            if part in summary["breakdown"].get(group, {}):
                metrics[name] = summary["breakdown"][group][part]
        return json.dumps(
            {"system": record.system, "workload": record.workload, "metrics": metrics}, default=_plain, allow_nan=False
        )


class InProcessRunner:
    """A runner without processes: for a debugger, and for systems that live in this process only."""

    def __init__(self, plan: SweepPlan) -> None:
        self._evaluator = PointEvaluator(plan)

    def submit(self, points: Iterable[Point]) -> Iterator[Sequence[Outcome]]:
        """Run the points one by one."""
        for point in points:
            yield (self._evaluator.outcome(point),)

    def close(self) -> None:
        """Nothing is left to end."""
        return


def failure(exit_code: int, message: str) -> str:
    """The payload of a failed point."""
    return json.dumps({"exit_code": exit_code, "error": message})


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)
