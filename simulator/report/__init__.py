"""Records to tables, files and the run directory."""
