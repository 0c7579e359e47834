"""Who writes down what a running model does: attention hits and statistics of activations."""
