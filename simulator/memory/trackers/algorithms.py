"""The tracking algorithms: each its arrays, and the kernel that runs on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.kernels import count_min, exact_counts, h3, space_saving
from simulator.memory.trackers.config import TrackerConfig
from simulator.memory.trackers.key_space import KeySpace
from simulator.memory.trackers.picks import Algorithm, Picks, Reads

_KEY_BITS = 32
_WIDEST = (1 << 32) - 1


class CountMin:
    """Count-min sketch with a sorted memory of the K largest estimates.

    Not modelled: the pipeline's stages, in which a key may be hashed while an earlier read of it is not yet counted.
    Source: M5's register-transfer code.
    """

    def __init__(self, config: TrackerConfig) -> None:
        n_rows, n_columns = config.n_hashes, config.n_columns
        is_modulo = config.hash == "h3_modulo"
        mask = _WIDEST if is_modulo else n_columns - 1
        self._tables, self._packed = hash_tables(config.hash_seed, n_rows, mask)
        self._counters = np.zeros((n_rows, n_columns), np.uint32)
        self._cam_key, self._cam_count = np.zeros(config.k, np.uint32), np.zeros(config.k, np.int64)
        self._state = np.zeros(count_min.N_STATE, np.int64)
        overflow, largest = _overflow(config)
        rules = np.zeros(count_min.N_RULES, np.int64)
        rules[count_min.IS_PACKED] = (
            n_rows == h3.PACKED_ROWS
            and mask < 1 << h3.PACKED_BITS
            and config.update == "plain"
            and overflow != count_min.SATURATE
        )
        rules[count_min.IS_CONSERVATIVE] = config.update == "conservative"
        rules[count_min.OVERFLOW] = overflow
        rules[count_min.LARGEST] = largest
        rules[count_min.MODULUS] = n_columns if is_modulo else 0
        self._rules = rules

    def track(self, reads: Reads) -> Picks:
        """Count reads; estimates are the sketch's."""
        picks = Picks.none(len(reads.ends), len(self._cam_key))
        count_min.track_count_min(
            reads.key,
            reads.weight,
            reads.ends,
            self._rules,
            self._packed,
            self._tables,
            self._counters,
            self._cam_key,
            self._cam_count,
            self._state,
            picks.key,
            picks.estimate,
            picks.n,
        )
        return picks


def hash_tables(seed: int, n_rows: int, mask: int) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
    """The tables of H3 for each row, uint32[n_rows, 4, 256], and packed for four rows of 16 bits, uint64[4 x 256]."""
    constants = np.empty((n_rows, h3.KEY_BITS), np.uint32)
    h3.fill_constants(np.uint64(seed), constants)
    tables = np.empty((n_rows, h3.KEY_BYTES, 256), np.uint32)
    h3.fill_tables(constants, np.uint32(mask), tables)
    packed = np.zeros(h3.KEY_BYTES * 256, np.uint64)
    if n_rows == h3.PACKED_ROWS and mask < 1 << h3.PACKED_BITS:
        h3.fill_packed(tables, packed)
    return tables, packed


def _overflow(config: TrackerConfig) -> tuple[int, int]:
    """How counters overflow, and their largest value."""
    if config.counter_bits is None:
        return count_min.UNBOUNDED, _WIDEST
    largest = (1 << config.counter_bits) - 1
    return (count_min.WRAP if config.overflow == "wrap" else count_min.SATURATE), largest


def slot_bits(n_entries: int) -> int:
    """Bits of a slot's number in a table that stays at most a quarter full."""
    return max(4, (4 * n_entries - 1).bit_length())


class SpaceSaving:
    """Space-Saving with N entries.

    Not modelled: counters that are too narrow. Source: Metwally, Agrawal and El Abbadi, ICDT 2005.
    """

    def __init__(self, config: TrackerConfig) -> None:
        n_entries = config.n_counters
        bits = slot_bits(n_entries)
        self._k = config.k
        self._shift = np.uint32(_KEY_BITS - bits)
        self._entry_key, self._entry_count = np.zeros(n_entries + 1, np.uint32), np.zeros(n_entries + 1, np.int64)
        self._listed, self._slots = np.zeros(n_entries + 1, np.uint32), np.zeros(1 << bits, np.uint32)
        self._state = np.zeros(space_saving.N_STATE, np.int64)

    def track(self, reads: Reads) -> Picks:
        """Count reads; estimates are the entries' counts."""
        picks = Picks.none(len(reads.ends), self._k)
        space_saving.track_space_saving(
            reads.key,
            reads.weight,
            reads.ends,
            self._shift,
            self._entry_key,
            self._entry_count,
            self._listed,
            self._slots,
            self._state,
            picks.key,
            picks.estimate,
            picks.n,
        )
        return picks


class FirstTouch:
    """The first K keys after every query: what one sample by recency, such as hint faults, finds; estimates are 1."""

    def __init__(self, config: TrackerConfig) -> None:
        self._cam_key = np.zeros(config.k, np.uint32)
        self._state = np.zeros(1, np.int64)

    def track(self, reads: Reads) -> Picks:
        """Take the first keys."""
        picks = Picks.none(len(reads.ends), len(self._cam_key))
        exact_counts.first_reads(reads.key, reads.ends, self._cam_key, self._state, picks.key, picks.estimate, picks.n)
        return picks


class Exact:
    """A counter for every key: PAC for pages, WAC for words.

    Not modelled: a memory larger than the counters cover, which M5 measures in passes. Source: M5's register-transfer
    code and its host software.
    """

    def __init__(self, config: TrackerConfig) -> None:
        self._k = config.k
        self._n_bits = config.counter_bits or 0
        self._with_residues = config.read_residues
        self._waiting = np.zeros(exact_counts.INDICES_PER_LINE, np.uint32)
        self._state = np.zeros(exact_counts.N_STATE, np.int64)
        self._keys = KeySpace()
        self._small, self._table = np.zeros(0, np.uint32), np.zeros(0, np.int64)
        self._touched, self._reading = np.zeros(1, np.uint32), np.zeros(0, np.int64)

    @property
    def n_lines(self) -> int:
        """Lines of 16 overflowed counters' indices that were written to the host."""
        return int(self._state[exact_counts.N_LINES])

    def track(self, reads: Reads) -> Picks:
        """Count reads."""
        index = self._keys.indexes(reads.key)
        self._hold(self._keys.size)
        picks = Picks.none(len(reads.ends), self._k)
        exact_counts.track_exact(
            index,
            reads.weight,
            reads.ends,
            self._n_bits,
            self._with_residues,
            self._small,
            self._table,
            self._touched,
            self._waiting,
            self._state,
            self._reading,
            picks.key,
            picks.estimate,
            picks.n,
        )
        return Picks(self._keys.keys(picks.key), picks.estimate, picks.n)

    def _hold(self, n_keys: int) -> None:
        """Make room for keys below n_keys."""
        if n_keys <= len(self._small):
            return
        n_more = max(n_keys, 2 * len(self._small)) - len(self._small)
        self._small = np.concatenate([self._small, np.zeros(n_more, np.uint32)])
        self._table = np.concatenate([self._table, np.zeros(n_more, np.int64)])
        self._touched = np.concatenate([self._touched, np.zeros(n_more, np.uint32)])
        self._reading = np.zeros(len(self._small), np.int64)


ALGORITHMS: dict[str, Callable[[TrackerConfig], Algorithm]] = {
    "cm": CountMin,
    "ss": SpaceSaving,
    "first_touch": FirstTouch,
    "exact": Exact,
}
