"""IEEE half precision: what checkpoints and activations are stored in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from simulator.numerics.number_format import Matrix, NumberFormat, Quantized


class Fp16(NumberFormat):
    """FP16, rounded to nearest, halves to even; beyond its range it is infinite, which is the user's to see."""

    class Config(BaseModel):
        """There is nothing to choose."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    NAMES = r"fp16"
    TITLE = "IEEE half precision"
    EXAMPLES = ()

    @classmethod
    def fields_of(cls, parts: Mapping[str, str | None]) -> dict[str, Any]:
        """None."""
        return {}

    def __init__(self, config: Config) -> None:
        self.config = config

    def quantize(self, values: Matrix) -> Quantized:
        """The 16 bits of each value, as integers; there are no scales."""
        with np.errstate(over="ignore"):
            halves = np.asarray(values).astype(np.float16)
        return Quantized(halves.view(np.uint16).astype(np.int32), np.ones((len(halves), 0)))

    def dequantize(self, quantized: Quantized) -> NDArray[np.float32]:
        """The values of 16 bits."""
        return quantized.codes.astype(np.uint16).view(np.float16).astype(np.float32)

    def bits_per_value(self, n_columns: int) -> float:
        """Sixteen."""
        return 16.0
