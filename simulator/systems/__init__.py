"""One file per system: which devices, how operators map onto them, what waits for what. `kind: NAME` finds NAME.py."""
