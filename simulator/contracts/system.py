"""What a file in `simulator/systems` offers: the System protocol, and the capabilities that it may have beside it.

Experiments ask for a capability with isinstance, never for a class: a system has one by having its members.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from simulator.contracts.results import StepResult, Table
from simulator.workload.batch import Batch

CapacityMode = Literal["enforce", "report"]
"""What happens where keys and values do not fit: they wait or are refused, or the run goes on and tells."""


class System(Protocol):
    """A machine that runs language-model steps (workload kind `llm`)."""

    workload_kinds: frozenset[str]

    def step(self, batch: Batch) -> StepResult:
        """Time, energy, traffic and bounds of one step."""
        ...

    def step_key(self, batch: Batch) -> Hashable:
        """Which batches cost the same: batches with equal keys have equal results of `step`."""
        ...


@dataclass(frozen=True, slots=True)
class KvRoom:
    """Memory for keys and values beside the weights: `tokens` positions, over all sequences, of `bytes_per_position`
    each, both on the fullest device; `spare_bytes` are what is left over beside them."""

    tokens: int
    bytes_per_position: int
    spare_bytes: int = 0

    @classmethod
    def of_bytes(cls, free_bytes: int, bytes_per_position: int) -> KvRoom:
        """The room of so many bytes."""
        return cls(free_bytes // bytes_per_position, bytes_per_position, free_bytes % bytes_per_position)

    @property
    def free_bytes(self) -> int:
        """All bytes of the room."""
        return self.tokens * self.bytes_per_position + self.spare_bytes

    def missing_bytes(self, n_sequences: int, context: int) -> int:
        """Bytes by which sequences of `context` positions overfill the room (0: they fit)."""
        return max(0, n_sequences * context * self.bytes_per_position - self.free_bytes)


@runtime_checkable
class ChecksCapacity(Protocol):
    """A system that knows what fits into its memory."""

    def check_capacity(self, n_sequences: int, context: int) -> str | None:
        """None where so many sequences of `context` positions fit; a note where they do not and that is only reported;
        MappingError, with the missing bytes, where it is enforced."""
        ...


@runtime_checkable
class NamesItsMachine(Protocol):
    """A system of a kind that has many machines, which says which one this is."""

    @property
    def machine(self) -> str:
        """The machine in a few words, such as `4 x NVIDIA H200 SXM`."""
        ...


@runtime_checkable
class ServesRequests(Protocol):
    """A system that says what an engine must know to serve a request trace on it: the room for keys and values, whether
    it is enforced, and the power of all devices while nothing runs."""

    @property
    def kv_room(self) -> KvRoom:
        """Room for keys and values."""
        ...

    @property
    def capacity(self) -> CapacityMode:
        """Whether that room is enforced."""
        ...

    @property
    def idle_power_w(self) -> float:
        """Power while nothing runs."""
        ...


@runtime_checkable
class HoldsQueries(Protocol):
    """A pipeline that holds one query in each of its slots: a `step` is a token among others, prompts go through it
    token by token, and `alone` is what a batch takes that has the machine to itself."""

    @property
    def n_slots(self) -> int:
        """Queries in flight."""
        ...

    def alone(self, batch: Batch) -> StepResult:
        """Time and energy of a batch that has the machine to itself."""
        ...


@runtime_checkable
class BatchesRequests(Protocol):
    """A machine whose `step` takes any batch at once: whole prompts, decodes, and both together.

    Its step is charged in full, so `energy` holds the background power of all devices for as long as the step takes.
    """

    takes_batches: Literal[True]

    def step(self, batch: Batch) -> StepResult:
        """Time, energy, traffic and bounds of one step."""
        ...

    def step_key(self, batch: Batch) -> Hashable:
        """Which batches cost the same; an engine asks it at every iteration, so it should cost a microsecond or two:
        `Batch.levelled` does where decodes cost what their number and the sum of their contexts say."""
        ...


@runtime_checkable
class PlacesWork(Protocol):
    """A machine with several units, which decides step by step where the fully-connected layers run.

    Batches of an equal `step_key` have one placement. `step` holds the time on that unit; what a move costs is the
    engine's to add, as only it knows where the step before ran.
    """

    def placement(self, batch: Batch) -> str:
        """The unit that runs the fully-connected layers of this batch."""
        ...

    @property
    def switch_ps(self) -> int:
        """Time before an iteration whose placement is not that of the one before."""
        ...


@runtime_checkable
class ChargesContexts(Protocol):
    """A machine whose accounting charges a query's decodes at other contexts than their own, such as all of them at the
    prompt's."""

    def charged_context(self, prompt_tokens: int, context: int) -> int:
        """The context at which a decode of a query is charged that attends to `context` positions."""
        ...


class AccountingRules(Protocol):
    """One way of adding up a machine's time and energy: its name, how means are taken (`contexts`: over the sampled
    contexts; else over time), and the policy by which slots advance."""

    @property
    def name(self) -> str:
        """What a configuration calls it."""
        ...

    @property
    def mean(self) -> str:
        """How means are taken."""
        ...

    @property
    def slot_policy(self) -> str:
        """How slots advance."""
        ...


@runtime_checkable
class TwoAccountings(Protocol):
    """A system whose published accounting has defects, and which offers that and a corrected one."""

    @property
    def accounting(self) -> AccountingRules:
        """The accounting in force."""
        ...

    def other_accounting(self) -> Any:
        """The same system under the other accounting."""
        ...


@runtime_checkable
class HasScopes(Protocol):
    """A system, or its class, that names pieces of the model which `part(scope, context)` runs alone."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """Their names, as `workload.scope` takes them."""
        ...


@runtime_checkable
class WritesPrograms(Protocol):
    """A system whose pieces are command programs of its `device`, which can be exported as a trace."""

    @property
    def device(self) -> Any:
        """The device that runs them."""
        ...

    def program(self, scope: str, context: int) -> Any:
        """The command program of a scope."""
        ...


@runtime_checkable
class AdoptsTimings(Protocol):
    """A system that can take over what another one of its class has timed, where its own would be the same."""

    def adopt(self, other: Any) -> None:
        """Take over the timings of `other` that hold here too."""
        ...


@runtime_checkable
class RunsAttention(Protocol):
    """A machine with stacks that attend, of which one can be run alone: its scope `attention`."""

    def heads_per_stack(self, n_sequences: int) -> int:
        """Key-value heads of so many sequences on the fullest stack."""
        ...

    def attention(self, context: int, n_heads: int, head_dim: int, bytes_per_element: int) -> StepResult:
        """One layer's attention of `n_heads` key-value heads on one stack."""
        ...


@runtime_checkable
class HasTables(Protocol):
    """A machine that has tables of its own beside a run's, such as the sweep behind a threshold."""

    def tables(self) -> dict[str, Table]:
        """Tables by name."""
        ...


@runtime_checkable
class HasRemarks(Protocol):
    """A machine that says in words what holds for all steps of a run, such as a threshold that it found."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes for a run."""
        ...


@runtime_checkable
class LimitsBatches(Protocol):
    """A machine that says how many sequences its memory holds."""

    def batch_limit(self, context: int) -> int:
        """Sequences of `context` positions that fit beside the weights."""
        ...


def scopes_of(system: object) -> tuple[str, ...]:
    """The scopes of a system or a system's class; none where it names none."""
    return tuple(system.scopes) if isinstance(system, HasScopes) else ()
