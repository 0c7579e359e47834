"""Trackers in a memory controller that find hot pages and hot words: M5's HPT and HWT, and exact counters."""
