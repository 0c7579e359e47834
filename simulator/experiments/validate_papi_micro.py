"""PAPI's two ratios of its stacks to AttAcc's: weights on FC-PIM, attention on Attn-PIM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from simulator.devices.pim_attention import PimHead
from simulator.experiments.papi_designs import PapiDesigns
from simulator.experiments.validate_records import Group, Point

STACKS = "fc pim"  # as the machine's resources are named
THEIRS, OURS = "attacc-only", "pim-only-papi"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FcRatio(_Section):
    """Time of a layer's weights at RLP x TLP = `tokens`, AttAcc's stacks over FC-PIM; `known` is why ours misses it, as
    far as `known_frac`."""

    tokens: int
    published: float
    known: str = ""
    known_frac: float = 0.0


class AttentionRatio(_Section):
    """Time of attention with `tokens` a pass, Attn-PIM over AttAcc's stacks, at some contexts."""

    tokens: int
    published: float
    heads: int
    contexts: list[int]


class MicroTargets(_Section):
    """The two ratios."""

    title: str
    source: str
    config: str
    model: str
    tolerance_frac: float
    fc: FcRatio
    attention: AttentionRatio


def micro_points(targets: MicroTargets) -> Iterator[Point]:
    """Both ratios beside ours."""
    group = Group("papi_stacks", targets.title, targets.source, folded=False)
    designs = PapiDesigns(targets.config, 1, 1)
    theirs, ours = (designs.machine(name, targets.model) for name in (THEIRS, OURS))
    fc, attention = targets.fc, targets.attention
    ratio = weights_ps(theirs, fc.tokens) / weights_ps(ours, fc.tokens)
    yield Point(
        group, f"RLP x TLP = {fc.tokens}", "FC-PIM over AttAcc's stacks", fc.published, ratio,
        targets.tolerance_frac * fc.published, 1, known=fc.known, known_tolerance=fc.known_frac * fc.published,
    )  # fmt: skip
    for context in attention.contexts:
        heads = [PimHead(context, n_queries=attention.tokens)] * attention.heads
        ticks = [one.attention_stack.attention(heads, one.model.head_dim, one.n_bytes).ticks for one in (ours, theirs)]
        case = f"TLP = {attention.tokens}, context {context:,}"
        tolerance = targets.tolerance_frac * attention.published
        yield Point(
            group, case, "AttAcc's stacks over Attn-PIM", attention.published, ticks[0] / ticks[1], tolerance, 1
        )


def weights_ps(machine: Any, tokens: int) -> float:
    """Time of a layer's products of so many tokens on the stacks that hold the weights, links left out."""
    pieces, _ = machine.fc_units["pim"].pieces(tokens)
    return float(sum(piece.time_ps for own in pieces.values() for piece in own if piece.resource == STACKS))
