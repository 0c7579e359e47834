"""Run directories of `sim replay`: compared with each other, refused in words elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.core.errors import ConfigError, WorkloadError
from simulator.experiments.compare import compare
from simulator.experiments.explain import explain
from simulator.experiments.replay import replay_command

DDR4 = "hw_configs/parts/dram/ddr4.yaml"


def replayed(directory: Path, part: str = DDR4, **sets: object) -> str:
    chosen = {"n_requests": 300, "trace": "random", **sets}
    return str(replay_command(part, "synthetic", sets=chosen, out=directory)[1])


def test_replays_of_one_traffic_are_compared(tmp_path: Path) -> None:
    runs = [replayed(tmp_path / "a"), replayed(tmp_path / "b", queue=8)]
    found = compare(runs)
    assert [entry.origin for entry in found.entries] == ["replay", "replay"]
    assert found.entries[0].metrics["cycles"] != found.entries[1].metrics["cycles"]
    assert found.notes == ()


def test_other_traffic_and_runs_of_systems_are_refused(tmp_path: Path) -> None:
    first = replayed(tmp_path / "a")
    with pytest.raises(WorkloadError, match="not the same traffic"):
        compare([first, replayed(tmp_path / "b", trace="stream")])
    with pytest.raises(ConfigError, match="with replays alone"):
        compare([first, "hw_configs/cent.yaml"])
    with pytest.raises(ConfigError, match="replay on one part"):
        explain(first)
