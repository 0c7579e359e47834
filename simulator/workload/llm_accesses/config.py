"""The `llm` section of a workload of accesses: which model runs how, and which of its parts lie in the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel, ConfigDict

from simulator.core.errors import WorkloadError
from simulator.core.quantities import Frac, NonNegativeInt, PositiveInt, Ps
from simulator.workload.catalog import load_model
from simulator.workload.config import Positions, Sequences
from simulator.workload.model import ModelShapeError, ModelSpec

Part = Literal["embedding", "weights", "experts", "kv"]
Steps = Annotated[int, Gt(0), Le(1 << 20)]
Exponent = Annotated[float, Gt(0), Le(10)]
PositionExponent = Annotated[float, Ge(0), Le(10)]
SECTION = "workload.llm"

_ROUTING_KEYS = ("routing", "skew", "stickiness")
_DRAWN_KEYS = ("top_k_unit", "per_kv_head", "position_skew", "drift")
_SPARSE_KEYS = ("window", "sinks")


class LlmAccessError(WorkloadError):
    """A run that cannot be; `field` names the key to change, so that a caller can point at its line."""

    def __init__(self, message: str, *, field: str, remedy: str | None = None) -> None:
        super().__init__(message, where=f"{SECTION}.{field}", remedy=remedy)
        self.field = field


class LlmAccessConfig(BaseModel):
    """What runs: `n_steps` decode steps of `batch` sequences, and what of it is seen by the memory.

    `layers` simulates the first of the model's layers only; `parts` are what lies in this memory (None: all that the
    model has), the rest being elsewhere. `prompt_tokens` and `output_tokens` are one number, or a list that sequences
    take in turn; a sequence with all its output leaves and the next one takes its place (output_tokens None: they
    outlast the run). `prefill` puts the prompts' own passes into the stream.

    KV: blocks of `block_tokens`, a pool of `pool_blocks` (None: as many as the run needs at once), laid out within a
    block token by token (`nhd`) or head by head (`hnd`). Attention reads all positions (`dense`), the last `window` and
    the first `sinks` (`window`), or those and `top_k` more (`topk`): tokens or blocks, for all heads together or for
    each key-value head, drawn with weight rank^-`position_skew`; a share `drift` of the ranks is drawn anew each step.
    Or it reads what a trained model attended to most, from the file `hits` (`recorded`, see `recorded.Recorded`), of
    which `top_k`, if given, keeps the heaviest positions.

    Experts: `uniform`, or `zipf` with exponent `skew`; with probability `stickiness` a token takes the experts of the
    one before it. `compute_per_step` is spread over a step's records; `lines_per_record` makes records finer than they
    need be.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "llama3-8b"
    overrides: dict[str, Any] = {}
    layers: PositiveInt | None = None
    parts: Annotated[tuple[Part, ...], MinLen(1)] | None = None
    batch: Sequences = 4
    prompt_tokens: Positions | tuple[Positions, ...] = 2048
    output_tokens: Positions | tuple[Positions, ...] | None = None
    n_steps: Steps = 32
    prefill: bool = False
    block_tokens: Annotated[int, Gt(0), Le(1 << 16)] = 16
    pool_blocks: PositiveInt | None = None
    kv_layout: Literal["nhd", "hnd"] = "nhd"
    attention: Literal["dense", "window", "topk", "recorded"] = "dense"
    hits: str | None = None
    window: Positions = 64
    sinks: NonNegativeInt = 4
    top_k: Positions = 256
    top_k_unit: Literal["token", "block"] = "token"
    per_kv_head: bool = False
    position_skew: PositionExponent = 1.5
    drift: Frac = 0.01
    routing: Literal["uniform", "zipf"] = "zipf"
    skew: Exponent = 0.7
    stickiness: Frac = 0.2
    compute_per_step_ps: Ps = 0
    lines_per_record: Literal[1, 2, 4, 8, 16, 32, 64] | None = None

    @property
    def prompts(self) -> tuple[int, ...]:
        """Prompt lengths that sequences take in turn."""
        return self.prompt_tokens if isinstance(self.prompt_tokens, tuple) else (self.prompt_tokens,)

    @property
    def outputs(self) -> tuple[int, ...] | None:
        """Output lengths that sequences take in turn, or None where they outlast the run."""
        return (self.output_tokens,) if isinstance(self.output_tokens, int) else self.output_tokens

    @property
    def recorded_top_k(self) -> int | None:
        """Recorded positions that are read of each key-value head; None for all of them."""
        return self.top_k if "top_k" in self.model_fields_set else None

    def unused_keys(self, spec: ModelSpec, parts: frozenset[str]) -> tuple[str, ...]:
        """Keys that the configuration states and this run does not look at."""
        unused: list[str] = []
        if self.attention != "topk" or "kv" not in parts:
            unused += _DRAWN_KEYS
        if self.attention not in ("topk", "recorded") or "kv" not in parts:
            unused.append("top_k")
        if self.attention not in ("window", "topk") or "kv" not in parts:
            unused += _SPARSE_KEYS
        if self.attention != "recorded" or "kv" not in parts:
            unused.append("hits")
        if spec.n_experts and "experts" not in parts:
            unused += _ROUTING_KEYS
        if self.routing == "uniform":
            unused.append("skew")
        return tuple(key for key in dict.fromkeys(unused) if key in self.model_fields_set)


