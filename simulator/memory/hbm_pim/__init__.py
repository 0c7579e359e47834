"""Programs of processing units in an HBM stack: products, moves and barriers, and how long a channel takes for them."""
