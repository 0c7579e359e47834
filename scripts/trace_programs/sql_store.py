"""Write a key-value store and the queries asked of it: `python scripts/trace_programs/sql_store.py FOLDER`.

`store.db` is an SQLite database of 90,000 rows (a whole number as key, a counter, 160 bytes of text); `queries.sql`
maps it into memory and asks batches of keys, drawn by Zipf's law, to be looked up (two batches in three) or to have
their counter raised. What is written is the same every time.
"""

from __future__ import annotations

import bisect
import itertools
import random
import sqlite3
import sys
from pathlib import Path

N_ROWS = 90_000
VALUE_BYTES = 160
ZIPF = 1.1
N_BATCHES = 160
KEYS_PER_BATCH = 150
UPDATES_EVERY = 3
SEED = 20240107


def asked_keys(rng: random.Random) -> list[int]:
    """The keys that are asked for, by Zipf's law; which are popular has nothing to do with where their rows stand."""
    keys = list(range(N_ROWS))
    rng.shuffle(keys)
    cumulative = list(itertools.accumulate((rank + 1) ** -ZIPF for rank in range(N_ROWS)))
    n_asked = N_BATCHES * KEYS_PER_BATCH
    return [keys[bisect.bisect_left(cumulative, rng.random() * cumulative[-1])] for _ in range(n_asked)]


def batches() -> list[str]:
    """The statements: every third batch raises counters, the others look values up."""
    statements = []
    for number in range(N_BATCHES):
        asked = f"asked.number BETWEEN {number * KEYS_PER_BATCH} AND {(number + 1) * KEYS_PER_BATCH - 1}"
        if number % UPDATES_EVERY == UPDATES_EVERY - 1:
            found = f"SELECT key FROM asked WHERE {asked}"
            statements.append(f"UPDATE store SET n_raised = n_raised + 1 WHERE key IN ({found});")
        else:
            found = f"FROM asked CROSS JOIN store ON store.key = asked.key WHERE {asked}"
            statements.append(f"SELECT sum(unicode(value)), max(n_raised) {found};")
    return statements


def main(folder: Path) -> None:
    """Write the database and the queries."""
    rng = random.Random(SEED)
    path = folder / "store.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE store (key INTEGER PRIMARY KEY, n_raised INTEGER, value TEXT)")
        rows = ((key, 0, "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=VALUE_BYTES))) for key in range(N_ROWS))
        database.executemany("INSERT INTO store VALUES (?, ?, ?)", rows)
        database.execute("CREATE TABLE asked (number INTEGER PRIMARY KEY, key INTEGER)")
        database.executemany("INSERT INTO asked VALUES (?, ?)", enumerate(asked_keys(rng)))
    database.close()
    head = ["PRAGMA mmap_size = 268435456;", "PRAGMA cache_size = -65536;", "PRAGMA journal_mode = OFF;", "BEGIN;"]
    (folder / "queries.sql").write_text("\n".join([*head, *batches(), "COMMIT;"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
