"""Kinds of workload behind one door: a language model's steps and requests, memory accesses, a model's accuracy.

Each kind is a bound run: a configuration that was read and checked, of which nothing has been simulated yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from simulator.contracts.results import RunRecord
from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError
from simulator.experiments import access_settings, accuracy_settings
from simulator.experiments.access_run import run_access_workload
from simulator.experiments.access_settings import AccessSettings, bound_access_settings, with_trace
from simulator.experiments.accuracy_run import run_accuracy_workload
from simulator.experiments.accuracy_settings import AccuracySettings, bound_accuracy_settings
from simulator.experiments.llm_trace import TraceRequest, run_trace
from simulator.experiments.llm_workload import run_llm
from simulator.experiments.settings import Settings, bound_settings

Performed = tuple[RunRecord, Mapping[str, str]]
"""A record, and the checksums of the files that it was made from, by path."""


class BoundRun(Protocol):
    """A configuration and its workload, bound."""

    @property
    def tree(self) -> ConfigTree:
        """The resolved configuration."""

    @property
    def seed(self) -> int:
        """Seed of all that is drawn."""

    @property
    def error_bars(self) -> bool:
        """Whether the ends of stated ranges are run too."""

    @property
    def workload_name(self) -> str:
        """The workload in a word, for a directory's name."""

    @property
    def identity(self) -> Sequence[object]:
        """What beside the configuration and the seed makes another run."""

    def perform(self, *, timeline: bool = False) -> Performed:
        """Simulate. Raises SimulatorError, before anything runs where a timeline is asked for and there is none."""


class _OfSettings:
    """What all bound runs take from their settings."""

    __slots__ = ()
    settings: Any

    @property
    def tree(self) -> ConfigTree:
        """The resolved configuration."""
        tree: ConfigTree = self.settings.tree
        return tree

    @property
    def seed(self) -> int:
        """Seed of all that is drawn."""
        return int(self.settings.seed)

    @property
    def error_bars(self) -> bool:
        """Whether the ends of stated ranges are run too."""
        return bool(self.settings.error_bars)


@dataclass(frozen=True, slots=True)
class LlmRun(_OfSettings):
    """A language model's steps, or the requests of a trace."""

    settings: Settings
    request: TraceRequest | None = None

    @property
    def workload_name(self) -> str:
        """The model, and its trace or what of it is run."""
        workload = self.settings.workload
        shape = Path(self.request.path).stem if self.request else workload.lengths or workload.phase or workload.scope
        return f"{self.settings.model.name}-{Path(shape).stem}"

    @property
    def identity(self) -> Sequence[object]:
        """What the command says of the trace."""
        request = self.request
        return [
            request and [request.format, request.requests, request.qps, request.time_scale, request.jitter]
        ]  # fmt: skip

    def perform(self, *, timeline: bool = False) -> Performed:
        """Simulate, with a timeline if that is asked for."""
        if self.request is None:
            return run_llm(self.settings, timeline=timeline), {}
        return run_trace(self.settings, self.request, timeline=timeline)


@dataclass(frozen=True, slots=True)
class AccessesRun(_OfSettings):
    """A stream of memory accesses."""

    settings: AccessSettings

    @property
    def workload_name(self) -> str:
        """The trace, or the model and its attention."""
        return self.settings.workload_name

    @property
    def identity(self) -> Sequence[object]:
        """The trace's content."""
        return [None, self.settings.trace_checksum()]

    def perform(self, *, timeline: bool = False) -> Performed:
        """Simulate all policies."""
        if timeline:
            raise _no_timeline("a run of memory accesses", "what each policy's time went into")
        return run_access_workload(self.settings)


@dataclass(frozen=True, slots=True)
class AccuracyRun(_OfSettings):
    """A model's predictions in the formats of a machine."""

    settings: AccuracySettings

    @property
    def workload_name(self) -> str:
        """The checkpoint and the format."""
        return self.settings.workload_name

    @property
    def identity(self) -> Sequence[object]:
        """The content of the checkpoint and of the tokens."""
        return sorted(self.settings.checksums().values())

    def perform(self, *, timeline: bool = False) -> Performed:
        """Run the model."""
        if timeline:
            raise _no_timeline("a run of a model's accuracy", "the loss of each window")
        return run_accuracy_workload(self.settings)


def _no_timeline(what: str, instead: str) -> ConfigError:
    return ConfigError(
        f"{what} has no operators to draw", where="--timeline", remedy=f"leave it out: report.html shows {instead}"
    )


def bound_run(tree: ConfigTree, config: str | Path, request: TraceRequest | None = None) -> BoundRun:
    """Bind a configuration, and what the command says of a trace, by its workload's kind.

    Raises SimulatorError at the place that is wrong.
    """
    kind = tree.get("workload.kind", "llm")
    return _KINDS.get(kind, _bound_llm)(tree, config, request)


def workload_kind(tree: ConfigTree) -> str:
    """The kind of a configuration's workload."""
    return str(tree.get("workload.kind", "llm"))


def _bound_llm(tree: ConfigTree, config: str | Path, request: TraceRequest | None) -> BoundRun:
    if request is not None and not request.path:
        request = None
    return LlmRun(bound_settings(tree, config), request)


def _bound_accesses(tree: ConfigTree, config: str | Path, request: TraceRequest | None) -> BoundRun:
    if request is not None:
        _refuse_request_options(request, "this workload is memory accesses", "workload.records and workload.repeat")
        if request.path:
            tree = with_trace(tree, request.path, request.format)
    return AccessesRun(bound_access_settings(tree, config))


def _bound_accuracy(tree: ConfigTree, config: str | Path, request: TraceRequest | None) -> BoundRun:
    if request is not None:
        _refuse_request_options(request, "this workload is a model's accuracy", "workload.n_windows")
        if request.path:
            raise ConfigError(
                "a model's accuracy is measured on a file of tokens",
                where="--trace",
                remedy=f"--set workload.tokens={request.path}, an array of token ids (.npy)",
            )
    return AccuracyRun(bound_accuracy_settings(tree, config))


def _refuse_request_options(request: TraceRequest, what: str, instead: str) -> None:
    given = {
        "--requests": request.requests,
        "--qps": request.qps,
        "--time-scale": request.time_scale,
        "--jitter": request.jitter,
    }
    if names := [name for name, value in given.items() if value is not None]:
        raise ConfigError(
            f"{', '.join(names)}: for traces of requests, and {what}",
            where=names[0],
            remedy=f"{instead} says how much of it is run",
        )


_KINDS: Mapping[str, Callable[[ConfigTree, str | Path, TraceRequest | None], BoundRun]] = {
    "llm": _bound_llm,
    access_settings.KIND: _bound_accesses,
    accuracy_settings.KIND: _bound_accuracy,
}
