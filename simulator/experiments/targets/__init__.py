"""What papers and reference simulators report, as data: read by validation and figures only."""
