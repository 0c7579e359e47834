"""Kernels that the fit which predicts them has not seen: each shape left out in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from simulator.core.config import load_part
from simulator.devices.gpu import Gpu
from simulator.devices.gpu_collectives import CollectiveSoftware, GpuCollectives
from simulator.devices.gpu_kernel_rows import KernelRow
from simulator.experiments.validate_gpu_kernels import SERIES, label_of
from simulator.experiments.validate_gpu_measured import Compared, Limits, claims_of
from simulator.experiments.validate_records import Claim, Group
from simulator.workload.catalog import data_directory

COLLECTIVES = ("all_reduce", "all_gather")
_SHARES = 61  # of the data in what a protocol sends, from 0.3 to 0.9
_LAUNCHES = 121  # of a protocol's launch, from 0 to 60 us
_SHARE_ENDS, _LAUNCH_END_PS = (0.3, 0.9), 60e6


class HeldOutClaim(BaseModel):
    """A claim of rows of some kinds; `rows` says what was left out together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str
    rows: str
    errors: Limits


class HeldOutClaims(BaseModel):
    """Claims of kernels that were left out of the fit, those of collectives apart, whose fit is another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    source: str
    claims: list[HeldOutClaim]
    collectives: HeldOutClaim


def held_out_claims(asked: HeldOutClaims, part: str, gpu: Gpu, rows: Sequence[KernelRow]) -> Iterator[Claim]:
    """Every claim beside the errors of rows that were left out of the fit of `part`."""
    from simulator.experiments.calibrate import held_out

    group = Group("held_out", asked.title, asked.source, folded=False)
    found = held_out(load_part(data_directory("hw_configs") / part), rows)
    for claim in asked.claims:
        errors = found.errors[claim.kind]
        for name, limit in claim.errors.items():
            yield Claim(group, claim.name, name, limit, errors.by_name[name] * 100, f"{errors.n} {claim.rows}")
    collectives = held_out_collectives(gpu, [row for row in rows if row.kind in COLLECTIVES])
    yield from claims_of(group, asked.collectives.name, collectives, asked.collectives.errors, asked.collectives.rows)


def held_out_collectives(gpu: Gpu, rows: Sequence[KernelRow]) -> list[Compared]:
    """Each collective beside ours with its protocol's launch and payload share fitted on the others.

    Least mean |log error| over a grid. Which protocol runs, and the time of a step, stay as the part has them.
    """
    import numpy as np

    config = gpu.config
    assert config.collectives is not None
    assert config.fabric is not None
    shares = np.linspace(*_SHARE_ENDS, _SHARES)
    launches_ps = np.linspace(0.0, _LAUNCH_END_PS, _LAUNCHES)
    measured_us = np.array([row.t_us for row in rows])
    chosen = gpu.collectives(rows[0].sizes["world"])
    protocols = np.array([chosen.protocol(row.kind, row.sizes["bytes"]) for row in rows])
    moving_ps = np.empty((len(shares), len(rows)))
    for place, share in enumerate(shares.tolist()):
        software = _without_launch(config.collectives, share)
        for column, row in enumerate(rows):
            collectives = GpuCollectives(software, config.fabric, row.sizes["world"])
            moving_ps[place, column] = collectives.time_ps(row.kind, row.sizes["bytes"])
    times_us = (launches_ps[:, None, None] + moving_ps) / 1e6  # [launches, shares, rows]
    losses = np.abs(np.log(times_us / measured_us))
    found = []
    for column, row in enumerate(rows):
        others = protocols == protocols[column]
        others[column] = False
        loss = losses[:, :, others].mean(axis=-1)
        best = np.unravel_index(int(loss.argmin()), loss.shape)
        found.append(Compared(SERIES[row.kind], label_of(row), row.t_us, float(times_us[best][column])))
    return found


def _without_launch(software: CollectiveSoftware, payload_share: float) -> CollectiveSoftware:
    protocols = {
        name: one.model_copy(update={"launch_ps": 0, "payload_share": payload_share})
        for name, one in software.protocols.items()
    }
    return software.model_copy(update={"protocols": protocols})
