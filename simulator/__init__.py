"""Simulator of memory-centric hardware for large language models."""

__version__ = "0.1.0"
