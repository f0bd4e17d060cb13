"""A Gaussian fitted to a sample of your own."""
