"""`sim replay` and `simulator.replay`: a raw trace, or traffic that the part describes itself, on one part.

A part's kind names the device that replays it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.contracts.results import RunRecord
from simulator.core.binding import bind
from simulator.core.config import ConfigTree, load_part
from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.parameters import parameters
from simulator.core.registry import load_kind
from simulator.core.resolved import config_hash, resolved_yaml
from simulator.experiments.settings import Sets
from simulator.report.provenance import file_checksum, provenance
from simulator.report.run_directory import default_run_path, run_target
from simulator.report.run_files import RunInputs, write_run

DEFAULT_SEED = 1
SYNTHETIC = "synthetic"
"""In a trace's place: the traffic that the part's own keys describe."""


@dataclass(frozen=True, slots=True)
class PlannedReplay:
    """A part, bound to its device, and the trace that it will replay; nothing has been simulated yet.

    `checksum` is the trace's, empty for synthetic traffic.
    """

    part: str
    trace: str
    tree: ConfigTree
    device: Any
    seed: int
    checksum: str

    @property
    def default_directory(self) -> Path:
        """The run directory where the user names none."""
        digest = hashlib.sha256(f"{config_hash(self.tree)} {self.checksum} {self.seed}".encode()).hexdigest()
        return default_run_path(self.part, Path(self.trace).stem, digest)

    def perform(self) -> RunRecord:
        """Replay the trace. Raises WorkloadError, by file, line and column, for one that cannot be read."""
        record: RunRecord = self.device.replay(self.trace, self.seed)
        return record

    def inputs(self, command: Sequence[str]) -> RunInputs:
        """What the manifest says that the run was made from."""
        return RunInputs(
            command=tuple(command),
            config_yaml=resolved_yaml(self.tree),
            config_hash=config_hash(self.tree),
            seed=self.seed,
            trace_checksums={self.trace: self.checksum} if self.checksum else {},
            parameters=parameters(self.tree),
            config=self.part,
        )


def load_device(part: str | Path, sets: Sets = ()) -> tuple[ConfigTree, Any]:
    """A part and the device that its kind names. Raises ConfigError at the place that is wrong."""
    tree = load_part(part, sets)
    kind = tree.get("kind", None)
    if not isinstance(kind, str):
        raise ConfigError("the part has no kind", where=tree.position(), remedy="write `kind: aim_device`, say")
    device_class = load_kind("simulator.devices", kind, where=tree.position("kind"))
    if not hasattr(device_class, "Config"):
        raise ConfigError(
            f"a part of kind `{kind}` is no device by itself", where=tree.position("kind"), remedy="name a memory part"
        )
    return tree, device_class(bind(tree, device_class.Config))


def plan_replay(part: str | Path, trace: str | Path, *, sets: Sets = (), seed: int | None = None) -> PlannedReplay:
    """Bind the part and find the trace. Raises ConfigError or WorkloadError."""
    tree, device = load_device(part, sets)
    if not hasattr(device, "replay"):
        raise ConfigError(
            f"a part of kind `{tree.get('kind')}` replays no traces",
            where=tree.position("kind"),
            remedy="try hw_configs/parts/dram/ddr4.yaml, hw_configs/parts/links/pcie_switch.yaml or .../gddr6_aim.yaml",
        )
    chosen = DEFAULT_SEED if seed is None else seed
    if chosen < 0:
        raise ConfigError(f"{chosen} is no seed", where="--seed", remedy="give a whole number from 0")
    checksum = "" if str(trace) == SYNTHETIC else _checksum(Path(trace))
    if not checksum and not getattr(device, "replays_synthetic", False):
        raise ConfigError(
            f"a part of kind `{tree.get('kind')}` describes no synthetic traffic",
            where=tree.position("kind"),
            remedy="name a trace file (./synthetic, if it is called so)",
        )
    return PlannedReplay(str(part), str(trace), tree, device, chosen, checksum)


def _checksum(trace: Path) -> str:
    if not trace.is_file():
        raise WorkloadError("there is no such trace", where=str(trace), remedy="name an existing file")
    try:
        return file_checksum(trace)
    except OSError as error:
        raise WorkloadError(
            f"cannot read the trace: {error.strerror}", where=str(trace), remedy="name a readable file"
        ) from None


def replay_command(
    part: str | Path,
    trace: str | Path,
    *,
    sets: Sets = (),
    seed: int | None = None,
    out: str | Path | None = None,
    command: Sequence[str] = (),
) -> tuple[RunRecord, Path]:
    """Replay a trace on a part and write the run directory. Raises SimulatorError; nothing is written then."""
    planned = plan_replay(part, trace, sets=sets, seed=seed)
    target = run_target(out, planned.default_directory)
    record = planned.perform()
    return record, write_run(target, record, planned.inputs(command), provenance(), report=True)
