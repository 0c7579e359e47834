"""Types for the fields of configuration models: a quantity's bounds stand in its type, its unit in the field's name.

`t_read_ps: Ps` accepts `t_read: 40 us`, `t_read_us: 40` and `t_read_ps: 40000000`; `clock_period_ps: Period` keeps
`1/285 MHz` exactly.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt, MinLen

# Whole quantities end in int64 arrays: beyond its range they would wrap. Products of a few quantities must stay finite.
_INT64 = 1 << 63
_LARGEST = 1e30

PositiveInt = Annotated[int, Gt(0), Lt(_INT64)]
NonNegativeInt = Annotated[int, Ge(0), Lt(_INT64)]
PositiveFloat = Annotated[float, Gt(0), Le(_LARGEST)]
NonNegativeFloat = Annotated[float, Ge(0), Le(_LARGEST)]

Ps = NonNegativeInt
PositivePs = PositiveInt
Period = Annotated[Fraction, Gt(0)]
Cycles = NonNegativeInt
PositiveCycles = PositiveInt
Bytes = NonNegativeInt
PositiveBytes = PositiveInt
Bits = PositiveInt
Picojoules = NonNegativeFloat
PicojoulesPerByte = NonNegativeFloat
Milliwatts = NonNegativeFloat
Hertz = PositiveFloat
GigabytesPerSecond = PositiveFloat
Frac = Annotated[float, Ge(0), Le(1)]
Name = Annotated[str, MinLen(1)]
