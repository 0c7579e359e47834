"""Where an address lives: maps written as bit fields, such as `row bank column channel`, compiled to shifts and masks.

Fields stand most significant first; the lowest bits of an address, those within one burst, belong to no field. A field
is a level of the standard, `row`, `column` (counted in bursts) or `channel`. `column[2:]` and `column[:2]` are parts of
one, and `row+`, which may come first only, takes all bits that are left, so that addresses past the end keep rows of
their own. After a semicolon, `row bank ^= column` folds one field into others: the fields named on the left, side by
side, are XORed with the one on the right, lowest bits aligned.

Not modelled: maps that are no permutation of bits and XORs, such as division by a prime number of banks.
Source: the three maps of Ramulator 2.1 are written so in hw_configs/parts/dram.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.kernels.dram_mapping import BLOCK, map_linear
from simulator.memory.dram.refusal import KeyPath, PartRefusal
from simulator.memory.dram.spec import DramSpec

NO_MAP = "none"
"""The map of a memory that takes no addresses, such as one with three bank groups whose commands name rows."""

ADDRESS_BITS = 63
"""Byte addresses are not negative int64."""

_ITEM = re.compile(r"([A-Za-z_]\w*)(?:\[(\d*):(\d*)\]|(\+))?$")
Bits = list[int]
"""For each bit of a field, least significant first, the mask of the address bits whose XOR it is."""


@dataclass(frozen=True, slots=True, eq=False)
class AddressMap:
    """A compiled map: `fields` gives each field's bits as masks of address bits, terms what the kernel reads.

    `terms` int64[k, 2]: shift and mask; those from `firsts[o]` to `firsts[o + 1]` make output o of channel, bank, row.
    """

    fields: dict[str, Bits]
    terms: NDArray[np.int64]
    firsts: NDArray[np.int64]


def map_addresses(
    spec: DramSpec, mapper: str, n_channels: int, addresses: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """Channel int32[n], flat bank int32[n] and row int64[n] of byte addresses int64[n], by the map of that name.

    Raises WorkloadError for a negative address, and for one past the end where the accounting is corrected (published
    accounting lets it come round again, or gives it a row past the last); ConfigError for a map that does not fit.
    """
    compiled = compile_map(spec, mapper, n_channels)
    addresses = np.ascontiguousarray(addresses, np.int64)
    channel, bank = np.empty(len(addresses), np.int32), np.empty(len(addresses), np.int32)
    row = np.empty(len(addresses), np.int64)
    scratch = np.empty(BLOCK, np.int64)
    lowest, highest = map_linear(addresses, compiled.terms, compiled.firsts, scratch, channel, bank, row)
    if lowest < 0:
        place = int(np.argmax(addresses < 0))
        raise WorkloadError(f"request {place} has the negative address {addresses[place]}", remedy="count from 0")
    end = spec.capacity_bytes * n_channels
    if spec.refuses_beyond_capacity and highest >= end:
        place = int(np.argmax(addresses >= end))
        raise WorkloadError(
            f"request {place} has address {addresses[place]:#x}, past the end of the memory's {end} bytes",
            remedy="use a larger organisation or more channels, or accounting published, which lets addresses alias",
        )
    return channel, bank, row


def compile_map(spec: DramSpec, mapper: str, n_channels: int) -> AddressMap:
    """The map of that name for so many channels. Raises ConfigError where it is unknown or leaves bits out."""
    if mapper == NO_MAP:
        raise PartRefusal(("mapper",), "this memory takes no addresses", remedy="choose a map of `address_maps`")
    if mapper not in spec.address_maps:
        raise PartRefusal(
            ("mapper",), f"unknown address map {mapper!r}", remedy=did_you_mean(mapper, spec.address_maps)
        )
    key: KeyPath = ("address_maps", mapper)
    layout, *folds = [clause.strip() for clause in spec.address_maps[mapper].split(";")]
    items = _items(layout, key)
    widths = _widths(spec, n_channels, items[0][0])
    width_key: KeyPath = ("organisations", spec.organisation, "channel_width_bits")
    fields = _laid_out(items, widths, _power(spec.tx_bytes, width_key, "bytes in a burst"), key)
    if spec.channel_bit is not None:
        _move_channel(fields, spec.channel_bit, spec.tx_bytes.bit_length() - 1)
    for fold in folds:
        _fold(fold, fields, widths, key)
    flat_bank = [bit for level in reversed(spec.levels) for bit in fields[level]]
    outputs = [_terms(bits) for bits in (fields["channel"], flat_bank, fields["row"])]
    firsts = np.cumsum([0, *map(len, outputs)], dtype=np.int64)
    terms = np.array([term for output in outputs for term in output], np.int64).reshape(-1, 2)
    return AddressMap(fields, terms, firsts)


def _power(count: int, key: KeyPath, noun: str) -> int:
    """The logarithm of a count that must be a power of two."""
    if count & (count - 1):
        raise PartRefusal(key, f"an address map needs a power of two, not {count} {noun}", remedy="choose 1, 2, 4, ...")
    return count.bit_length() - 1


def _widths(spec: DramSpec, n_channels: int, top: str) -> dict[str, int]:
    """Bits of every field; only rows may be no power of two, and only as the topmost field."""
    key: KeyPath = ("organisations", spec.organisation)
    widths = {"channel": _power(n_channels, ("n_channels",), "channels")}
    for level, size in zip(spec.levels, spec.level_sizes, strict=True):
        widths[level] = _power(size, ("rank",) if level == "rank" else (*key, "sizes", level), f"of {level}")
    widths["column"] = _power(spec.n_columns // spec.prefetch, (*key, "n_columns"), "bursts in a row")
    if top == "row":
        widths["row"] = (spec.n_rows - 1).bit_length()
    else:
        widths["row"] = _power(spec.n_rows, (*key, "n_rows"), "rows")
    return widths


def _items(clause: str, key: KeyPath) -> list[tuple[str, int, int | None, bool]]:
    """Name, first bit, last bit and one, and whether all bits left are meant, of each item of a clause."""
    items = []
    for text in clause.split():
        match = _ITEM.match(text)
        if match is None:
            raise PartRefusal(key, f"cannot read {text!r}", remedy="write fields such as row, column[2:], column[:2]")
        items.append((match[1], int(match[2] or 0), int(match[3]) if match[3] else None, bool(match[4])))
    if not items:
        raise PartRefusal(key, "names no field", remedy='write "row bank column channel", say')
    return items


def _laid_out(
    items: Sequence[tuple[str, int, int | None, bool]], widths: dict[str, int], lowest: int, key: KeyPath
) -> dict[str, Bits]:
    """Every field's bits in the address, from the least significant item up."""
    fields: dict[str, dict[int, int]] = {name: {} for name in widths}
    at = lowest
    for place, (name, start, stop, takes_rest) in reversed(list(enumerate(items))):
        if name not in widths:
            raise PartRefusal(key, f"unknown field {name!r}", remedy=did_you_mean(name, widths))
        if takes_rest and (place > 0 or name != "row"):
            raise PartRefusal(key, f"`{name}+` takes what is left", remedy="put `row+` first, and no other field so")
        end = ADDRESS_BITS - at if takes_rest else widths[name] if stop is None else min(stop, widths[name])
        for bit in range(start, end):
            if bit in fields[name]:
                raise PartRefusal(key, f"bit {bit} of {name} stands twice", remedy="name every bit once")
            fields[name][bit] = 1 << at
            at += 1
    for name, width in widths.items():
        missing = [bit for bit in range(width) if bit not in fields[name]]
        if missing:
            raise PartRefusal(key, f"leaves out bit {missing[0]} of {name}", remedy=f"add `{name}` to the map")
    if at > ADDRESS_BITS:
        raise PartRefusal(key, f"needs {at} bits of address", remedy=f"at most {ADDRESS_BITS} are there")
    return {name: [bits[bit] for bit in range(len(bits))] for name, bits in fields.items()}


