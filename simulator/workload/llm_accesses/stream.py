"""A language model's run as a stream of page accesses: `llm_stream(config, seed)`.

Each pass over the model goes through the layers in order: norms and the projections of queries, keys and values, read
whole; the new keys and values, written; the cache, read as attention selects; the output projection; the router and the
experts that the tokens go to, or the feed-forward network. Before them come the embedding rows of the tokens, after
them the head. Page ids are in the order of addresses, as all memory is taken when the model is loaded.

Not modelled: activations (they stay on chip), weights or KV kept in a cache between two uses, several devices, the
order in which the cores of one device interleave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.workload.accesses import LINE_BYTES, AccessChunk, AccessStream, Clock
from simulator.workload.llm_accesses.config import LlmAccessConfig
from simulator.workload.llm_accesses.passes import LlmRun
from simulator.workload.llm_accesses.runs import chunked
from simulator.workload.llm_accesses.selection import Selection


def llm_stream(config: LlmAccessConfig, seed: int = 1, selection: Selection | None = None) -> AccessStream:
    """The accesses of a run; `request_starts` are the first records of its decode steps.

    `selection` replaces the configuration's attention; it is asked anew at every pass over the stream and must answer
    alike. Raises LlmAccessError or WorkloadError (exit code 3) for a run that cannot be.
    """
    run = LlmRun(config, seed, selection)
    starts, n_records = _count(run)

    def make_chunks(n: int) -> Iterator[AccessChunk]:
        return chunked((piece for model_pass in run.passes() for piece in model_pass.pieces), n)

    source = f"{config!r} {run.spec!r} {seed}"
    if run.hits is not None:
        source += f" {run.hits.checksum}"
    return AccessStream(
        name=f"llm-{run.spec.name}",
        n_records=n_records,
        n_pages=run.layout.n_pages,
        make_chunks=make_chunks,
        lines_per_record=run.lines_per_record,
        clock=_clock(starts, n_records, config.compute_per_step_ps),
        regions=run.layout.regions,
        request_starts=starts,
        checksum=hashlib.sha256(source.encode()).hexdigest(),
        notes=tuple(_notes(run)),
    )


def _count(run: LlmRun) -> tuple[NDArray[np.int64], int]:
    """First records of the steps, int64[n_steps], and how many records there are."""
    starts: list[int] = []
    n_records = 0
    for model_pass in run.passes():
        # A prompt that joins a running batch delays the step that it joins; those at the start are no step's.
        if len(starts) == model_pass.step and (model_pass.is_decode or model_pass.step):
            starts.append(n_records)
        n_records += sum(piece.n_records for piece in model_pass.pieces)
    return np.array(starts, dtype=np.int64), n_records


def _clock(starts: NDArray[np.int64], n_records: int, compute_per_step_ps: int) -> Clock | None:
    """Compute time, spread evenly over each step's records; there is none before the first step."""
    if not compute_per_step_ps:
        return None
    bounds = np.append(starts, n_records)
    every = _between_samples(int(np.diff(bounds).min()), n_records)
    # The last sample lies beyond the last record, on the line of the last step.
    n_samples = -(-n_records // every) + 1
    end = (n_samples - 1) * every
    beyond = (end - n_records) / (n_records - int(starts[-1]))
    steps = np.append(np.arange(len(bounds), dtype=np.float64), len(starts) + beyond)
    at = np.interp(np.arange(n_samples) * every, np.append(bounds, end), steps)
    return Clock(np.rint(at * compute_per_step_ps).astype(np.int64), every, "ps")


def _between_samples(shortest_step: int, n_records: int) -> int:
    """Records from sample to sample: sixteen samples a step and more, but no more than a million in all."""
    wanted = max(1, shortest_step // 16, n_records >> 20)
    return 1 << (wanted - 1).bit_length()


def _notes(run: LlmRun) -> Iterable[str]:
    config, spec, reach = run.config, run.spec, run.reach
    yield (
        f"LLM run: {spec.name}, {config.batch} sequences, contexts {reach.shortest:,} to {reach.longest:,}, "
        f"{config.n_steps:,} decode steps; in this memory: {', '.join(sorted(run.parts))}"
    )
    if run.n_layers < spec.n_layers:
        yield f"the first {run.n_layers} of {spec.n_layers} layers"
    yield (
        f"a record is {run.lines_per_record} lines ({run.lines_per_record * LINE_BYTES} B) of one page; "
        "page ids are in the order of addresses; activations stay on chip"
    )
    if config.compute_per_step_ps:
        yield f"compute time: {config.compute_per_step_ps / 1e6:g} us a step, spread evenly over its records"
    else:
        yield "no compute time between accesses: the run is bound by its memory"
    if not config.prefill:
        yield "prompts were computed elsewhere: their keys and values are there when a sequence begins"
    yield from _recorded_notes(run)
    if "kv" in run.parts and spec.sliding_window is not None:
        yield f"attention keeps to the model's window of {spec.sliding_window:,} positions; older blocks stay held"
    if reach.longest > spec.max_context:
        yield f"{spec.name} was trained for contexts of {spec.max_context:,} positions, not {reach.longest:,}"
    unused = config.unused_keys(spec, run.parts)
    if unused:
        yield f"not looked at in this run: {', '.join(unused)}"


def _recorded_notes(run: LlmRun) -> Iterable[str]:
    """Where recorded attention comes from, and where it is not of this model or this length."""
    hits, spec = run.hits, run.spec
    if hits is None:
        return
    n_texts = len(hits.steps_of_windows)
    yield (
        f"attention as recorded in {run.config.hits}: {run.config.recorded_top_k or hits.k:,} positions a KV head, "
        f"{n_texts:,} text{'s' * (n_texts > 1)} of {len(hits.steps_of_windows[0]):,} steps, which sequences take in "
        "turn and begin again after the last step; positions count back from the newest token"
    )
    if (hits.n_layers, hits.n_kv_heads) != (run.n_layers, spec.n_kv_heads):
        yield (
            f"recorded are {hits.n_layers} layers of {hits.n_kv_heads} KV heads, and this run has {run.n_layers} of "
            f"{spec.n_kv_heads}: layer l reads as layer l modulo {hits.n_layers}, head h as head h modulo "
            f"{hits.n_kv_heads}"
        )
    longest = int(hits.context.max())
    if run.reach.longest > longest:
        yield f"contexts were {longest:,} positions at most when recorded: what lies further back is never read"
    if run.reach.shortest < int(hits.context.min()):
        yield "recorded positions from before the beginning of a shorter context are left out"
