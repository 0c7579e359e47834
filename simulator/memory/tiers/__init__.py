"""Two memory tiers, DDR and CXL: latency under load, placement of pages, migration, and the policies that decide it."""
