"""The event-driven DRAM engine against the table-driven one, on random set-ups: equal in everything.

Thousands more: python -m tests.kernels.fuzz_dram N SEED.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.dram_cases import STANDARDS
from tests.kernels.fuzz_dram import differences, random_case

N_CASES = 25


@pytest.mark.parametrize("standard", STANDARDS)
def test_engines_agree(standard: str) -> None:
    for seed in range(N_CASES):
        case = random_case(standard, np.random.default_rng([seed, 4]), n_requests=300 + 40 * seed)
        assert not differences(case), case.text


@pytest.mark.slow
@pytest.mark.parametrize("standard", STANDARDS)
def test_engines_agree_on_many(standard: str) -> None:
    for seed in range(150):
        case = random_case(standard, np.random.default_rng([seed, 5]))
        assert not differences(case), case.text
