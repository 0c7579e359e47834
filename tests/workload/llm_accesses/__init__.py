"""Page accesses of language models' runs."""
