"""What every run of a request trace checks and says, whatever the engine: room, objective, notes, distributions."""

from __future__ import annotations

from typing import Any

from simulator.contracts.results import Distribution, Series
from simulator.contracts.system import BatchesRequests, HoldsQueries, ServesRequests
from simulator.core.errors import ConfigError
from simulator.experiments.settings import Settings
from simulator.serving.capacity import KvCapacity
from simulator.serving.served import Served

_MS_PER_PS, _S_PER_PS = 1e-9, 1e-12


def checked_server(settings: Settings, system: Any) -> None:
    """Raise ConfigError where a system does not say what serving requests on it takes."""
    if isinstance(system, ServesRequests) and isinstance(system, (BatchesRequests, HoldsQueries)):
        return
    raise ConfigError(
        f"system `{settings.tree.get('system.kind')}` does not say how it serves requests over time",
        where=settings.tree.position("system.kind"),
        remedy="give its class kv_room, capacity and idle_power_w, and takes_batches or slots: docs/add_a_system.md",
    )


def kv_capacity(system: ServesRequests) -> KvCapacity:
    """The room for keys and values, as an engine takes it."""
    return KvCapacity(system.kv_room.tokens, system.kv_room.bytes_per_position, system.capacity)


def objective(settings: Settings, result: Served) -> tuple[dict[str, int | float], str]:
    """Goodput under the `serving` section's objective: as metrics, and as a sentence."""
    slo = settings.serving
    goodput = result.goodput(ttft_ms=slo.slo_ttft_ps / 1e9, tpot_ms=slo.slo_tpot_ps / 1e9)
    words = (
        f"SLO (first token within {slo.slo_ttft_ps / 1e12:g} s, then {slo.slo_tpot_ps / 1e9:g} ms a token): met by "
        f"{goodput.fraction:.1%}, goodput {goodput.requests_per_s:.3g} requests/s"
    )
    return {"goodput_requests_per_s": goodput.requests_per_s, "slo_met_frac": goodput.fraction}, words


def stream_in_words(result: Served) -> str:
    """How many requests came over which time, and at which rate."""
    n, span_s = len(result.requests), result.arrival_span_ps / 1e12
    rate = f", {(n - 1) / span_s:.3g}/s" if span_s else ""
    return f"{n:,} requests over {seconds_in_words(span_s)}{rate}" if span_s else f"{n:,} requests at once"


def seconds_in_words(time_s: float) -> str:
    """Whole seconds, or three digits of what is shorter than ten."""
    return f"{time_s:,.0f} s" if time_s >= 10 else f"{time_s:.3g} s"


def served_notes(settings: Settings, result: Served) -> tuple[str, ...]:
    """What a reader must know of a trace that asks for more than the machine or the model has."""
    notes = [settings.context_note(int(result.requests.total_tokens.max()))]
    kv = result.kv
    if kv is not None and kv.overshoot_tokens:
        notes.append(
            f"requests in flight held up to {kv.peak_tokens:,} positions where {kv.capacity_tokens:,} fit: "
            f"{kv.overshoot_bytes:,} bytes missing on the fullest device; the run goes on as if they fitted"
        )
    return tuple(note for note in notes if note)


def latency_distributions(result: Served) -> dict[str, Distribution]:
    """Latencies in ms: over requests, and over tokens where they are times between tokens."""
    samples = {"ttft": result.ttft_ps, "tpot": result.tpot_ps, "e2e": result.e2e_ps, "queueing": result.queueing_ps}
    found = {f"{name}_ms": Distribution.of(times, scale=_MS_PER_PS) for name, times in samples.items()}
    found["tbt_ms"] = Distribution.of(result.token_gaps.values, result.token_gaps.counts, scale=_MS_PER_PS)
    order = ("ttft_ms", "e2e_ms", "queueing_ms", "tpot_ms", "tbt_ms")
    return {name: found[name] for name in order if len(found[name].values)}


def queue_series(result: Served) -> Series:
    """Waiting requests over time."""
    return Series.of("time_s", *result.queue_lengths(), scale_x=_S_PER_PS, stepped=True)
