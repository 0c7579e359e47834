"""QoQ's progressive weights: the two steps by hand, and that the intermediate integers fit their width."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from simulator.numerics.format_names import format_named

MATRICES = hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=st.floats(-1, 1, width=32))


def test_by_hand() -> None:
    # s0 = 1.19 / 119 = 0.01: integers 119, -60, 33, 7. Range 179: s1 = round(11.93) = 12, z = round(5) = 5.
    values = np.array([[1.19, -0.60, 0.33, 0.07]])
    found = format_named("qoq_w4").quantize(values)
    assert found.scales.tolist() == [[12]]
    assert found.extra["zero_point"].tolist() == [[5]]
    assert found.codes.tolist() == [[15, 0, 8, 6]]
    np.testing.assert_allclose(format_named("qoq_w4").dequantize(found), [[1.20, -0.60, 0.36, 0.12]], rtol=1e-6)


def test_groups_have_steps_of_their_own_and_a_row_one_scale() -> None:
    # The second group spans 7 of 119 integers: its step is 1, so it loses nothing that INT8 has kept.
    found = format_named("qoq_w4_g2").quantize(np.array([[119.0, -119.0, 3.0, -4.0]]))
    assert found.scales.tolist() == [[16, 1]]
    assert format_named("qoq_w4_g2").dequantize(found)[0, 2:].tolist() == [3, -4]


@settings(max_examples=30)
@given(MATRICES, st.sampled_from([3, 16, 128]))
def test_intermediate_integers_fit_int8(values: NDArray[np.float32], group: int) -> None:
    fmt = format_named(f"qoq_w4_g{group}")
    found = fmt.quantize(values)
    assert found.scales.min() >= 1
    assert found.scales.max() <= 16
    assert found.codes.min() >= 0
    assert found.codes.max() <= 15
    integers = fmt.dequantize(found) / found.extra["channel_scale"][:, None]
    assert np.abs(integers).max() <= 127 * (1 + 1e-6)


@settings(max_examples=30)
@given(MATRICES)
def test_error_is_a_step_at_most_where_zero_is_within_a_group(values: NDArray[np.float32]) -> None:
    values[:, 0] = 0
    fmt = format_named("qoq_w4")
    found = fmt.quantize(values)
    # Half a step by each of two roundings of code and zero point, half by the rounded range, and half an INT8 step.
    bound = (1.5 * found.scales.repeat(values.shape[1], axis=1) + 8) * found.extra["channel_scale"][:, None]
    assert (np.abs(fmt.dequantize(found) - values) <= bound).all()
