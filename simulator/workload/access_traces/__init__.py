"""Readers of memory-access traces: a module per format, found by its name; `matches` recognises it, `read` reads it."""
