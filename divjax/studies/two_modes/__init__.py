"""A Gaussian fitted to two modes under every divergence: the blog post at scale."""
