"""Shapes of fabrics by name: one switch, devices behind a shared uplink, a ring, every pair joined, one link.

Not modelled: routing around a busy link, links of different widths in one shape (build a `Fabric` for that).
"""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, model_validator

from simulator.core.quantities import Ps
from simulator.devices.link import Link
from simulator.devices.link_fabric import Fabric, Forwarding

Shape = Literal["star", "shared_uplink", "ring", "fully_connected", "point_to_point"]

HOST, SWITCH = "host", "switch"


class LinkTopology:
    """A fabric from its shape: `device0` to `device<n-1>`, and where there are any `switch` and `host`."""

    class Config(BaseModel):
        """A part of kind `link_topology`. `uplink` joins host and switch; every other link is a `link`."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        kind: Literal["link_topology"] = "link_topology"
        shape: Shape
        n_devices: Annotated[int, Ge(2), Le(4096)]
        link: Link.Config
        uplink: Link.Config | None = None
        switch_latency_ps: Ps = 0
        forwarding: Forwarding = "cut_through"
        multicast: bool = True

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
