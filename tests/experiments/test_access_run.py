"""A run of accesses as a person and a program see it: what is printed once, what stands beside what."""

from __future__ import annotations

import json

import pytest

import simulator
from simulator.core.errors import ConfigError

TINY_LLM = {
    "model": "llama3-8b", "layers": 1, "parts": ["weights", "kv"], "prompt_tokens": 256, "n_steps": 2, "batch": 2,
    "overrides": {"hidden": 256, "ffn": 512, "n_heads": 4, "n_kv_heads": 2, "head_dim": 64},
}  # fmt: skip


@pytest.fixture(scope="module")
def llm_run() -> simulator.Run:
    sets = {"system.processor.mlp": 64, "system.migration.promote": "0 us", "system.policies.on_touch.service": "1 us"}
    return simulator.run("hw_configs/m5.yaml", {**sets, "workload": {"kind": "accesses", "llm": TINY_LLM}})


def test_regions_add_up_to_what_each_policy_read(llm_run: simulator.Run) -> None:
    sizes, shares = llm_run.tables["regions"], llm_run.tables["DDR_share_of_reads_by_region"].set_index("policy")
    assert list(sizes["region"]) == ["weights", "kv"]
    assert sizes["size_mib"].sum() == pytest.approx(llm_run.metrics["footprint_mib"])
    read = sizes.set_index("region")["read_gb"]
    for policy, row in shares.iterrows():
        of_ddr = sum(row[f"{kind}_frac"] * read[kind] for kind in read.index) / read.sum()
        assert of_ddr == pytest.approx(llm_run.metrics[f"ddr_read_frac_{policy}"])
    assert shares.loc["on_touch"].max() > 0


def test_a_model_waits_for_nothing_but_memory(llm_run: simulator.Run) -> None:
    assert all("compute" not in parts for parts in llm_run.breakdown.values())


def test_a_policy_alone_is_held_against_no_migration(sim, tmp_path) -> None:
    sets = ("--set", "workload.repeat=1", "--set", "workload.records=50000", "--set", "system.policy=m5_hpt")
    outcome = sim("run", "hw_configs/m5.yaml", *sets, "--out", str(tmp_path / "run"))
    assert (outcome.code, "m5_hpt, " in outcome.out, "as fast as no migration" in outcome.out) == (0, True, True)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["breakdown"]) == {"time_of_m5_hpt_s"}
    assert "speedup" in summary["metrics"]
    # The table says it; it does not stand among the metrics again.
    assert sum(line.lstrip().startswith("speedup") for line in outcome.out.splitlines()) == 0


def test_what_is_scaled_or_stays_is_said(sim, tmp_path) -> None:
    sets = ("system.migrate=false", "system.periods=scaled", "system.policy=damon", "workload.records=20000")
    outcome = sim(
        "run", "hw_configs/m5.yaml", *(word for one in sets for word in ("--set", one)), "--out", str(tmp_path / "x")
    )
    printed = " ".join(outcome.out.split())
    assert ("nothing moves" in printed, "(system.periods)" in printed) == (True, True)


def test_accesses_have_no_timeline(sim) -> None:
    outcome = sim("run", "hw_configs/m5.yaml", "--timeline")
    assert (outcome.code, "no operators to draw" in outcome.err) == (2, True)


def test_a_configuration_with_no_room_in_ddr_says_so() -> None:
    with pytest.raises(ConfigError):
        simulator.run("hw_configs/m5.yaml", {"system.capacity_frac": 0})
    run = simulator.run("hw_configs/m5.yaml", {"system.capacity": "1 KiB", "workload.records": 1000})
    assert any("not one page" in note for note in run.notes)
