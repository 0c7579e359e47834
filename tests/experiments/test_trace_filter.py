"""`sim trace convert --cache`: the same records as recording through the caches gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.experiments.trace_filter import filter_of
from simulator.memory.lackey_text import LackeyText
from simulator.workload.access_reading import read_accesses
from simulator.workload.access_spool import AccessSpool


@pytest.fixture
def text(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    rows = zip(
        rng.choice(["I ", " L", " S", " M"], 20_000),
        (rng.zipf(1.2, 20_000) * 40 % (1 << 22) + (1 << 36)).tolist(),
        rng.choice([1, 8, 32], 20_000).tolist(),
        strict=True,
    )
    file = tmp_path / "all.txt"
    file.write_text("".join(f"{kind} {address:08x},{size}\n" for kind, address, size in rows))
    return file


def test_converting_is_recording(text: Path, tmp_path: Path, sim) -> None:
    caches = filter_of("2KiB/4", "16KiB/8")
    with AccessSpool(tmp_path / "recorded.npz") as spool:
        for accesses in LackeyText().feed(text.read_bytes()):
            traffic = caches.filter(accesses.line, accesses.is_store)
            spool.add(traffic.line, traffic.is_write, accesses.instructions[traffic.cause])
        spool.finish()
    options = ("--cache", "--l1", "2KiB/4", "--llc", "16KiB/8")
    assert sim("trace", "convert", str(text), str(tmp_path / "converted.npz"), *options).code == 0
    recorded, converted = read_accesses(tmp_path / "recorded.npz"), read_accesses(tmp_path / "converted.npz")
    ours, theirs = next(recorded.chunks()), next(converted.chunks())
    assert 500 < len(ours) < 20_000
    np.testing.assert_array_equal(ours.line, theirs.line)
    np.testing.assert_array_equal(ours.is_write, theirs.is_write)
    np.testing.assert_array_equal(recorded.page_address, converted.page_address)
    # A trace's clock is sampled: between two samples it runs evenly.
    assert recorded.clock is not None
    assert converted.clock is not None
    np.testing.assert_allclose(recorded.clock.samples, converted.clock.samples, atol=100)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--llc", "2MiB/16"), 2, "--llc without --cache"),
        (("--cache", "--llc", "2MiB"), 2, "'2MiB' is no cache level"),
    ],
)
def test_caches_that_are_none(text: Path, tmp_path: Path, sim, options: tuple[str, ...], code: int, said: str) -> None:
    outcome = sim("trace", "convert", str(text), str(tmp_path / "out.npz"), *options)
    assert outcome.code == code
    assert said in outcome.err
    assert not (tmp_path / "out.npz").exists()
