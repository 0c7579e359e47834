"""Page accesses of a language model's run: weights, experts and a paged key-value cache laid out in one memory."""
