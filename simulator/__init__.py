"""Simulator of memory-centric hardware for large language models.

    import simulator

    run = simulator.run("hw_configs/cent.yaml", {"workload.scope": "block", "workload.context": 4096})
    run.metrics["block_cycles"], run.operators

`run`, `replay` and `sweep` do what the commands of the same names do; `Run` is what the first two return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.experiments.api import Run, replay, run
    from simulator.experiments.sweep import sweep

__all__ = ["Run", "__version__", "replay", "run", "sweep"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the API when it is first asked for: `import simulator` alone costs nothing."""
    if name == "sweep":
        from simulator.experiments.sweep import sweep as found

        return found
    if name in __all__:
        from simulator.experiments import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
