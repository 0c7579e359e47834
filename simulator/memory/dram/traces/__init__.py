"""Memory traces in text: addresses, vectors of coordinates, and CSV, plain or compressed."""
