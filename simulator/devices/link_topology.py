"""Shapes of fabrics by name: one switch, devices behind a shared uplink, a ring, every pair joined, one link.

Not modelled: routing around a busy link, links of different widths in one shape (build a `Fabric` for that).
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.contracts.results import RunRecord, Scalar, Table
from simulator.core.quantities import PositiveBytes, Ps
from simulator.devices.link import Link
from simulator.devices.link_fabric import Fabric, Forwarding
from simulator.devices.link_trace import read_transfers
from simulator.devices.link_transfers import TransferPlan, run_transfers

Shape = Literal["star", "shared_uplink", "ring", "fully_connected", "point_to_point"]

HOST, SWITCH = "host", "switch"


class LinkTopology:
    """A fabric from its shape: `device0` to `device<n-1>`, and where there are any `switch` and `host`."""

    class Config(BaseModel):
        """A part of kind `link_topology`. `uplink` joins host and switch; every other link is a `link`. `chunk_bytes`
        cuts what is replayed, so that transfers take turns."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["link_topology"] = "link_topology"
        shape: Shape
        n_devices: Annotated[int, Ge(2), Le(4096)]
        link: Link.Config
        uplink: Link.Config | None = None
        switch_latency_ps: Ps = 0
        forwarding: Forwarding = "cut_through"
        multicast: bool = True
        chunk_bytes: PositiveBytes | None = None

        @model_validator(mode="after")
        def _consistent(self) -> LinkTopology.Config:
            if (self.uplink is not None) != (self.shape == "shared_uplink"):
                has = "has no `uplink` to the host" if self.uplink is None else "takes no `uplink`"
                raise ValueError(f"the shape {self.shape} {has}")
            if self.shape == "point_to_point" and self.n_devices != 2:
                raise ValueError(f"the shape point_to_point joins 2 devices, not {self.n_devices}")
            if self.shape == "fully_connected" and self.n_devices > 64:
                raise ValueError(f"the shape fully_connected takes up to 64 devices, not {self.n_devices}")
            if self.shape == "ring" and self.n_devices < 3:
                raise ValueError("a ring has at least 3 devices: two are joined by the shape point_to_point")
            return self

    def __init__(self, config: Config, *, name: str = "") -> None:
        """`name` stands before every resource's name, for systems of several fabrics."""
        self.config = config
        link = Link(config.link)
        uplink = None if config.uplink is None else Link(config.uplink)
        self.link = link
        self.devices = tuple(f"device{index}" for index in range(config.n_devices))
        self.fabric = self._fabric(link, uplink, name)

    def replay(self, trace: str | Path, seed: int) -> RunRecord:
        """Run the transfers of a CSV file together (`link_trace` says its columns): when each arrives, what it lost to
        the others, and how busy each link is.

        `seed` is unused: nothing here is random.
        """
        del seed
        transfers = read_transfers(trace, self.fabric.devices)
        plan = run_transfers(self.fabric, transfers, chunk_bytes=self.config.chunk_bytes)
        return _record(self, Path(trace).name, plan)

    def _fabric(self, link: Link, uplink: Link | None, name: str) -> Fabric:
        config, devices = self.config, self.devices
        hosts: tuple[str, ...] = ()
        switches: dict[str, int] = {}
        if config.shape in ("star", "shared_uplink"):
            switches = {SWITCH: config.switch_latency_ps}
            links = [(device, SWITCH, link) for device in devices]
            if uplink is not None:
                hosts, links = (HOST,), [*links, (HOST, SWITCH, uplink)]
        elif config.shape == "ring":
            links = [(one, other, link) for one, other in zip(devices, devices[1:] + devices[:1], strict=True)]
        else:
            links = [(one, other, link) for one, other in combinations(devices, 2)]
        return Fabric(
            devices + hosts,
            switches,
            links,
            forwarding=config.forwarding,
            multicast=config.multicast,
            name=name,
        )


def _record(topology: LinkTopology, workload: str, plan: TransferPlan) -> RunRecord:
    """What a replay says."""
    makespan_ps = plan.schedule.makespan_ps
    busy_ps = plan.schedule.resource_busy_ps()
    busy_frac: dict[str, Scalar] = {name: busy_ps[name] / max(1, makespan_ps) for name in sorted(busy_ps)}
    n_bytes = sum(one.transfer.n_bytes * len(one.transfer.destinations) for one in plan.deliveries)
    waited_ps = [one.waited_ps for one in plan.deliveries]
    busiest = max(busy_ps, key=lambda name: busy_ps[name])
    rows = [
        (
            one.transfer.name,
            one.transfer.source,
            " ".join(one.transfer.destinations),
            one.transfer.n_bytes,
            one.transfer.start_ps / 1e6,
            one.end_ps / 1e6,
            one.alone_ps / 1e6,
            one.waited_ps / 1e6,
        )
        for one in plan.deliveries
    ]
    columns = ("transfer", "source", "destinations", "bytes", "start_us", "end_us", "alone_us", "waited_us")
    return RunRecord(
        system="link_topology",
        workload=workload,
        metrics={
            "time_us": makespan_ps / 1e6,
            "n_transfers": len(plan.deliveries),
            "delivered_bytes": n_bytes,
            "delivered_gb_per_s": n_bytes / max(1, makespan_ps) * 1e3,
            "mean_waited_us": sum(waited_ps) / len(waited_ps) / 1e6,
            "max_waited_us": max(waited_ps) / 1e6,
            "busiest_link_frac": float(busy_frac[busiest]),
        },
        breakdown={"link_busy_frac": busy_frac},
        headlines=(
            f"{len(plan.deliveries):,} transfers in {makespan_ps / 1e6:,.3f} us; the busiest link is {busiest}, "
            f"{float(busy_frac[busiest]):.1%} of the time",
        ),
        requests=Table(columns, rows),
        spans=Table.of_spans(plan.schedule),
        key_metrics=("time_us", "delivered_gb_per_s", "max_waited_us"),
    )
