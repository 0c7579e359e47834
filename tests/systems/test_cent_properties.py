"""What must hold of CENT for any model and mapping."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from simulator.contracts.results import StepResult
from simulator.core.errors import ConfigError, MappingError, SimulatorError
from simulator.devices.aim_block import BLOCK_PARTS
from simulator.memory.aim_isa import Command
from simulator.memory.aim_trace import AimLimits, aim_trace_lines, read_aim_trace
from simulator.systems.cent import SCOPES, Cent
from simulator.workload.batch import Batch
from simulator.workload.model import ModelSpec

from .machines import SMALL, machine, machine_or_refusal, models, parallelisms

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
CONTEXTS = st.one_of(st.integers(1, 2500), st.sampled_from([1, 16, 1024, 1025, 2048]))
CHANNELS = st.one_of(st.integers(1, 40), st.sampled_from([1, 32, 33]))


def token(cent: Cent, context: int) -> StepResult:
    """One decoded token."""
    return cent.step(Batch.decode(context))


def limits(cent: Cent) -> AimLimits:
    geometry = cent.device.dram.geometry
    return AimLimits(geometry.n_channels, geometry.n_banks, geometry.n_rows)


def assert_sound(cent: Cent, step: StepResult) -> None:
    """What holds of every step: time is the schedule's, energy and traffic are not negative, no peak is exceeded."""
    assert step.latency_ps == step.schedule.makespan_ps > 0
    assert max(span.end_ps for span in step.schedule.spans) == step.latency_ps
    assert all(0 <= span.start_ps <= span.end_ps for span in step.schedule.spans)
    assert step.interval_ps > 0
    assert step.n_slots >= 1
    assert step.energy.total_pj > 0
    assert all(energy >= 0 for energy in step.energy.by_component().values())
    assert all(n_bytes >= 0 for n_bytes in step.traffic_bytes.values())
    assert step.power_w > 0
    for bound in step.bounds.values():
        assert bound.achieved <= bound.peak * (1 + 1e-9)
        assert bound.achieved >= 0


@st.composite
def cases(draw: st.DrawFn) -> tuple[ModelSpec, str, int, int, int]:
    model = draw(models())
    parallelism, n_devices = draw(parallelisms(model))
    return model, parallelism, n_devices, draw(CHANNELS), draw(CONTEXTS)


@QUICK
@given(cases(), st.sampled_from(["cent", "cent_corrected"]))
def test_any_model_on_any_mapping(case: tuple[ModelSpec, str, int, int, int], config: str) -> None:
    """It runs and is sound, or is refused by a named error; full, class and fast detail agree; so does its trace."""
    model, parallelism, n_devices, n_channels, context = case
    made = machine_or_refusal(
        model,
        config=config,
        parallelism=parallelism,
        n_devices=n_devices,
        device__dram__organisation__n_channels=n_channels,
    )
    if isinstance(made, SimulatorError):
        assert isinstance(made, (MappingError, ConfigError))
        assert made.remedy
        return
    step = token(made, context)
    assert_sound(made, step)
    program = made.program("block", context)
    timings = [made.device.dram.time(program, detail) for detail in ("full", "class", "fast")]
    for timing in timings[1:]:
        assert timing.cycles == timings[0].cycles
        np.testing.assert_array_equal(timing.commands, timings[0].commands)
        np.testing.assert_array_equal(timing.active_cyc, timings[0].active_cyc)
        np.testing.assert_array_equal(timing.section_cyc, timings[0].section_cyc)
        np.testing.assert_array_equal(timing.section_commands, timings[0].section_commands)
    assert step.metrics["block_cycles"] == timings[0].cycles


