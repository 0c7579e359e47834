"""Lists of transfers through `sim replay`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from simulator.core.errors import WorkloadError
from simulator.devices.link_trace import read_transfers

from .link_parts import PARTS

DEVICES = ("device0", "device1", "device2", "host")
HEADER = "name,source,destinations,bytes,start_us\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "transfers.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_units_and_all(tmp_path: Path) -> None:
    text = "# a comment\n\nsource,start_ns,bytes,destinations\nhost,1.5,100,all\ndevice1,0,7,host device0\n"
    first, second = read_transfers(written(tmp_path, text), DEVICES)
    assert (first.name, first.source, first.destinations) == ("transfer 0", "host", DEVICES[:3])
    assert (first.n_bytes, first.start_ps) == (100, 1500)
    assert (second.name, second.destinations, second.start_ps) == ("transfer 1", ("host", "device0"), 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no transfers", "source,destinations,bytes"]),
        (HEADER, ["no transfers below"]),
        ("source,destinations\n", [":1:", "`bytes` is missing"]),
        ("source,destination,bytes\n", ["`destination` is not known", "did you mean `destinations`"]),
        ("source,destinations,bytes,bytes\n", ["`bytes` is twice"]),
        (HEADER + "a,device0,host,8\n", [":2:", "4 cells under 5 columns"]),
        (HEADER + "a,device9,host,8,0\n", [":2:", "no device `device9`", "did you mean"]),
        (HEADER + "a,device0,device0,8,0\n", ["`device0` sends to device0"]),
        (HEADER + "a,device0,,8,0\n", ["sends to nobody"]),
        (HEADER + "a,device0,host host,8,0\n", ["each other device once"]),
        (HEADER + "a,device0,host,eight,0\n", ["`bytes` is 'eight'"]),
        (HEADER + "a,device0,host,1.5,0\n", ["whole number"]),
        (HEADER + "a,device0,host,-1,0\n", ["`bytes` is '-1'"]),
        (HEADER + "a,device0,host,8,1e300\n", ["`start_us`"]),
        (HEADER + "a,device0,host,8,nan\n", ["`start_us`"]),
        (HEADER + "a,device0,host,8,0\na,device1,host,8,0\n", [":3:", "a second transfer `a`"]),
        (HEADER + 'a,"device0,host,8,0\n', [":2:", "no line of a CSV"]),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(WorkloadError) as refused:
        read_transfers(written(tmp_path, text), DEVICES)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def replayed(sim, folder: Path, trace: Path, *sets: str) -> tuple[dict[str, float], list[dict[str, str]]]:
    options = [word for one in sets for word in ("--set", one)]
    out = folder / f"out{len(sets)}"
    outcome = sim("replay", str(PARTS / "pcie_switch.yaml"), str(trace), "--json", "--out", str(out), *options)
    assert (outcome.code, outcome.err) == (0, "")
    with (out / "requests.csv").open() as stream:
        return json.loads(outcome.out)["metrics"], list(csv.DictReader(stream))


def test_replay_says_who_waited(tmp_path: Path, sim) -> None:
    trace = written(tmp_path, HEADER + "".join(f"t{index},device{index},host,1048576,0\n" for index in range(4)))
    metrics, rows = replayed(sim, tmp_path, trace)
    assert metrics["n_transfers"] == 4
    assert metrics["delivered_bytes"] == 4 << 20
    assert metrics["busiest_link_frac"] > 0.99
    assert [row["transfer"] for row in rows] == ["t0", "t1", "t2", "t3"]
    assert float(rows[0]["waited_us"]) == 0 < float(rows[3]["waited_us"]) == metrics["max_waited_us"]
    in_turn, rows = replayed(sim, tmp_path, trace, "chunk=64 KiB")
    assert in_turn["time_us"] == metrics["time_us"]
    assert min(float(row["waited_us"]) for row in rows) > 0.8 * in_turn["max_waited_us"]
    wide, _ = replayed(sim, tmp_path, trace, "uplink.n_lanes=16", "chunk=64 KiB")
    assert wide["max_waited_us"] < 1 < in_turn["max_waited_us"]


@pytest.mark.parametrize(
    ("line", "sets", "code", "words"),
    [
        ("a,device0,host,1000000,0\n", ["chunk=8 B"], 2, "smaller than a packet"),
        ("a,device0,host,1125899906842624,0\n", ["chunk=256 B"], 3, "more than the"),
        ("a,device0,host,1099511627776,0\n", ["chunk=256 B"], 2, "larger chunks"),
        ("a,device0,hosts,8,0\n", [], 3, "did you mean `host`"),
    ],
)
def test_replay_refuses(tmp_path: Path, sim, line: str, sets: list[str], code: int, words: str) -> None:
    trace = written(tmp_path, HEADER + line)
    options = [word for one in sets for word in ("--set", one)]
    outcome = sim("replay", str(PARTS / "pcie_switch.yaml"), str(trace), "--out", str(tmp_path / "out"), *options)
    assert (outcome.code, words in outcome.err) == (code, True), outcome.err
