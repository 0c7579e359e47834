"""One-at-a-time sensitivity: what changing each number of a machine does to latency, throughput and energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from simulator.contracts.results import StepResult
from simulator.contracts.system import AdoptsTimings, scopes_of
from simulator.core.binding import bind
from simulator.core.errors import ConfigError, SimulatorError
from simulator.experiments.explain_steps import typical_step
from simulator.experiments.sensitivity_parameters import NumericLeaf, changed_values, numeric_leaves
from simulator.experiments.settings import Settings

Progress = Callable[[int, int], None]
_NOTHING = 1e-12  # relative change that only rounding makes


@dataclass(frozen=True, slots=True)
class Change:
    """A parameter set to `value`, by `change_frac` of what it was (None where that was zero), and the relative change
    of latency, throughput and energy per step that this makes; all None where the model refused it, for `reason`."""

    value: str
    change_frac: float | None
    latency_frac: float | None
    throughput_frac: float | None
    energy_frac: float | None
    reason: str | None = None

    @property
    def largest(self) -> float:
        """The largest of the three effects."""
        effects = (self.latency_frac, self.throughput_frac, self.energy_frac)
        return max((abs(effect) for effect in effects if effect is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class ParameterEffect:
    """A parameter, its value as written, what lowering and raising it does, and its influence: the larger of the two
    largest effects, for a change of the asked size (an integer may have had to move by more)."""

    path: str
    value: str
    down: Change
    up: Change
    influence: float

    @property
    def refused(self) -> str | None:
        """Why it cannot be changed either way, or None where it can."""
        if self.down.reason is None or self.up.reason is None:
            return None
        return self.up.reason


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What changes of `change_frac` do to one step (`scope` says which): parameters by influence, most first; those
    that the model refuses to change; and the names of those whose change does nothing."""

    change_frac: float
    scope: str
    latency_ms: float
    throughput_per_s: float
    energy_mj: float
    effects: tuple[ParameterEffect, ...]
    refused: tuple[ParameterEffect, ...]
    without_effect: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What is compared of a step."""

    latency_ps: float
    interval_ps: float
    energy_pj: float

    @classmethod
    def of(cls, step: StepResult) -> _Outcome:
        return cls(float(step.latency_ps), float(step.interval_ps), step.energy.total_pj)


def sensitivity_of(settings: Settings, change_frac: float, progress: Progress | None = None) -> Sensitivity:
    """Change each number of the `system` section by -`change_frac` and +`change_frac`, and look at one typical step.

    Integers are rounded away from their value, so that they change by one at least. Raises ConfigError for a change
    that is not between 0 and 1, and what the unchanged system raises.

    Not modelled: interactions of parameters; what changes over a whole query or a queue of requests.
    """
    if not 0.0 < change_frac < 1.0:
        raise ConfigError(
            f"a change of {change_frac:.4g} is not between 0 and 1",
            where="--sensitivity",
            remedy="give per cent between 0 and 100, such as 10",
        )
    lender = _Lender(settings.system_class)
    scope, base = _evaluated(settings, lender)
    leaves = numeric_leaves(settings.tree.at("system"))
    effects = []
    for number, leaf in enumerate(leaves):
        if progress is not None:
            progress(number, len(leaves))
        down = _changed(settings, leaf, -change_frac, base, lender)
        up = _changed(settings, leaf, change_frac, base, lender)
        influence = max(_per_asked(change, change_frac) for change in (down, up))
        effects.append(ParameterEffect(leaf.path, leaf.text, down, up, influence))
    if progress is not None:
        progress(len(leaves), len(leaves))
    acting = [effect for effect in effects if effect.refused is None and effect.influence > _NOTHING]
    return Sensitivity(
        change_frac=change_frac,
        scope=scope,
        latency_ms=base.latency_ps / 1e9,
        throughput_per_s=1e12 / base.interval_ps,
        energy_mj=base.energy_pj / 1e9,
        effects=tuple(sorted(acting, key=lambda effect: -effect.influence)),
        refused=tuple(effect for effect in effects if effect.refused is not None),
        without_effect=tuple(
            effect.path for effect in effects if effect.refused is None and effect.influence <= _NOTHING
        ),
    )


class _Lender:
    """Builds systems in the place of their class. The first lends what it timed to each later one that can take it
    over (`adopt`): most parameters touch power or links only, and leave the timed programs as they are."""

    def __init__(self, system_class: Any) -> None:
        self.system_class = system_class
        self.scopes = scopes_of(system_class)
        self.first: Any = None

    def __call__(self, *arguments: Any) -> Any:
        system = self.system_class(*arguments)
        if self.first is None:
            self.first = system
        elif isinstance(system, AdoptsTimings):
            system.adopt(self.first)
        return system


def _evaluated(settings: Settings, lender: _Lender) -> tuple[str, _Outcome]:
    """Name and outcome of the typical step of a configuration."""
    scope, entry = typical_step(replace(settings, system_class=lender))
    return scope, _Outcome.of(entry.step)


def _changed(settings: Settings, leaf: NumericLeaf, change: float, base: _Outcome, lender: _Lender) -> Change:
    """The effect of one change. A whole number is tried where the model refuses the exact one."""
    refusal = Change(leaf.text, None, None, None, None, "no other value is near")
    for value in changed_values(leaf, change):
        tree = settings.tree
        frac = value.change_frac
        try:
            tree = tree.with_sets({leaf.path: value.value})
            config = bind(tree.at("system"), settings.system_class.Config)
            _, outcome = _evaluated(replace(settings, tree=tree, system_config=config), lender)
        except SimulatorError as error:
            refusal = Change(str(value.value), frac, None, None, None, error.message)
            continue
        except (ArithmeticError, ValueError, LookupError) as error:
            # A value that no check foresaw: reported with the parameter, so that the others are still explained.
            refusal = Change(str(value.value), frac, None, None, None, f"the model fails: {error!r}")
            continue
        return Change(
            value=str(value.value),
            change_frac=frac,
            latency_frac=outcome.latency_ps / base.latency_ps - 1.0,
            throughput_frac=base.interval_ps / outcome.interval_ps - 1.0,
            energy_frac=outcome.energy_pj / base.energy_pj - 1.0 if base.energy_pj else None,
        )
    return refusal


def _per_asked(change: Change, asked_frac: float) -> float:
    """The largest effect, for a change of the asked size."""
    if change.change_frac is None or abs(change.change_frac) <= asked_frac:
        return change.largest
    return change.largest * asked_frac / abs(change.change_frac)
