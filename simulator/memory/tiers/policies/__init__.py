"""Migration policies, one a module, found by name: `simulator.memory.tiers.policy` is what each sees and may do."""
