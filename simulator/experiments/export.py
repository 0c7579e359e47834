"""`sim trace export`: the command trace that a mapping implies, in the form that `sim replay` reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simulator.contracts.system import WritesPrograms, scopes_of
from simulator.core.errors import ConfigError, SimulatorError
from simulator.experiments.settings import Sets, load_settings
from simulator.memory.aim_trace import aim_trace_lines

# Scopes whose commands do not depend on a context.
_WITHOUT_CONTEXT = ("embedding", "block_fc_only")


def export_trace(config: str | Path, sets: Sets = ()) -> Iterator[str]:
    """Lines of the trace of `workload.scope` at `workload.context`; all checks are done before the first line.

    With tensor parallelism a block's trace is that of the device that holds the vectors, `block_fc_only` that of the
    others. Raises ConfigError for a system without command programs or a missing context, WorkloadError for a scope
    that has none, and what loading the configuration raises.
    """
    settings = load_settings(config, sets)
    system, scope = settings.system(), settings.workload.scope
    if not isinstance(system, WritesPrograms):
        kind = settings.tree.get("system.kind")
        raise ConfigError(f"system `{kind}` has no command programs", where=settings.tree.position("system.kind"))
    context = settings.workload.context
    if context is None and scope not in _WITHOUT_CONTEXT and scope in scopes_of(system):
        raise ConfigError(
            "a trace needs a context", where="workload.context", remedy="give --set workload.context=4096, say"
        )
    try:
        program = system.program(scope, context or 1)
    except SimulatorError as error:
        if error.where is None:
            known = "workload.scope" in settings.tree
            error.where = settings.tree.position("workload.scope") if known else "workload.scope"
        raise
    return aim_trace_lines(program, system.device.dram.geometry.n_channels)
