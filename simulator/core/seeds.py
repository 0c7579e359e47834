"""Random streams by name: each consumer draws from its own, so adding one changes no other."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from simulator.core.errors import ConfigError


def child_rng(seed: int, *names: str | int) -> np.random.Generator:
    """A generator that depends on the run's seed and the consumer's own names, such as "trace", "jitter", only.

    Raises ConfigError for a negative seed.
    """
    if isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"{seed} is no seed", where="run.seed", remedy="give a whole number from 0")
    digest = hashlib.sha256(json.dumps([int(seed), *names]).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))
