"""Figures of papers, one module each: `cent_13a` holds the figure `cent-13a` as `FIGURE`.

To add one, write a module here with its panels, runs and `measure`, and what the paper printed in a file of targets.
"""
