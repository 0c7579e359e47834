"""Bit operations of a model's products: what Anda's precision search orders its candidates by.

A product of an FP16 activation and an INT4 weight counts 64 bit operations (16 x 4), one of an activation with M
mantissa bits 4 M. The four kinds of products of a layer weigh as many multiplications as they have: queries, keys and
values (`qkv`), the attention's output (`o`), up and gate (`u`), down (`d`).

Source: Anda (HPCA 2025). Not modelled: attention, word tables, routers; signs and shared exponents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from simulator.core.errors import ConfigError
from simulator.workload.model import ModelSpec

Mantissas = tuple[int, int, int, int]
"""Mantissa bits of the activations that enter qkv, o, u and d."""

MacWeights = tuple[int, int, int, int]
"""Multiplications of a token and layer in qkv, o, u and d, or numbers in proportion to them."""

MODULES: Final = ("qkv", "o", "u", "d")
MANTISSA_RANGE: Final = (1, 16)
FLOAT_BITS: Final = 16
WEIGHT_BITS: Final = 4


def mac_weights(model: ModelSpec) -> MacWeights:
    """Multiplications of one token in one layer, by module; grouped queries, gates and chosen experts counted."""
    if model.n_experts:
        n_chosen = model.n_experts_per_token + model.n_shared_experts
        width = n_chosen * model.expert_ffn
    else:
        width = model.ffn
    return (
        model.hidden * (model.q_dim + 2 * model.kv_dim),
        model.q_dim * model.hidden,
        model.hidden * width * (2 if model.gated else 1),
        width * model.hidden,
    )


def checked_mantissas(mantissas: Sequence[int], where: str | None = None) -> Mantissas:
    """Four mantissas of 1 to 16 bits. Raises ConfigError, at `where`, for other numbers and for more or fewer."""
    least, most = MANTISSA_RANGE
    if len(mantissas) != len(MODULES):
        raise ConfigError(
            f"{len(mantissas)} mantissas, where there are {len(MODULES)} kinds of products",
            where=where,
            remedy=f"give one for each of {', '.join(MODULES)}, such as [8, 7, 7, 6]",
        )
    for module, bits in zip(MODULES, mantissas, strict=True):
        if type(bits) is not int or not least <= bits <= most:
            raise ConfigError(
                f"the mantissa of {module} has {bits} bits", where=where, remedy=f"give {least} to {most} bits"
            )
    qkv, o, u, d = mantissas
    return qkv, o, u, d


def mean_mantissa(mantissas: Sequence[int], weights: MacWeights) -> float:
    """Mantissa bits of a multiplication, on average."""
    return bit_operations(mantissas, weights) / (WEIGHT_BITS * sum(weights))


def bit_operations(mantissas: Sequence[int], weights: MacWeights) -> int:
    """Bit operations of `weights` multiplications; mantissas of 16 bits stand for FP16 activations."""
    return WEIGHT_BITS * sum(bits * n for bits, n in zip(checked_mantissas(mantissas), weights, strict=True))


def bit_operations_saving(mantissas: Sequence[int], weights: MacWeights) -> float:
    """How many times fewer bit operations than with FP16 activations."""
    return FLOAT_BITS / mean_mantissa(mantissas, weights)
