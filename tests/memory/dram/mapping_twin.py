"""The published address maps, step by step as they are described, one address at a time."""

from __future__ import annotations

from simulator.memory.dram.standard import DramSpec

Fields = dict[str, int]


def twin_fields(spec: DramSpec, mapper: str, n_channels: int, address: int) -> Fields:
    """Channel, every level, row and column (in bursts) of one byte address."""
    a = address // spec.tx_bytes
    channel, a = a % n_channels, a // n_channels
    n_bursts = spec.n_columns // spec.prefetch
    sizes = dict(zip(spec.levels, spec.level_sizes, strict=True))
    fields: Fields = {}

    def take(name: str, size: int) -> None:
        nonlocal a
        fields[name], a = a % size, a // size

    if mapper == "RoBaRaCoCh":
        take("column", n_bursts)
        for level, size in sizes.items():
            take(level, size)
        take("row", spec.n_rows)
    elif mapper == "ChRaBaRoCo":
        take("column", n_bursts)
        take("row", spec.n_rows)
        for level, size in reversed(sizes.items()):
            take(level, size)
    else:
        take("low", 4)
        for level, size in sizes.items():
            take(level, size)
        take("high", n_bursts // 4)
        fields["row"] = a
        fields["column"] = fields.pop("high") * 4 + fields.pop("low")
        x = 0
        for name, size in {**sizes, "row": spec.n_rows}.items():
            width = size.bit_length() - 1
            fields[name] ^= (fields["column"] >> x) & (2**width - 1)
            x += width
    return {**fields, "channel": channel}