def model_of(config: LlmAccessConfig) -> ModelSpec:
    """The model with its overrides, every layer of it. Raises WorkloadError for an unknown or impossible one."""
    try:
        spec = load_model(config.model)
    except WorkloadError as error:
        if error.where == "workload.model":
            error.where = f"{SECTION}.model"
        raise
    try:
        return spec.replace(**config.overrides) if config.overrides else spec
    except ModelShapeError as error:
        error.where = f"{SECTION}.overrides.{error.field}"
        raise


def parts_of(config: LlmAccessConfig, spec: ModelSpec) -> frozenset[str]:
    """What lies in the memory."""
    if config.parts is not None:
        return frozenset(config.parts)
    return frozenset({"embedding", "weights", "kv"} | ({"experts"} if spec.n_experts else set()))


def check(config: LlmAccessConfig, spec: ModelSpec) -> None:
    """Raise LlmAccessError (exit code 3) for the first thing that this model cannot do."""
    for field, message, remedy in _problems(config, spec):
        raise LlmAccessError(message, field=field, remedy=remedy)


def _problems(config: LlmAccessConfig, spec: ModelSpec) -> Iterator[tuple[str, str, str]]:
    if config.layers is not None and config.layers > spec.n_layers:
        yield "layers", f"{spec.name} has {spec.n_layers} layers, not {config.layers}", "give fewer, or leave it out"
    if not spec.n_experts:
        for field in _ROUTING_KEYS:
            if field in config.model_fields_set:
                yield (
                    field,
                    f"{spec.name} has no experts to route to",
                    f"remove `{field}`, or give a model with experts",
                )
        if config.parts is not None and "experts" in config.parts:
            yield "parts", f"{spec.name} has no experts", "its parts are embedding, weights and kv"
    if not config.prompts:
        yield "prompt_tokens", "the list of prompt lengths is empty", "give one at least"
    if config.outputs is not None and (not config.outputs or min(config.outputs) < 2):
        yield (
            "output_tokens",
            "a sequence of one output token has no decode step",
            "give 2 or more: the first comes with the prompt",
        )
    yield from _attention_problems(config, spec)


def _attention_problems(config: LlmAccessConfig, spec: ModelSpec) -> Iterator[tuple[str, str, str]]:
    if config.attention != "dense" and spec.sliding_window is not None:
        yield (
            "attention",
            f"{spec.name} itself attends to its last {spec.sliding_window:,} positions only",
            "give dense, which keeps to that window, or overrides: {sliding_window: null}",
        )
    if config.attention == "recorded" and config.hits is None:
        yield (
            "attention",
            "there is no recorded attention to read",
            "name an attention_hits.npz with `hits`; `sim trace record-model` writes one",
        )
    if config.attention == "topk":
        context = min(config.prompts, default=1) + 1
        n_left, unit = _n_candidates(config, context), config.top_k_unit
        if config.top_k > n_left:
            yield (
                "top_k",
                f"top_k is {config.top_k:,} {unit}s, but a context of {context:,} has {max(n_left, 0):,} beside "
                f"{config.sinks} sinks and a window of {config.window}",
                "give a smaller top_k, a longer prompt, or attention: dense",
            )


def _n_candidates(config: LlmAccessConfig, context: int) -> int:
    """Tokens, or blocks, that are neither sinks nor recent."""
    size = config.block_tokens if config.top_k_unit == "block" else 1
    return (context - config.window) // size - -(-config.sinks // size)
