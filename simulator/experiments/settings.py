"""From a configuration file and the command line's changes to a system and its workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from simulator.core.binding import bind
from simulator.core.config import ConfigTree, load_config, load_part, tree_of
from simulator.core.errors import ConfigError, Position, WorkloadError
from simulator.core.quantities import NonNegativeInt
from simulator.core.registry import load_kind
from simulator.core.spelling import did_you_mean
from simulator.serving.config import ServingConfig
from simulator.serving.speculation import Speculation
from simulator.workload.catalog import data_directory, load_model
from simulator.workload.config import LlmWorkload
from simulator.workload.model import ModelShapeError, ModelSpec

Sets = Sequence[str] | Mapping[str, Any]
_WORKLOAD_KINDS = ("llm", "accuracy")  # those whose keys all have defaults
_ELEMENTS = ("weight_bits", "act_bits", "kv_bits")


class RunConfig(BaseModel):
    """The `run` section."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: NonNegativeInt = 1
    error_bars: bool = False  # run the ends of every stated range too


@dataclass(frozen=True, slots=True)
class Settings:
    """A run's configuration, bound and checked: the resolved tree, the model, the workload, serving, seed and the
    system's class."""

    tree: ConfigTree
    name: str
    workload: LlmWorkload
    model: ModelSpec
    serving: ServingConfig
    seed: int
    error_bars: bool
    system_class: Any
    system_config: BaseModel

    def context_note(self, context: int) -> str | None:
        """A note where a context is longer than those that the model was trained for."""
        if context <= self.model.max_context:
            return None
        return f"{self.model.name} was trained for contexts of {self.model.max_context:,} positions, not {context:,}"

    def is_set(self, path: str) -> bool:
        """Whether the value at a path is an override of its own (`--set`), and not what a file says."""
        return path in self.tree and str(self.tree.position(path)) == f"--set {path}"

    @property
    def speculation(self) -> Speculation:
        """How tokens are guessed and verified, on machines that take batches."""
        return self.serving.speculation(self.seed)

    def system(self, context_step: int = 1) -> Any:
        """The system for this model, its contexts rounded up to multiples of `context_step`."""
        return self.system_class(self.system_config, self.model, context_step)


@dataclass(frozen=True, slots=True)
class BoundSystem:
    """A `system` section: its kind, the class that this names, and its configuration, an instance of that class's
    `Config`."""

    kind: str
    system_class: Any
    config: BaseModel


def load_settings(
    config: str | Path, sets: Sets = (), *, workload: str | None = None, seed: int | None = None
) -> Settings:
    """Read and bind a configuration. Raises ConfigError, WorkloadError or ModelShapeError at the place that is
    wrong."""
    return bound_settings(load_run_tree(config, sets, workload=workload, seed=seed), config)


def load_run_tree(
    config: str | Path, sets: Sets = (), *, workload: str | None = None, seed: int | None = None
) -> ConfigTree:
    """Read a configuration with the workload, the overrides and the seed that a command gives."""
    tree = load_config(config)
    if workload is not None:
        tree = tree.with_section("workload", workload_tree(workload))
    tree = tree.with_sets(sets)
    return tree if seed is None else tree.with_sets({"run.seed": seed})


def bound_settings(
    tree: ConfigTree,
    config: str | Path,
    system: BoundSystem | None = None,
    read_model: Callable[[str], ModelSpec] = load_model,
) -> Settings:
    """Bind a configuration that was read before; `system` is its system's section where that is bound already, and
    `read_model` finds the model, for those who keep models that they have read.

    Raises as `load_settings`.
    """
    bound = system or bound_system(tree, config)
    llm = _bound_workload(tree, bound)
    run = bind(tree.at("run"), RunConfig) if "run" in tree else RunConfig()
    return Settings(
        tree=tree,
        name=Path(config).stem,
        workload=llm,
        model=_model(tree, llm, read_model),
        serving=bind(tree.at("serving"), ServingConfig) if "serving" in tree else ServingConfig(),
        seed=run.seed,
        error_bars=run.error_bars,
        system_class=bound.system_class,
        system_config=bound.config,
    )


def bound_system(tree: ConfigTree, config: str | Path) -> BoundSystem:
    """The `system` section of a configuration, bound to the class that its kind names. Raises ConfigError."""
    if "system" not in tree:
        raise ConfigError(
            "the configuration has no section `system`",
            where=Position(str(config)),
            remedy="write `system:` with a `kind:`",
        )
    system = tree.at("system")
    kind = system.get("kind", None)
    if not isinstance(kind, str):
        raise ConfigError(
            "the system has no kind", where=system.position(), remedy="write `kind: cent` below `system:`"
        )
    system_class = load_kind("simulator.systems", kind, where=system.position("kind"))
    return BoundSystem(kind, system_class, bind(system, system_class.Config))


def check_kind(system: BoundSystem, workload: ConfigTree, kind: str) -> None:
    """Raise WorkloadError where a system does not run workloads of a kind."""
    kinds = system.system_class.workload_kinds
    if kind not in kinds:
        raise WorkloadError(
            f"system `{system.kind}` does not run workloads of kind `{kind}`",
            where=workload.position("kind"),
            remedy="it runs: " + ", ".join(sorted(kinds)),
        )


def _bound_workload(tree: ConfigTree, system: BoundSystem) -> LlmWorkload:
    if "workload" not in tree:
        return LlmWorkload()
    section = tree.at("workload")
    check_kind(system, section, section.get("kind", "llm"))
    return bind(section, LlmWorkload)


def _model(tree: ConfigTree, llm: LlmWorkload, read_model: Callable[[str], ModelSpec]) -> ModelSpec:
    where = tree.position("workload.model") if "workload.model" in tree else None
    try:
        model = read_model(llm.model)
    except WorkloadError as error:
        if error.where is None:
            error.where = where
        raise
    overrides = {**llm.overrides, **_element_bits(tree, llm)}
    try:
        return model.replace(**overrides) if overrides else model
    except ModelShapeError as error:
        path = f"workload.overrides.{error.field}"
        error.where = tree.position(path) if path in tree else where
        raise


def _element_bits(tree: ConfigTree, llm: LlmWorkload) -> dict[str, int]:
    """The model's bits that `bytes_per_element` states. Raises ConfigError where an override states them too."""
    if llm.bytes_per_element is None:
        return {}
    bits = dict.fromkeys(_ELEMENTS, 8 * llm.bytes_per_element)
    twice = [name for name in bits if name in llm.overrides]
    if twice:
        raise ConfigError(
            f"workload.bytes_per_element and workload.overrides.{twice[0]} both say how wide an element is",
            where=tree.position(f"workload.overrides.{twice[0]}"),
            remedy="give one of the two",
        )
    return bits


def workload_tree(reference: str) -> ConfigTree:
    """A workload by a YAML's path, its stem in `workloads/`, or a kind with that kind's defaults."""
    if reference in _WORKLOAD_KINDS:
        return tree_of({"kind": reference}, where=f"--workload {reference}")
    folder = data_directory("workloads")
    for path in (Path(reference), folder / f"{reference}.yaml"):
        if path.is_file():
            return load_part(path)
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    raise WorkloadError(
        f"there is no workload {reference!r}",
        where="--workload",
        remedy=did_you_mean(reference, [*names, *_WORKLOAD_KINDS], noun="the workloads"),
    )
