"""Blocks that take work and give time, energy and traffic."""
