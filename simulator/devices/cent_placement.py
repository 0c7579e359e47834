"""Where the blocks of a model live in a CENT system, and whether they fit.

Source: CENT (ASPLOS'25), repository. Not modelled: room for the embeddings, which the repository gives no place either;
fragmentation of key-value memory by rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulator.contracts.system import KvRoom
from simulator.core.errors import ConfigError, MappingError
from simulator.core.rounding import ceil_div
from simulator.devices.aim_block import AimBlock
from simulator.devices.aim_device import AimDevice
from simulator.devices.cxl_link import CxlLink
from simulator.workload.model import ModelSpec


@dataclass(frozen=True, slots=True)
class Placement:
    """Which devices and channels hold which blocks.

    `n_stages` tokens are in flight, one per stage; `tensor_width` devices share a block. A device works on `copies`
    blocks at a time in lock-step, each on `n_channels` channels, and holds `blocks_per_device` of the pipeline's
    blocks, which share its near-memory unit; `blocks_per_stage` (the largest) share one group of channels.
    `n_devices_used` devices hold a block.
    """

    n_stages: int
    tensor_width: int
    n_channels: int
    copies: int
    blocks_per_device: int
    blocks_per_stage: int
    n_devices_used: int
    is_pipeline: bool


def place(model: ModelSpec, parallelism: str, n_devices: int, device: AimDevice) -> Placement:
    """Place a model: `pp` (a block per stage), `tp` (all devices share every block) or PPxTP.

    Raises ConfigError for a parallelism that the devices do not allow, MappingError where there are more blocks than
    channels.
    """
    n_stages, tensor_width = _parallelism(parallelism, model, n_devices)
    n_channels = device.geometry.n_channels
    if n_stages == model.n_layers and tensor_width == 1:
        blocks = ceil_div(model.n_layers, n_devices)
        if blocks > n_channels:
            raise MappingError(
                f"{model.name} puts {blocks} blocks on a device of {n_channels} channels",
                remedy=f"use at least {ceil_div(model.n_layers, n_channels)} devices (system.n_devices)",
                missing_bytes=(blocks - n_channels) * device.channel_bytes,
            )
        per_block = n_channels // blocks
        used = ceil_div(model.n_layers, blocks)
        return Placement(n_stages, 1, per_block, n_channels // per_block, blocks, 1, used, is_pipeline=True)
    if n_stages * tensor_width != n_devices:
        raise ConfigError(
            f"system.parallelism {parallelism} needs {n_stages * tensor_width} devices, not {n_devices}",
            remedy=f"choose PP x TP = {n_devices}, or {model.n_layers}x1 (pp) for {model.name}",
        )
    if n_stages > model.n_layers:
        raise ConfigError(
            f"{n_stages} pipeline stages for the {model.n_layers} layers of {model.name}", remedy="use fewer stages"
        )
    blocks_per_stage = ceil_div(model.n_layers, n_stages)
    return Placement(n_stages, tensor_width, n_channels, 1, 1, blocks_per_stage, n_devices, is_pipeline=False)


def _parallelism(text: str, model: ModelSpec, n_devices: int) -> tuple[int, int]:
    """(pipeline stages, tensor-parallel devices) of `pp`, `tp` or PPxTP."""
    if text == "pp":
        return model.n_layers, 1
    if text == "tp":
        return 1, n_devices
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if match is None:
        raise ConfigError(f"system.parallelism is {text!r}", remedy="write pp, tp, or PPxTP such as 8x4")
    return int(match[1]), int(match[2])


def kv_room(block: AimBlock, placement: Placement, device: AimDevice) -> KvRoom:
    """Room beside the weights, by rows. Values stay on the master of a tensor-parallel group, keys spread over the
    group.

    Raises MappingError where the weights alone do not fit.
    """
    model = block.model
    organisation = device.config.organisation
    row_bytes = organisation.row_bytes * block.group.n_banks
    free = (organisation.n_rows - placement.blocks_per_stage * block.rows.n_static) * row_bytes
    if free < 0:
        raise MappingError(
            f"the weights of {model.name} overfill a device by {-free:,} bytes",
            remedy="use more devices, spread blocks over them (system.parallelism), or a smaller model",
            missing_bytes=-free,
        )
    values = ceil_div(model.kv_dim * model.kv_bits, 8)
    keys = ceil_div(values, placement.tensor_width)
    return KvRoom.of_bytes(free, (keys + values) * placement.blocks_per_stage)


def block_transfers(link: CxlLink, placement: Placement, hidden: int, inner: int) -> list[tuple[str, int]]:
    """CXL transfers of one block: the operator that each belongs to, and its bytes on the wire.

    A pipeline hands the hidden vector on; a tensor-parallel group broadcasts and gathers it around every matrix, and
    the `inner` vector of the feed-forward network besides.
    """
    vector, width = 2 * hidden, placement.tensor_width
    if placement.is_pipeline:
        return [("norm_attention", link.send_bytes(vector))]
    around = ("qkv_projection", "attention_score", "output_projection", "ffn_up", "ffn_down")
    transfers = [(name, n) for name in around for n in (link.send_bytes(vector), link.gather_bytes(vector, width))]
    inner_bytes = 2 * inner
    return [
        *transfers,
        ("activation", link.gather_bytes(inner_bytes, width)),
        ("ffn_down", link.send_bytes(inner_bytes)),
    ]