def _move_channel(fields: dict[str, Bits], bit: int, lowest: int) -> None:
    """Put the channel's bits at address bit `bit` and up, the other fields closing the gap."""
    n_channel_bits = len(fields["channel"])
    if bit < lowest:
        raise PartRefusal(("channel_bit",), f"bit {bit} is within a burst", remedy=f"choose {lowest} or more")
    others = sorted(mask for name, bits in fields.items() if name != "channel" for mask in bits)
    if others and bit > lowest + len(others):
        raise PartRefusal(("channel_bit",), f"bit {bit} is past the memory's end", remedy="choose a lower bit")
    places = [place for place in range(lowest, ADDRESS_BITS) if not bit <= place < bit + n_channel_bits]
    moved = {mask: 1 << place for mask, place in zip(others, places, strict=False)}
    for name, bits in fields.items():
        if name != "channel":
            fields[name] = [moved[mask] for mask in bits]
    fields["channel"] = [1 << (bit + number) for number in range(n_channel_bits)]


def _fold(clause: str, fields: dict[str, Bits], widths: dict[str, int], key: KeyPath) -> None:
    """Apply one clause `targets ^= source` to the fields' bits."""
    left, operator, right = clause.partition("^=")
    sources = _items(right, key) if operator else []
    if len(sources) != 1:
        raise PartRefusal(key, f"cannot read {clause!r}", remedy="write `row bank ^= column`")
    targets = _items(left, key)
    for name, _, _, takes_rest in (*targets, *sources):
        if name not in widths:
            raise PartRefusal(key, f"unknown field {name!r}", remedy=did_you_mean(name, widths))
        if takes_rest:
            raise PartRefusal(key, f"`{name}+` in a XOR", remedy=f"write `{name}`, which means its bits in the memory")
    name, start, stop, _ = sources[0]
    if any(name == target[0] for target in targets):
        raise PartRefusal(key, f"{name} would be folded into itself", remedy="name another field")
    source = fields[name][start : widths[name] if stop is None else min(stop, widths[name])]
    places = [
        (name, bit)
        for name, start, stop, _ in reversed(targets)
        for bit in range(start, widths[name] if stop is None else min(stop, widths[name]))
    ]
    for (name, bit), mask in zip(places, source, strict=False):
        fields[name][bit] ^= mask


def _terms(bits: Bits) -> list[tuple[int, int]]:
    """Shift and mask of every group of bits that moves by the same distance."""
    by_shift: dict[int, int] = {}
    for place, mask in enumerate(bits):
        for source in range(ADDRESS_BITS):
            if mask >> source & 1:
                by_shift[source - place] = by_shift.get(source - place, 0) | 1 << place
    return sorted(by_shift.items())
