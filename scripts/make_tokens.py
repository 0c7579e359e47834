"""Token ids of text files: python scripts/make_tokens.py TOKENIZER.json OUT.npy FILE...

Documents follow each other in the order given, with token 0 before each. Needs the package `tokenizers`, which the
simulator itself does not. `workloads/tokens/own_source.npy` was made so (its README says from what).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SEPARATOR = 0
MOST = 1 << 16


def main(arguments: list[str]) -> int:
    """Write the ids of all files as uint16 or uint32."""
    if len(arguments) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(arguments[0])
    ids: list[int] = []
    for name in arguments[2:]:
        ids += [SEPARATOR, *tokenizer.encode(Path(name).read_text("utf-8")).ids]
    np.save(arguments[1], np.array(ids, np.uint16 if tokenizer.get_vocab_size() <= MOST else np.uint32))
    print(f"{len(ids):,} tokens of {len(arguments) - 2} documents")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
