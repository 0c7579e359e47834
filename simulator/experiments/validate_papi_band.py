"""PAPI's headline ratios beside ours, and how far ours move over what the paper leaves open.

Each parameter is set to its ends one at a time. Then, for every ratio by itself, they are set together to the ends that
favour PAPI, and to those that do not: two joint corners. Nothing is tuned to a ratio.
Not modelled: extremes inside a range, other joint settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import prod
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from simulator.experiments.drawn_batches import Drawn, DrawnTimes
from simulator.experiments.papi_designs import PapiDesigns
from simulator.experiments.validate_records import Band, Group

Quantity = Literal["time", "decode", "energy", "link share"]
LINKS = ("fc link", "attention link")
PER_CENT = 100.0
_LITTLE = 0.05  # of a ratio


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BandWorkload(_Section):
    """Batches that a mean is over: (requests, tokens of each that a pass verifies)."""

    model: str
    lengths: str
    points: list[tuple[int, int]]

    @property
    def drawn(self) -> list[Drawn]:
        """The batches."""
        return [Drawn(self.model, self.lengths, batch, speculation) for batch, speculation in self.points]


class Headline(_Section):
    """A published mean ratio: `over` divided by `design`, or the share of links in the decode of `design`, in per cent.

    `why` is the reason where the band does not cover it.
    """

    figure: str
    name: str
    of: Quantity
    design: str
    over: str | None = None
    workload: str
    published: float | str
    why: str = ""

    @property
    def target(self) -> tuple[float, int]:
        """The published number, and its decimals."""
        exact = Decimal(str(self.published))
        exponent = exact.as_tuple().exponent
        return float(exact), max(0, -exponent) if isinstance(exponent, int) else 0


class OpenParameter(_Section):
    """What the paper does not publish, and overrides that set it to its ends (or to several values)."""

    name: str
    ends: list[dict[str, Any]]


class BandTargets(_Section):
    """The ratios, the batches that they are means over, the parameters, and how coarsely ours are computed; `reasons`
    are those that ratios refer to."""

    title: str
    source: str
    config: str
    context_step: int
    n_samples: int
    workloads: dict[str, BandWorkload]
    reasons: list[str] = []
    headlines: list[Headline]
    parameters: list[OpenParameter]


def band_rows(targets: BandTargets) -> Iterator[Band]:
    """Every headline with its band."""
    designs = PapiDesigns(targets.config, targets.context_step, targets.n_samples)
    group = Group("papi_headlines", targets.title, targets.source, folded=False)
    for headline in targets.headlines:
        yield headline_band(group, headline, targets, designs)


def headline_band(group: Group, headline: Headline, targets: BandTargets, designs: PapiDesigns) -> Band:
    """A headline with its band: as configured, at every end of every parameter, and at its two joint corners."""
    drawn = targets.workloads[headline.workload].drawn

    def value(sets: Mapping[str, Any], mean: Callable[[Sequence[float]], float] = arithmetic) -> float:
        return mean(ratios(headline, designs, drawn, sets))

    ours = value({})
    several = len(drawn) > 1
    found = {"geometric mean": value({}, geometric)} if several else {}
    ends: list[tuple[float, Mapping[str, Any]]] = []
    for parameter in targets.parameters:
        own = sorted(((value(sets), sets) for sets in parameter.ends), key=_number)
        ends += [own[0], own[-1]]
        found[f"{parameter.name} (other end)"], found[parameter.name] = sorted(
            (own[0][0], own[-1][0]), key=lambda one: abs(one - ours)
        )
    means = (arithmetic, geometric) if several else (arithmetic,)
    corners = [corner(value, ours, ends, sign) for sign in (-1, 1)]
    together = [value(sets, mean) for sets in corners for mean in means]
    target, n_decimals = headline.target
    name = max(found, key=lambda one: abs(found[one] - ours), default="nothing")
    return Band(
        group, headline.figure, headline.name, target, ours,
        singly=(min([ours, *found.values()]), max([ours, *found.values()])),
        together=(min(ours, *together), max(ours, *together)),
        n_decimals=n_decimals, most=f"{name}: {found.get(name, ours):.{n_decimals}f}", why=headline.why,
    )  # fmt: skip


def corner(
    value: Callable[[Mapping[str, Any]], float], ours: float, ends: Sequence[tuple[float, Mapping[str, Any]]], sign: int
) -> dict[str, Any]:
    """Overrides that together move a ratio far down (`sign` -1) or up (1): all ends that alone do so by a little, then
    the others, the most effective first, each where it moves the ratio further still."""
    moves = sorted((end for end in ends if sign * (end[0] - ours) > 0), key=lambda end: -sign * end[0])
    sets: dict[str, Any] = {}
    for moved, own in reversed(moves):
        if abs(moved / ours - 1) < _LITTLE:
            sets |= own
    best = value(sets)
    for moved, own in moves:
        if abs(moved / ours - 1) >= _LITTLE:
            found = value({**sets, **own})
            if sign * (found - best) > 0:
                sets, best = {**sets, **own}, found
    return sets


def ratios(headline: Headline, designs: PapiDesigns, drawn: Sequence[Drawn], sets: Mapping[str, Any]) -> list[float]:
    """The headline's ratio at each batch."""
    found = []
    for one in drawn:
        ours = designs.times(headline.design, one, sets)
        if headline.over is None:
            found.append(link_share(ours))
        else:
            theirs = designs.times(headline.over, one, sets)
            found.append(amount(theirs, headline.of) / amount(ours, headline.of))
    return found


def amount(times: DrawnTimes, of: Quantity) -> float:
    """Time of a batch, of its decode, or its energy."""
    return {"time": times.total_ps, "decode": times.decode_ps, "energy": times.total_pj}[of]


def link_share(times: DrawnTimes) -> float:
    """Links in all that a decode consists of, whatever runs beside what, in per cent."""
    return PER_CENT * sum(times.busy_ps.get(name, 0) for name in LINKS) / sum(times.busy_ps.values())


def geometric(values: Sequence[float]) -> float:
    """The geometric mean of positive values."""
    return float(prod(values) ** (1 / len(values)))


def arithmetic(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


def _number(end: tuple[float, Mapping[str, Any]]) -> float:
    return end[0]
