"""Organisation, timing rules as data, address maps and command programs of memories: no word of language models."""
