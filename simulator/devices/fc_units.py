"""The units on which fully-connected layers, norms and activations of a machine with stacks can run, and its links.

Source: PAPI (ASPLOS 2025) for what runs where; AttAcc's analytic GPU for the GPUs. Not modelled: two operators of a
layer at a time on one unit, sums made on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from simulator.contracts.results import Bound
from simulator.core.energy import EnergyLedger
from simulator.core.quantities import NonNegativeFloat, PositiveFloat, PositiveInt, Ps
from simulator.devices.attention_offload import gpu_ledger, operator_bound
from simulator.devices.layer_graph import Piece
from simulator.devices.pim_weights import PimWeights
from simulator.devices.tile_gpu import TileOperator
from simulator.devices.tile_gpu_layer import TileLayer
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

Pieces = dict[str, tuple[Piece, ...]]
"""Pieces of each operator of a layer, in order."""

ELEMENTWISE = ("attention_norm", "activation", "ffn_norm")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LinkConfig(_Section):
    """A way between processor and stacks: `n_ports` of `bandwidth` each in one direction, and what a transfer takes
    before its first byte."""

    n_ports: PositiveInt
    bandwidth_gb_per_s: PositiveFloat
    latency_ps: Ps
    pj_per_bit: NonNegativeFloat

    def time_ps(self, n_bytes: float) -> float:
        """Time of one transfer."""
        return self.latency_ps + n_bytes * 1e3 / (self.n_ports * self.bandwidth_gb_per_s)

    def piece(self, operator: str, resource: str, n_bytes: float) -> Piece:
        """One transfer as a piece of work, bound by the link for the time that its bytes take."""
        time_ps = self.time_ps(n_bytes)
        frac = 1 - self.latency_ps / time_ps if time_ps else 0.0
        return Piece(operator, resource, time_ps, Bound("link", frac, 1.0, "of the time"))

    def energy_pj(self, n_bytes: float) -> float:
        """Energy of one transfer."""
        return n_bytes * 8 * self.pj_per_bit


class ElementwiseConfig(_Section):
    """Norms and activations where there is no GPU: units on the buffer dies that read and write `bandwidth` in all."""

    latency_ps: Ps
    bandwidth_gb_per_s: PositiveFloat
    pj_per_bit: NonNegativeFloat


class FcUnit(Protocol):
    """What can run a layer's fully-connected operators."""

    def pieces(self, n_tokens: int) -> tuple[Pieces, EnergyLedger]:
        """The operators of one layer as pieces of work, with the exchanges that belong to them, and their energy."""
        ...


@dataclass(frozen=True, slots=True)
class FcOnGpus:
    """Fully-connected layers on all GPUs by tensor parallelism, joined by all-reduces."""

    layer: TileLayer

    def pieces(self, n_tokens: int) -> tuple[Pieces, EnergyLedger]:
        """As FcUnit."""
        operators = [one for one in self.layer.operators(tokens(n_tokens), "pim") if one.kind in ("fc", "all_reduce")]
        found: Pieces = {one.name: (gpu_piece(one),) for one in operators}
        return found, gpu_ledger(operators).scaled(self.layer.n_gpus)


@dataclass(frozen=True, slots=True)
class FcOnStacks:
    """Fully-connected layers on the stacks that hold the weights; inputs come from a hub, partial sums go there.

    Gate and up projections are one matrix.
    """

    weights: PimWeights
    link: LinkConfig
    model: ModelSpec

    def pieces(self, n_tokens: int) -> tuple[Pieces, EnergyLedger]:
        """As FcUnit."""
        found: Pieces = {}
        energy, link = EnergyLedger(), self.link
        for name, n_in, n_out in self._matrices():
            run = self.weights.linear(n_tokens, n_in, n_out)
            bound = Bound(run.bound, run.peak_frac, 1.0, "of the columns")
            found[name] = (
                link.piece(f"{name}_in", "fc link", run.input_bytes),
                Piece(name, "fc pim", run.time_ps, bound),
                link.piece(f"{name}_out", "fc link", run.output_bytes),
            )
            moved = link.energy_pj(run.input_bytes + run.output_bytes)
            energy = energy + run.energy + EnergyLedger({"fc_link": moved})
        return found, energy

    def _matrices(self) -> list[tuple[str, int, int]]:
        """Name, inputs and outputs."""
        model = self.model
        n_up = 2 if model.gated else 1
        return [
            ("qkv", model.hidden, model.q_dim + 2 * model.kv_dim),
            ("projection", model.q_dim, model.hidden),
            ("ffn_up", model.hidden, n_up * model.ffn),
            ("ffn_down", model.ffn, model.hidden),
        ]


def elementwise_on_gpus(layer: TileLayer, n_tokens: int) -> tuple[dict[str, Piece], EnergyLedger]:
    """Norms and the activation of a layer on the GPUs."""
    operators = [one for one in layer.operators(tokens(n_tokens), "pim") if one.name in ELEMENTWISE]
    return {one.name: gpu_piece(one) for one in operators}, gpu_ledger(operators).scaled(layer.n_gpus)


def elementwise_on_dies(
    units: ElementwiseConfig, model: ModelSpec, n_bytes: int, n_tokens: int
) -> tuple[dict[str, Piece], EnergyLedger]:
    """Norms and the activation of a layer on the buffer dies: three elements moved for each."""
    found, moved = {}, 0.0
    for name, width in zip(ELEMENTWISE, (model.hidden, model.ffn, model.hidden), strict=True):
        one = 3.0 * n_tokens * width * n_bytes
        moved += one
        found[name] = Piece(name, "buffer die", units.latency_ps + one * 1e3 / units.bandwidth_gb_per_s)
    return found, EnergyLedger({"elementwise": moved * 8 * units.pj_per_bit})


def tokens(n: int) -> Batch:
    """A batch that brings `n` tokens, for operators that depend on nothing else."""
    return Batch.decode(1, n)


def gpu_piece(operator: TileOperator) -> Piece:
    """An operator of the GPUs as a piece of work."""
    resource = "nvlink" if operator.kind == "all_reduce" else "gpu"
    return Piece(operator.name, resource, operator.time_ps, operator_bound(operator))
