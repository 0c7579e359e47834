"""ServeGen workloads: a folder of chunk-N-trace.csv and chunk-N-dataset.json, from which requests are drawn.

The load is the sum of its clients. In each 10-minute window a client's arrivals are a renewal process in equilibrium
with the window's mean rate and the fitted family (Gamma, Weibull; none: exponential). Token counts are independent
draws from the client's 6-hour window (or its last one before that has any). A client without published lengths draws
each request from one of those that have some, chosen by mean rate. Every client has its own random streams, so that
adding one, or asking for more requests, changes no request that was there.

Without a number of requests, the first window that has any is drawn. Not modelled: conversations, reasoning ratios,
the correlation of prompt and output lengths. Source: alibaba/ServeGen; arXiv 2505.09999.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.core.seeds import child_rng
from simulator.workload.servegen_clients import N_QUANTILES, Client, read_client
from simulator.workload.trace_text import MAX_TOKENS, Rows, TraceFile, TraceHead
from simulator.workload.traces.options import TraceOptions

_TRACE = re.compile(r"chunk-(\d{1,9})-trace\.csv", re.ASCII)
_PS_PER_S = 10**12
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def matches(head: TraceHead) -> bool:
    """Whether the folder has the arrivals of at least one client."""
    return any(_TRACE.fullmatch(name) for name in head.files)


def checksum(file: TraceFile) -> str:
    """sha256 over names and contents of all files that are read."""
    digest = hashlib.sha256()
    for trace, dataset, _ in _chunks(file.path):
        for path in (trace, dataset):
            if path is not None:
                digest.update(f"{path.name}\0{TraceFile(path).checksum()}\n".encode())
    return digest.hexdigest()


def read(file: TraceFile, options: TraceOptions) -> Rows:
    """The first requests of the folder's clients together, or those of their first window with any."""
    options.refuse_arrivals("servegen")
    clients = [read_client(*chunk) for chunk in _chunks(file.path)]
    donors = [client for client in clients if client.lengths is not None and client.mean_rate_qps > 0]
    if not donors:
        raise WorkloadError(
            "no client of the folder has both requests and token counts",
            where=str(file.path),
            remedy="add the chunk-N-dataset.json of at least one client",
        )
    times_s, owners = _arrivals(clients, options)
    rows = Rows(notes=_notes(clients, donors, options))
    prompt, output = _token_counts(clients, donors, times_s, owners, options.seed)
    for row, time_s in enumerate(times_s.tolist()):
        rows.add(row, round(time_s * _PS_PER_S), int(prompt[row]), int(output[row]))
    return rows


def _chunks(folder: Path) -> list[tuple[Path, Path | None, int]]:
    """Arrivals, token counts (where published) and number of each client, in the order of the numbers."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise WorkloadError(
            f"cannot read the folder: {error.strerror}", where=str(folder), remedy="give a folder of chunk-N-trace.csv"
        ) from None
    found = []
    for name in names:
        match = _TRACE.fullmatch(name)
        if match:
            dataset = f"chunk-{match[1]}-dataset.json"
            found.append((folder / name, folder / dataset if dataset in names else None, int(match[1])))
    if not found:
        raise WorkloadError(
            "the folder has no chunk-N-trace.csv", where=str(folder), remedy="give a folder of a ServeGen workload"
        )
    return sorted(found, key=lambda chunk: chunk[2])


def _arrivals(clients: list[Client], options: TraceOptions) -> tuple[Float64, Int64]:
    """Arrival times in seconds, ascending, and the index of the client that each belongs to."""
    starts = sorted({start for client in clients for start in client.windows})
    times: list[Float64] = []
    owners: list[Int64] = []
    n_found = 0
    for start in starts:
        for index, client in enumerate(clients):
            window = client.windows.get(start)
            if window is not None and window.rate_qps > 0:
                rng = child_rng(options.seed, "trace", "servegen", client.number, start)
                times.append(start + window.arrivals_s(rng))
                owners.append(np.full(len(times[-1]), index, dtype=np.int64))
                n_found += len(times[-1])
        if n_found >= (options.n_requests or 1):
            break
    if not n_found:
        return np.empty(0), np.empty(0, dtype=np.int64)
    all_times, all_owners = np.concatenate(times), np.concatenate(owners)
    order = np.argsort(all_times, kind="stable")[: options.n_requests]
    return all_times[order], all_owners[order]


def _token_counts(
    clients: list[Client], donors: list[Client], times_s: Float64, owners: Int64, seed: int
) -> tuple[Int64, Int64]:
    """Prompt and output tokens of each request, at least 1 each."""
    prompt = np.ones(len(times_s), dtype=np.int64)
    output = np.ones(len(times_s), dtype=np.int64)
    share = np.cumsum([donor.mean_rate_qps for donor in donors])
    for index, client in enumerate(clients):
        own = np.flatnonzero(owners == index)
        quantiles = child_rng(seed, "trace", "servegen", client.number, "lengths").random((len(own), N_QUANTILES + 1))
        if client.lengths is not None:
            sources = [(client, np.arange(len(own)))]
        else:
            chosen = np.searchsorted(share, quantiles[:, -1] * share[-1], side="right")
            sources = [(donor, np.flatnonzero(chosen == number)) for number, donor in enumerate(donors)]
        for source, part in sources:
            assert source.lengths is not None
            windows = source.lengths.window_of(times_s[own[part]])
            for window in np.unique(windows):
                picked = part[windows == window]
                prompt[own[picked]], output[own[picked]] = source.lengths.sample(int(window), quantiles[picked])
    return np.clip(prompt, 1, MAX_TOKENS), np.clip(output, 1, MAX_TOKENS)


def _notes(clients: list[Client], donors: list[Client], options: TraceOptions) -> list[str]:
    notes = [f"requests are drawn from the distributions of {len(clients)} clients (seed {options.seed})"]
    n_without = sum(client.lengths is None for client in clients)
    if n_without:
        notes.append(
            f"{n_without} clients publish no token counts and draw from the {len(donors)} that do, by their mean rates"
        )
    if options.n_requests is None:
        notes.append("the first 10-minute window with any requests; --requests N takes as many as it says")
    return notes