@QUICK
@given(cases(), st.sampled_from(["block", *BLOCK_PARTS, "embedding", "block_fc_only"]))
def test_a_program_written_as_a_trace_takes_the_same_time(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[ModelSpec, str, int, int, int], scope: str
) -> None:
    model, parallelism, n_devices, n_channels, context = case
    made = machine_or_refusal(
        model, parallelism=parallelism, n_devices=n_devices, device__dram__organisation__n_channels=n_channels
    )
    assume(isinstance(made, Cent))
    assert isinstance(made, Cent)
    program = made.program(scope, context)
    path = tmp_path_factory.mktemp("trace") / "trace.txt"
    path.write_text("\n".join(aim_trace_lines(program, n_channels)), encoding="utf-8")
    read = read_aim_trace(path, limits(made))
    assert read.n_lines == program.n_lines
    ours, theirs = made.device.dram.time(program), made.device.dram.time(read)
    assert theirs.cycles == ours.cycles
    np.testing.assert_array_equal(theirs.commands, ours.commands)


@QUICK
@given(cases())
def test_nothing_is_faster_than_its_peak(case: tuple[ModelSpec, str, int, int, int]) -> None:
    """Columns, the data bus and the dispatcher bound a block from below, and so does reading its weights once."""
    model, parallelism, n_devices, n_channels, context = case
    made = machine_or_refusal(
        model, parallelism=parallelism, n_devices=n_devices, device__dram__organisation__n_channels=n_channels
    )
    assume(isinstance(made, Cent))
    assert isinstance(made, Cent)
    program = made.program("block", context)
    timing = made.device.dram.time(program)
    assert timing.cycles >= program.n_lines
    columns = timing.commands[:, [Command.MAC16, Command.EWMUL16, Command.RDCP, Command.WRCP]].sum(axis=1)
    bus = [Command.RD, Command.WR, Command.WRGB, Command.WRMAC16, Command.RDMAC16, Command.RDAF16, Command.WRA16]
    assert timing.cycles >= 2 * columns.max()
    assert timing.cycles >= 2 * timing.commands[:, bus].sum(axis=1).max()
    assert (timing.active_cyc <= timing.cycles).all()
    widths = made.block.ffn_widths()
    n_weights = 2 * model.hidden * (model.q_dim + model.kv_dim) + (2 + model.gated) * model.hidden * sum(widths)
    n_weights += model.hidden * model.n_experts
    bytes_per_cyc = 16  # of one bank: a burst of 32 bytes every two clocks
    fc = made.device.dram.time(made.program("block_fc_only", context))
    assert fc.cycles * bytes_per_cyc * made.block.n_fc_banks >= 2 * n_weights
    assert timing.cycles >= fc.cycles / 1.001


@QUICK
@given(models(), st.integers(1, 9), CONTEXTS)
def test_published_latency_is_a_chain(model: ModelSpec, n_devices: int, context: int) -> None:
    """Nothing overlaps in published mode: spans and operators add up to the latency."""
    made = machine_or_refusal(model, n_devices=n_devices)
    assume(isinstance(made, Cent))
    assert isinstance(made, Cent)
    step = token(made, context)
    assert step.latency_ps == sum(span.end_ps - span.start_ps for span in step.schedule.spans)
    assert step.latency_ps == sum(step.schedule.operator_ps().values())
    assert step.latency_ps == sum(step.schedule.resource_busy_ps().values())
    assert step.interval_ps == pytest.approx(step.latency_ps / model.n_layers)


@pytest.mark.parametrize("parallelism", ["pp", "2x2"])
@pytest.mark.parametrize("switch", ["pnm_overlap", "cxl_overlap"])
def test_an_edge_less_changes_latency_spans_and_energy_together(switch: str, parallelism: str) -> None:
    """The tasks stay the same; only what waits for what changes, and everything that is read off the spans follows."""
    made = {
        on: machine(config="cent_corrected", n_devices=4, parallelism=parallelism, **{switch: on})
        for on in (False, True)
    }
    apart, beside = token(made[False], 900), token(made[True], 900)
    assert beside.schedule.resource_busy_ps() == apart.schedule.resource_busy_ps()
    assert beside.schedule.operator_ps() == apart.schedule.operator_ps()
    assert beside.latency_ps < apart.latency_ps
    assert [s.start_ps for s in beside.schedule.spans] != [s.start_ps for s in apart.schedule.spans]
    assert beside.interval_ps < apart.interval_ps
    assert beside.energy.total_pj < apart.energy.total_pj
    assert beside.energy.dynamic_pj == apart.energy.dynamic_pj
    # What is hidden is at most all the work of that resource.
    hidden = apart.latency_ps - beside.latency_ps
    assert hidden <= apart.schedule.resource_busy_ps()["pnm" if switch == "pnm_overlap" else "cxl"]


