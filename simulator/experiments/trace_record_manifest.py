"""The manifest of a recorded model: what it was made from, and what every member and column of its files means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from simulator.report.provenance import provenance

MEANINGS: Mapping[str, Mapping[str, str]] = {
    "attention_hits.npz": {
        "positions": "int32[layers, KV heads, steps, k]: positions of most probability, summed over the query heads of "
        "a KV head, the heaviest first; -1 where there are no more. Steps of the first window, then of the next",
        "context": "int32[steps]: positions that there were; the newest token is position context - 1",
        "window": "int32[steps]: which window the step is of, counted from the first recorded one",
        "mass": "float32[layers, KV heads, steps]: share of the probability that the positions hold, mean over the KV "
        "head's query heads",
        "recent_mass": "float32[layers, query heads, steps]: share of the probability in the newest 64 tokens",
        "effective_tokens": "float32[layers, query heads, steps]: exp of the entropy in nats",
        "top_mass": "float32[layers, query heads, steps, sizes]: share in the query head's own heaviest positions",
        "top_sizes": "int32[sizes]: how many positions `top_mass` is of",
    },
    "kv_accesses.npz": {
        "all members": "accesses of decode steps to a paged KV cache, one region a layer, one request a step; "
        "docs/traces.md tells the members. In each step the windows are the sequences of a batch; a layer writes their "
        "new keys and values, then reads those that it attends to",
    },
    "attention.csv": {
        "effective_tokens": "exp of the entropy, mean over query heads and steps",
        "mass_of_last_64": "share of the probability in the newest 64 tokens, likewise",
        "mass_of_top_64, mass_of_top_256": "share in a query head's own heaviest positions, likewise",
        "mass_of_recorded": "share in the recorded positions, which the query heads of a KV head have in common",
        "repeated_frac": "share of a step's recorded positions that were among those of the step before",
    },
    "activations.csv": {
        "layer, site": "inputs of the matrices of query, key and value (qkv), of output (o), of gate and up (u), of "
        "down (d), before any number format, all tokens of all windows",
        "n_values, mean, rms, absmax": "of all values",
        "beyond_6_sigma_frac": "share of values more than 6 standard deviations from the mean of their window",
        "channel_ratio": "largest |value| of the most extreme channel over that of the median channel",
        "zero_frac": "share of values that are 0 in fp16",
        "gap_1_frac to gap_16_frac": "of the others, in groups of 64 channels: share whose exponent is m or more below "
        "that of the group's largest value, of which a shared exponent and m bits leave nothing (Anda, M = m)",
    },
}


def recording_manifest(
    command: Sequence[str], about: Mapping[str, Any], made_from: Mapping[str, str], written: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest's object: `about` what was recorded, SHA-256 of the files it was made from by path, and of those
    written by name."""
    origin = provenance()
    return {
        "command": list(command),
        "written_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": origin.git_commit,
        "git_dirty": origin.git_dirty,
        "source_hash": origin.source_hash,
        "versions": origin.versions,
        "host": origin.host,
        **about,
        "checksums": dict(made_from),
        "files": {name: {"sha256": checksum, "holds": MEANINGS[name]} for name, checksum in written.items()},
    }
