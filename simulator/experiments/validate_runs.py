"""Runs for validation: through the functions behind `sim run`, each made once, with values taken from their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.devices.aim_device import AimDevice
from simulator.experiments.llm_batched import BatchedQuery, batched_query
from simulator.experiments.llm_workload import run_llm
from simulator.experiments.settings import Settings, load_settings
from simulator.experiments.validate_targets import Targets
from simulator.workload.catalog import data_directory
from simulator.workload.config import LlmWorkload
from simulator.workload.model import ModelSpec

_DRAM = "parts/gddr6_aim.yaml"
_WORKLOAD = "workload."
_OF_THE_MODEL = ("workload.model", "workload.overrides", "workload.bytes_per_element")


class ConfiguredRuns:
    """Records of configurations of `hw_configs` with overrides; a run asked for twice is made once, and a machine that
    several workloads run on is built once."""

    def __init__(self) -> None:
        self._folder = data_directory("hw_configs")
        self._records: dict[str, RunRecord] = {}
        self._settings: dict[str, Settings] = {}
        self._systems: dict[str, Any] = {}
        self._queries: dict[str, BatchedQuery] = {}

    def record(self, config: str, sets: Mapping[str, Any]) -> RunRecord:
        """The record of one run."""
        key = config + str(sorted(sets.items()))
        if key not in self._records:
            self._records[key] = run_llm(load_settings(self._folder / config, sets))
        return self._records[key]

    def settings(self, config: str, sets: Mapping[str, Any]) -> Settings:
        """The configuration of a run."""
        key = config + str(sorted(sets.items()))
        if key not in self._settings:
            self._settings[key] = load_settings(self._folder / config, sets)
        return self._settings[key]

    def system(self, config: str, sets: Mapping[str, Any], context_step: int = 1) -> Any:
        """The machine of a run, whatever its workload but for the model."""
        own = {path: value for path, value in sets.items() if path.startswith(("system.", *_OF_THE_MODEL))}
        key = f"{config}{context_step}{sorted(own.items())}"
        if key not in self._systems:
            self._systems[key] = self.settings(config, sets).system(context_step)
        return self._systems[key]

    def query(self, config: str, sets: Mapping[str, Any]) -> BatchedQuery:
        """The steps of a run's equal queries, on a machine that takes batches."""
        key = config + str(sorted(sets.items()))
        if key not in self._queries:
            self._queries[key] = batched_query(self.settings(config, sets), self.system(config, sets))
        return self._queries[key]


class Runs:
    """Records by model label, scope and overrides; a run asked for twice is made once."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._folder = data_directory("hw_configs")
        self._records: dict[str, RunRecord] = {}
        self._settings: dict[str, Settings] = {}

    def dram(self) -> AimDevice:
        """The memory device alone, as `sim replay` builds it."""
        from simulator.experiments.replay import load_device

        device: AimDevice = load_device(self._folder / _DRAM)[1]
        return device

    def settings(self, label: str, sets: Mapping[str, Any] | None = None) -> Settings:
        """The configuration for a model's label. One file and machine is read once, whatever workload follows."""
        merged = {**self._targets.models[label], **(sets or {})}
        workload = {path.removeprefix(_WORKLOAD): merged.pop(path) for path in list(merged) if _is_workload(path)}
        key = str(sorted(merged.items()))
        if key not in self._settings:
            self._settings[key] = load_settings(self._folder / self._targets.config, merged)
        settings = self._settings[key]
        return replace(settings, workload=LlmWorkload(**{**settings.workload.model_dump(), **workload}))

    def model(self, label: str) -> ModelSpec:
        """The model of a label."""
        return self.settings(label).model

    def n_devices(self, label: str) -> int:
        """Devices that the label's machine has."""
        return int(self._targets.models[label]["system.n_devices"])

    def record(self, label: str, scope: str, sets: Mapping[str, Any]) -> RunRecord:
        """The record of one run."""
        merged = {**sets, "workload.scope": scope}
        key = label + str(sorted(merged.items()))
        if key not in self._records:
            self._records[key] = run_llm(self.settings(label, merged))
        return self._records[key]

    def value(self, record: RunRecord, name: str) -> float:
        """A metric of a record, or one of the targets' own values."""
        value = self._targets.values.get(name)
        if value is None:
            return float(record.metrics[name])
        total = sum(_at(record, path) for path in value.add) - sum(_at(record, path) for path in value.subtract)
        return total * value.times / (_at(record, value.over) if value.over else 1.0)


def _is_workload(path: str) -> bool:
    """Whether an override changes what is asked of the machine, and not the model that lies in it."""
    return path.startswith(_WORKLOAD) and path != "workload.model"


def _at(record: RunRecord, path: str) -> float:
    """`metrics.name`, or `breakdown.part`; a part that took no time is not in the record."""
    section, _, name = path.partition(".")
    return float(record.metrics[name] if section == "metrics" else record.breakdown[section].get(name, 0.0))
