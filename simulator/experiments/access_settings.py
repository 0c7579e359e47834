"""From a configuration of workload kind `accesses` to its system and its stream of accesses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from simulator.core.binding import bind
from simulator.core.config import ConfigTree, tree_of
from simulator.core.errors import SimulatorError, WorkloadError
from simulator.experiments.settings import BoundSystem, RunConfig, bound_system, check_kind
from simulator.workload.access_config import AccessWorkload
from simulator.workload.access_file import AccessFile
from simulator.workload.access_reading import read_accesses
from simulator.workload.accesses import AccessStream, Clock
from simulator.workload.catalog import data_directory
from simulator.workload.llm_accesses.stream import llm_stream

KIND = "accesses"


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """A run's configuration, bound and checked: the resolved tree, the workload, seed and the system's class."""

    tree: ConfigTree
    name: str
    workload: AccessWorkload
    seed: int
    error_bars: bool
    system_class: Any
    system_config: BaseModel

    def system(self) -> Any:
        """The system. Raises ConfigError where its sections do not go together."""
        with self._placed("system."):
            return self.system_class(self.system_config)

    @property
    def workload_name(self) -> str:
        """The trace, or the model and its attention, in a word."""
        llm = self.workload.llm
        if llm is None:
            return Path(str(self.workload.trace)).stem
        parts = [llm.attention if part == "kv" else part for part in llm.parts or (llm.attention,)]
        return "-".join([Path(llm.model).name if "/" in llm.model else llm.model, *parts])

    def trace_checksum(self) -> str | None:
        """SHA-256 of the trace as it is now; None where a language model makes the accesses."""
        workload = self.workload
        return None if workload.llm else AccessFile(found_trace(str(workload.trace), self.tree)).checksum()

    def stream(self) -> tuple[AccessStream, Mapping[str, str]]:
        """The stream that the workload asks for, repeated, and the checksum of its file by path."""
        workload = self.workload
        if workload.llm is not None:
            with self._placed("workload."):
                stream, checksums = llm_stream(workload.llm, self.seed), _hits_checksum(workload)
            if stream.clock is None:  # no compute time, and not that of so many instructions an access
                stream = replace(stream, clock=Clock(np.zeros(2, np.int64), max(1, stream.n_records), "ps"))
        else:
            path = found_trace(str(workload.trace), self.tree)
            stream = read_accesses(path, workload.format)
            checksums = {str(path): stream.checksum}
        if workload.records is not None:
            stream = stream.head(workload.records)
        if stream.request_starts is None and workload.records_per_request is not None:
            starts = np.arange(0, stream.n_records, workload.records_per_request, dtype=np.int64)
            stream = replace(stream, request_starts=starts)
        return stream.repeated(workload.repeat), checksums

    @contextmanager
    def _placed(self, section: str) -> Iterator[None]:
        """Say of an error at a key of a section where that was written."""
        try:
            yield
        except SimulatorError as error:
            if isinstance(error.where, str) and error.where.startswith(section):
                path = error.where
                while path not in self.tree:
                    path = path.rpartition(".")[0]
                error.message = f"`{error.where}`: {error.message}"
                error.where = self.tree.position(path)
            raise


def bound_access_settings(tree: ConfigTree, config: str | Path, system: BoundSystem | None = None) -> AccessSettings:
    """Bind a configuration of this kind. Raises ConfigError or WorkloadError at the place that is wrong."""
    bound = system or bound_system(tree, config)
    section = tree.at("workload")
    check_kind(bound, section, KIND)
    run = bind(tree.at("run"), RunConfig) if "run" in tree else RunConfig()
    return AccessSettings(
        tree=tree,
        name=Path(config).stem,
        workload=bind(section, AccessWorkload),
        seed=run.seed,
        error_bars=run.error_bars,
        system_class=bound.system_class,
        system_config=bound.config,
    )


def _hits_checksum(workload: AccessWorkload) -> dict[str, str]:
    """SHA-256 of recorded attention, by path, where the run reads any."""
    llm = workload.llm
    if llm is None or llm.attention != "recorded" or llm.hits is None or not Path(llm.hits).is_file():
        return {}
    return {llm.hits: AccessFile(Path(llm.hits)).checksum()}


def found_trace(reference: str, tree: ConfigTree) -> Path:
    """The file of a trace: as named, or by its name in the folder `traces` that comes with the simulator."""
    given = Path(reference)
    if given.exists():
        return given
    folder = data_directory("traces")
    for path in (folder / reference, folder / f"{reference}.npz", folder.parent / reference):
        if path.is_file():
            return path
    names = sorted(path.stem for path in folder.glob("*.npz"))
    raise WorkloadError(
        f"there is no trace {reference!r}",
        where=tree.position("workload.trace") if "workload.trace" in tree else "--trace",
        remedy=f"name a file, or one that comes with the simulator: {', '.join(names)}",
    )


def with_trace(tree: ConfigTree, path: str, format_name: str) -> ConfigTree:
    """The configuration with another trace in place of what its workload had."""
    kept = {key: value for key, value in tree.get("workload").items() if key not in ("trace", "llm", "format")}
    section = tree_of({**kept, "trace": path, "format": format_name}, where="--trace")
    return tree.with_section("workload", section)
