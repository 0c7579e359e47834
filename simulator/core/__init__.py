"""Units, errors, YAML with positions, registry, seeds and the energy ledger: no word of the domain."""
