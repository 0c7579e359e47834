"""What the layers hand each other: tasks, spans, step results, run records and the System protocol."""
