"""Content addresses of results: the hash of all that a result depends on."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator

from simulator.contracts.runner import Point
from simulator.core.config import ConfigTree
from simulator.core.errors import SimulatorError
from simulator.core.registry import load_kind
from simulator.experiments.sweeps.points import SweepPlan
from simulator.experiments.sweeps.space import Candidate
from simulator.report.provenance import file_checksum, source_hash
from simulator.workload.catalog import load_model
from simulator.workload.config import LlmWorkload

_VERSION = 1
_LENGTH = 32
_N_REMEMBERED = 8192


class PointAddresses:
    """Addresses of a plan's points.

    An address is the hash of the resolved configuration, seed included, section by section; the model's shape; the
    trace's content and options; what the table keeps; and the simulator's own source. Points that differ in one section
    share the hashes of the others.
    """

    def __init__(self, plan: SweepPlan) -> None:
        self._plan = plan
        self._source = source_hash()
        self._sections = [self._of_section(config) for config in range(len(plan.trees))]
        self._digests: dict[tuple[int, str, str], str] = {}
        self._checksums: dict[str, str] = {}
        self._models: dict[str, str] = {}
        self._systems: dict[str, str] = {}

    def points(self, candidates: Iterable[Candidate]) -> Iterator[Point]:
        """The points of candidates, in their order."""
        for ordinal, candidate in enumerate(candidates):
            yield Point(ordinal, self.key(candidate), candidate.config, candidate.values)

    def key(self, candidate: Candidate) -> str:
        """The address of one candidate's result."""
        plan = self._plan
        request = plan.request(candidate.values)
        asked = request and [
            self._checksum(request.path), request.format, request.requests, request.qps, request.time_scale,
            request.jitter,
        ]  # fmt: skip
        sections = self._sections[candidate.config]
        digests = [self._digest(name, indices, candidate) for name, indices in sections.items()]
        return _hash([_VERSION, self._source, digests, asked, plan.kept])[:_LENGTH]

    @property
    def trace_checksums(self) -> dict[str, str]:
        """SHA-256 by trace file, of those met so far."""
        return {path: checksum for path, checksum in self._checksums.items() if checksum}

    def _of_section(self, config: int) -> dict[str, list[int]]:
        """The settings of each section, by their place among a point's values."""
        settings = self._plan.settings
        names = {*self._plan.trees[config].keys(), *(one.keys[0] for one in settings if one.in_config)}
        return {
            name: [index for index, one in enumerate(settings) if one.in_config and one.keys[0] == name]
            for name in sorted(names)
        }

    def _digest(self, section: str, indices: list[int], candidate: Candidate) -> str:
        # As text, since 1, 1.0 and true are one key of a dictionary and three configurations.
        said = repr([candidate.values[index] for index in indices])
        place = (candidate.config, section, said)
        if place not in self._digests:
            if len(self._digests) >= _N_REMEMBERED:
                self._digests.clear()
            self._digests[place] = self._computed(section, candidate, said)
        return self._digests[place]

    def _computed(self, section: str, candidate: Candidate, said: str) -> str:
        try:
            tree = self._plan.section(section, candidate.config, candidate.values)
            content = [section, tree.at(section).full()]
            if section == "workload":
                content.append(self._model(tree))
            if section == "system":
                content.append(self._system(tree))
        except SimulatorError:  # the point will fail, and say why
            content = [section, self._plan.trees[candidate.config].full(), said]
        return _hash(content)

    def _model(self, tree: ConfigTree) -> str:
        """The shape of the model that a configuration names: its file may change without the configuration."""
        name = str(tree.get("workload.model", LlmWorkload.model_fields["model"].default))
        if name not in self._models:
            try:
                self._models[name] = repr(load_model(name))
            except SimulatorError:
                self._models[name] = ""
        return self._models[name]

    def _system(self, tree: ConfigTree) -> str:
        """The source of a system that another package brings; the simulator's own is hashed as a whole."""
        kind = str(tree.get("system.kind", ""))
        if kind not in self._systems:
            system = load_kind("simulator.systems", kind)
            theirs = "" if system.__module__.startswith("simulator.") else inspect.getsourcefile(system)
            self._systems[kind] = file_checksum(theirs) if theirs else ""
        return self._systems[kind]

    def _checksum(self, path: str) -> str:
        if path not in self._checksums:
            try:
                self._checksums[path] = file_checksum(path)
            except OSError:
                self._checksums[path] = ""  # its points say so
        return self._checksums[path]


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
