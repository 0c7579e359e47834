"""What a user can get wrong with BitMoD: exit code, the key that is meant, and a remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulator.core.parameters import parameters
from simulator.experiments.run import plan_run
from simulator.experiments.run_kinds import bound_run

STEP = {"workload.phase": "decode", "workload.context": 256}
FP16 = {"system.datapath": "fp16", "system.weight_bits": 16, "system.kv_bits": 16}


@pytest.mark.parametrize(
    ("code", "sets", "words"),
    [
        (2, {"system.datapath": "bitmodd"}, ("system.datapath", "did you mean `bitmod`?")),
        (2, {"system.datapath": "oliv"}, ("did you mean `olive`?",)),
        (2, {"system.datapath": "tpu"}, ("no datapath `tpu`", "`ant`, `bitmod`, `fp16`, `olive`")),
        (2, {"system.weight_bits": 0.5}, ("system.weight_bits", "at least 1")),
        (2, {"system.weight_bits": 17}, ("system.weight_bits", "at most 16")),
        (2, {"system.weight_bits": 9}, ("system.weight_bits", "datapath BitMoD", "codes of 1 to 8 bits")),
        (2, {"system.weight_bits": 16, "system.datapath": "ant"}, ("datapath ANT", "codes of 2 to 8 bits")),
        (2, {"system.weight_bits": "four"}, ("system.weight_bits",)),
        (2, {"system.weight_bits": ".nan"}, ("system.weight_bits",)),
        (2, {"system.kv_bits": 0}, ("system.kv_bits", "at least 1")),
        (2, {"system.kv_bits": 32}, ("system.kv_bits", "at most 16")),
        (2, {"system.kv_bits": 7.5}, ("system.kv_bits", "whole number")),
        (2, {"system.revision": 2023}, ("system.revision", "2024")),
        (2, {"system.accounting": "correct"}, ("did you mean `corrected`?",)),
        (2, {"system.group": 0}, ("system.group", "above 0")),
        (2, {"system.idle_frac": 1.5}, ("system.idle_frac",)),
        (2, {"system.clock": "0 Hz"}, ("system.clock",)),
        (2, {"system.datapaths.bitmod.lanes": 16}, ("system.buffers.ports", "2,048 bits", "CACTI")),
        (2, {"system.datapaths.bitmod.terms": "serial"}, ("terms", "did you mean `bit_serial`?")),
        (2, {"system.datapaths.bitmod.kv_bits.least": 17}, ("`least` is above `most`",)),
        (2, {"system.memory.timing": "DDR4_9999X", "system.accounting": "corrected"}, ("memory",)),
        (2, {"system.memory.currents": "null", "system.accounting": "corrected"}, ("system.memory", "currents")),
        (2, {"workload.context": 0}, ("workload.context",)),
        (2, {"workload.batch": 0}, ("workload.batch",)),
        (4, {"workload.model": "mixtral-8x7b"}, ("workload.model", "has experts", "dense")),
        (4, {**FP16, "workload.model": "llama2-70b", "system.accounting": "corrected"},
         ("weights of llama2-70b overfill", "system.weight_bits")),
        (4, {"workload.batch": 4096, "workload.context": 4096, "system.accounting": "corrected"},
         ("workload.batch", "overfill the memory", "system.capacity=report")),
    ],
)  # fmt: skip
def test_what_is_refused(
    refusal_of: Callable[..., str], code: int, sets: dict[str, object], words: tuple[str, ...]
) -> None:
    said = refusal_of("bitmod", code, {**STEP, **sets})
    for word in words:
        assert word in said


def test_stated_ranges_of_standby_currents_can_be_had() -> None:
    step = {"workload.model": "opt-1.3b", "system.accounting": "corrected", **STEP}
    bound = plan_run("hw_configs/bitmod.yaml", sets=step).bound
    ranges = [one for one in parameters(bound.tree) if one.path.endswith(("i2_2n_ma", "i2_3n_ma")) and one.range]
    assert ranges
    for one in ranges:
        for end in one.range or ():
            bound_run(bound.tree.with_sets({one.path: end}), "hw_configs/bitmod.yaml").perform()
