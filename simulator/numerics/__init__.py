"""Number formats and approximate attention on real tensors, and the transformer that they are tried on."""