def test_both_edges_less_is_faster_than_either() -> None:
    latencies = {
        (pnm, cxl): token(machine(n_devices=4, parallelism="2x2", pnm_overlap=pnm, cxl_overlap=cxl), 900).latency_ps
        for pnm in (False, True)
        for cxl in (False, True)
    }
    assert latencies[True, True] < min(latencies[True, False], latencies[False, True])
    assert max(latencies[True, False], latencies[False, True]) < latencies[False, False]


@QUICK
@given(models(max_layers=3), st.integers(1, 4), CONTEXTS, st.integers(0, 600))
def test_time_and_energy_grow_with_context(model: ModelSpec, n_devices: int, context: int, more: int) -> None:
    """Longer contexts never cost less, by more than the few cycles in which two writes of other banks differ."""
    made = machine_or_refusal(model, n_devices=n_devices)
    assume(isinstance(made, Cent))
    assert isinstance(made, Cent)
    short, long = token(made, context), token(made, context + more)
    slack_ps = model.n_layers * 200 * 500
    assert long.latency_ps >= short.latency_ps - slack_ps
    assert long.energy.total_pj >= short.energy.total_pj * 0.995


@pytest.mark.parametrize("config", ["cent", "cent_corrected"])
def test_contexts_are_rounded_up(config: str) -> None:
    exact, coarse = machine(config=config, n_devices=2), machine(config=config, n_devices=2, context_step=128)
    for context in (1, 127, 128, 129, 700):
        rounded = -(-context // 128) * 128
        assert token(coarse, context).latency_ps == token(exact, rounded).latency_ps
        assert coarse.step_key(Batch.decode(context)) == coarse.step_key(Batch.decode(rounded))


# --- placement


@pytest.mark.parametrize(("parallelism", "same"), [("80x1", True), ("32x1", False), ("8x4", False), ("1x32", False)])
def test_which_mappings_are_pipeline_mode(parallelism: str, same: bool) -> None:
    pipeline = token(machine("llama2-70b"), 512)
    other = token(machine("llama2-70b", parallelism=parallelism), 512)
    assert (other.latency_ps == pipeline.latency_ps) is same
    assert (other.energy == pipeline.energy) is same
    assert other.n_slots == int(parallelism.partition("x")[0])


def test_tensor_parallel_is_one_stage() -> None:
    tp, spelt = (token(machine("llama2-7b", n_devices=8, parallelism=text), 700) for text in ("tp", "1x8"))
    assert (tp.latency_ps, tp.energy, tp.n_slots) == (spelt.latency_ps, spelt.energy, 1)


@pytest.mark.parametrize(
    ("parallelism", "n_devices", "error"),
    [
        ("8x4", 31, ConfigError),
        ("81x1", 81, ConfigError),
        ("0x4", 4, ConfigError),
        ("4", 4, ConfigError),
        ("4X4", 16, ConfigError),
        ("4x4x2", 32, ConfigError),
        ("-1x4", 4, ConfigError),
        ("", 4, ConfigError),
        ("pp", 2, MappingError),
    ],
)
def test_mappings_that_are_refused(parallelism: str, n_devices: int, error: type[SimulatorError]) -> None:
    with pytest.raises(error) as caught:
        machine("llama2-70b", parallelism=parallelism, n_devices=n_devices)
    assert caught.value.remedy
    if isinstance(caught.value, MappingError):
        assert caught.value.missing_bytes > 0


@QUICK
@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))
def test_pipelines_on_awkward_devices(n_layers: int, n_devices: int, n_channels: int) -> None:
    """Blocks never share a channel, every block has a place, and no device is counted that holds none."""
    model = SMALL.replace(n_layers=n_layers)
    made = machine_or_refusal(model, n_devices=n_devices, device__dram__organisation__n_channels=n_channels)
    blocks = -(-n_layers // n_devices)
    if blocks > n_channels:
        assert isinstance(made, MappingError)
        return
    assume(isinstance(made, Cent))
    assert isinstance(made, Cent)
    placement = made.placement
    assert placement.n_channels * placement.copies <= n_channels
    assert placement.copies >= blocks
    assert placement.n_devices_used * blocks >= n_layers > (placement.n_devices_used - 1) * blocks
    assert placement.n_stages == n_layers
    assert_sound(made, token(made, 100))


# --- capacity


def test_free_bytes_and_keys_and_values_fill_a_device() -> None:
    """Weights take whole rows; with them, what is free is what the channels of a block hold."""
    made = machine("llama2-70b")
    channel_bytes = 16 * 16384 * 2048
    room = made.kv_room
    weights = 2 * (2 * 8192 * (8192 + 1024) + 3 * 8192 * 28672)
    free_at_best = 10 * channel_bytes - weights
    assert 0.98 * free_at_best <= room.free_bytes <= free_at_best
    assert room.bytes_per_position == 2 * 1024 * 2
    assert room.tokens == room.free_bytes // room.bytes_per_position
    assert room.missing_bytes(1, room.tokens) == 0
    assert 0 < room.missing_bytes(1, room.tokens + 1) <= room.bytes_per_position


@QUICK
@given(cases(), st.integers(1, 50), st.integers(1, 100_000))
def test_room_is_conserved(case: tuple[ModelSpec, str, int, int, int], n_queries: int, context: int) -> None:
    model, parallelism, n_devices, n_channels, _ = case
    made = machine_or_refusal(
        model, parallelism=parallelism, n_devices=n_devices, device__dram__organisation__n_channels=n_channels
    )
    assume(isinstance(made, Cent))
    assert isinstance(made, Cent)
    room = made.kv_room
    device_bytes = made.device.dram.channel_bytes * n_channels
    assert 0 <= room.free_bytes <= device_bytes
    asked = n_queries * context * room.bytes_per_position
    assert room.missing_bytes(n_queries, context) == max(0, asked - room.free_bytes)
    # All devices together hold at least the keys and values that the model itself counts.
    assert room.bytes_per_position * placed_blocks(made) >= model.kv_bytes_per_token


def placed_blocks(made: Cent) -> float:
    """Groups of channels over all devices, a tensor-parallel group counted once per device."""
    placement, n_layers = made.placement, made.model.n_layers
    return n_layers if placement.is_pipeline else placement.n_stages * placement.tensor_width


# --- device switches


@pytest.mark.parametrize("scope", ["block", "softmax", "norm", "fc_ffn", "attention", "activation"])
def test_a_wider_dispatcher(scope: str) -> None:
    """Vector traffic goes out faster; matrix products, bound by their columns, stay as they are."""
    cycles = [
        machine("llama2-7b", n_devices=8, device__dram__dispatcher_width=width)
        .part(scope, 1024)
        .metrics["device_cycles"]
        for width in (1, 2, 4, 8)
    ]
    assert all(after <= before for before, after in pairwise(cycles))
    if scope in ("softmax", "norm", "activation"):
        assert cycles[3] < 0.6 * cycles[0]


def test_corrected_is_slower_and_takes_more_energy() -> None:
    for model, n_devices in (("llama2-7b", 8), ("llama2-70b", 32)):
        published = token(machine(model, n_devices=n_devices), 1024)
        corrected = token(machine(model, config="cent_corrected", n_devices=n_devices), 1024)
        assert corrected.latency_ps > published.latency_ps
        assert corrected.energy.total_pj > published.energy.total_pj


def test_without_refresh_corrected_takes_the_published_time() -> None:
    published = token(machine("llama2-7b", n_devices=8), 1024)
    corrected = token(machine("llama2-7b", config="cent_corrected", n_devices=8, device__dram__refresh=False), 1024)
    assert corrected.latency_ps == published.latency_ps
    assert corrected.energy.total_pj > published.energy.total_pj


def test_standby_of_one_32nd_is_the_published_defect() -> None:
    """The repository's known figures: 63.07 mJ and 276 W published, 77.48 mJ and 339 W with the whole standby power."""
    published = token(machine("llama2-7b", n_devices=8), 512)
    standby = sum(e.energy_pj for e in published.energy.background if e.component == "dram_standby")
    standby += published.energy.dynamic_pj["dram_standby"]
    whole = published.energy.total_pj + 31 * standby
    assert whole / 1e9 == pytest.approx(77.48, abs=0.01)
    assert whole / published.energy.total_pj * published.power_w == pytest.approx(339, abs=1)


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_runs_alone(scope: str) -> None:
    for config in ("cent", "cent_corrected"):
        made = machine(config=config, n_devices=2)
        step = made.part(scope, 300)
        assert_sound(made, step)


def test_parts_take_about_as_long_as_their_block() -> None:
    made = machine("llama2-7b", n_devices=8)
    parts = sum(made.part(part, 1024).metrics["device_cycles"] for part in BLOCK_PARTS)
    assert parts == pytest.approx(made.part("block", 1024).metrics["device_cycles"], rel=0.02)


# --- steps of a batch


@pytest.mark.parametrize("config", ["cent", "cent_corrected"])
@pytest.mark.parametrize(("parallelism", "n_devices"), [("pp", 2), ("tp", 2), ("2x1", 2), ("2x3", 6)])
def test_batched_steps(config: str, parallelism: str, n_devices: int) -> None:
    made = machine(config=config, parallelism=parallelism, n_devices=n_devices)
    one = token(made, 200)
    assert made.step(Batch.decode(200, 1)).latency_ps == one.latency_ps
    before = one
    for n in (2, 3, 9):
        step = made.step(Batch.decode(200, n))
        assert_sound(made, step)
        assert before.latency_ps < step.latency_ps <= n * one.latency_ps
        assert step.energy.total_pj > before.energy.total_pj
        assert sum(step.energy.dynamic_pj.values()) == pytest.approx(n * sum(one.energy.dynamic_pj.values()))
        # A stage takes one token at a time.
        stage_ps = one.metrics["block_latency_us"] * 1e6 * (made.model.n_layers // made.n_slots)
        assert step.latency_ps >= one.latency_ps + (n - 1) * stage_ps * (1 - 1e-9)
        before = step


@pytest.mark.parametrize("parallelism", ["pp", "tp"])
def test_prefill_is_its_tokens_one_after_another(parallelism: str) -> None:
    made = machine(parallelism=parallelism, n_devices=2)
    tokens = [token(made, context) for context in range(1, 41)]
    prefill = made.step(Batch.prefill(40))
    assert prefill.latency_ps == sum(step.latency_ps for step in tokens)
    assert prefill.energy.total_pj == pytest.approx(sum(step.energy.total_pj for step in tokens))
    two = made.step(Batch.prefill(40, 2))
    assert prefill.latency_ps < two.latency_ps <= 2 * prefill.latency_ps


def test_a_batch_in_any_order_of_its_sequences_takes_the_same_energy() -> None:
    from simulator.workload.batch import Sequence

    made = machine(n_devices=2)
    mixed = (Sequence(1, 500), Sequence(8, 8), Sequence(1, 90))
    forward, backward = made.step(Batch(mixed)), made.step(Batch(mixed[::-1]))
    assert forward.energy.total_pj == pytest.approx(backward.energy.total_pj)
    longest = max(made.step(Batch((sequence,))).latency_ps for sequence in mixed)
    for step in (forward, backward):
        assert step.latency_ps >= longest
        assert step.latency_ps <= sum(made.step(Batch((sequence,))).latency_ps for sequence in mixed)


def test_nothing_is_kept_between_systems() -> None:
    first = token(machine(n_devices=2), 300)
    token(machine(n_devices=3), 300)
    assert token(machine(n_devices=2), 300).energy == first.energy
