"""The `workload` section of a configuration for a model's accuracy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict

from simulator.core.quantities import NonNegativeInt, PositiveInt

Tokens = Annotated[int, Gt(1), Le(1 << 20)]


class AccuracyWorkload(BaseModel):
    """A checkpoint in a number format, on windows of a file of tokens.

    `checkpoint` is a folder as Hugging Face has it, or the name of one in `workloads/checkpoints`; `tokens` an array of
    token ids (.npy), or the name of one in `workloads/tokens`. `format` names the formats of the tensors, `+` between
    them; where it is left out, the machine's own. Windows follow each other from `first_window` on, `window_tokens`
    each, by default the model's context; each is a text of its own, whose first token is not scored.

    Over the first `reference_windows` windows the predictions are compared with those of the model as it is stored;
    `greedy_tokens` is how many tokens both continue the first window's first `prompt_tokens` by.

    A search of formats looks at `calibration_windows` windows from `calibration_first` on; by default as many, a power
    of two, as 2^37 pairs of a parameter and a token allow, after the first 32,768 tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["accuracy"] = "accuracy"
    checkpoint: str = "tiny-llama"
    tokens: str = "own_source"
    format: str | None = None
    n_windows: PositiveInt = 8
    first_window: NonNegativeInt = 0
    window_tokens: Tokens | None = None
    attention: str | dict[str, Any] = "dense"
    reference_windows: NonNegativeInt = 1
    greedy_tokens: Annotated[int, Ge(0), Le(1 << 12)] = 32
    prompt_tokens: PositiveInt = 64
    calibration_windows: PositiveInt | None = None
    calibration_first: NonNegativeInt | None = None
