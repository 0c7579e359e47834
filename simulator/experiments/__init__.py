"""What a person asks for: run, replay, validate, check, list."""
