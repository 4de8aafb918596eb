"""One module per op family, each with cases(): the shapes of real networks."""
