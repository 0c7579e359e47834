"""DRAM standards as data, address maps, controllers and what they cost."""
