"""`sim replay` and `simulator.replay`: a raw trace on one part. A part's kind names the device that replays it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from simulator.contracts.results import RunRecord
from simulator.core.binding import bind
from simulator.core.config import load_part
from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.parameters import parameters
from simulator.core.registry import load_kind
from simulator.core.resolved import config_hash, resolved_yaml
from simulator.experiments.settings import Sets
from simulator.report.provenance import file_checksum, provenance
from simulator.report.run_directory import default_run_path, run_target
from simulator.report.run_files import RunInputs, write_run


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
    tree = load_part(part, sets)
    kind = tree.get("kind", None)
    if not isinstance(kind, str):
        raise ConfigError("the part has no kind", where=tree.position(), remedy="write `kind: aim_device`, say")
    device_class = load_kind("simulator.devices", kind, where=tree.position("kind"))
    if not hasattr(device_class, "replay"):
        raise ConfigError(
            f"a part of kind `{kind}` replays no traces",
            where=tree.position("kind"),
            remedy="try hw_configs/parts/gddr6_aim.yaml",
        )
    if not Path(trace).is_file():
        raise WorkloadError("there is no such trace", where=str(trace), remedy="name an existing file")
    device = device_class(bind(tree, device_class.Config))
    checksum = file_checksum(Path(trace))
    digest = config_hash(tree)
    name = f"{Path(trace).stem}"
    default = default_run_path(part, name, hashlib.sha256(f"{digest} {checksum}".encode()).hexdigest())
    target = run_target(out, default)
    record = device.replay(trace, 1 if seed is None else seed)
    inputs = RunInputs(
        command=tuple(command),
        config_yaml=resolved_yaml(tree),
        config_hash=digest,
        seed=1 if seed is None else seed,
        trace_checksums={str(trace): checksum},
        parameters=parameters(tree),
    )
    return record, write_run(target, record, inputs, provenance())
