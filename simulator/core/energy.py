"""Energy ledger: what each component spent per event, and what flowed in the background for how long."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BackgroundPower:
    """Power that flows for as long as a component is in a state, whatever it does."""

    component: str
    state: str
    power_mw: float
    duration_ps: float

    @property
    def energy_pj(self) -> float:
        """Energy over the whole duration, in picojoules."""
        # 1 mW for 1 ps is 1e-15 J.
        return self.power_mw * self.duration_ps * 1e-3


@dataclass(frozen=True, slots=True)
class EnergyLedger:
    """Energy of one step: `dynamic_pj` by component, and `background` by component and state."""

    dynamic_pj: dict[str, float] = field(default_factory=dict)
    background: tuple[BackgroundPower, ...] = ()

    @property
    def total_pj(self) -> float:
        """All the energy of the step, in picojoules."""
        return sum(self.dynamic_pj.values()) + sum(entry.energy_pj for entry in self.background)

    def by_component(self) -> dict[str, float]:
        """Energy in pJ by component, background included under the component's own name."""
        totals = dict(self.dynamic_pj)
        for entry in self.background:
            totals[entry.component] = totals.get(entry.component, 0.0) + entry.energy_pj
        return totals

    def scaled(self, factor: float) -> EnergyLedger:
        """The same ledger for `factor` times the work and the time."""
        return EnergyLedger(
            {name: value * factor for name, value in self.dynamic_pj.items()},
            tuple(
                BackgroundPower(entry.component, entry.state, entry.power_mw, entry.duration_ps * factor)
                for entry in self.background
            ),
        )

    def __add__(self, other: EnergyLedger) -> EnergyLedger:
        dynamic = dict(self.dynamic_pj)
        for name, value in other.dynamic_pj.items():
            dynamic[name] = dynamic.get(name, 0.0) + value
        return EnergyLedger(dynamic, self.background + other.background)
