"""Published GPU measurements as rows that a GPU model can predict: one reader per data set, found by its name."""
