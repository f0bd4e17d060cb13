"""Differentiable divergences in JAX. Discretise once, measure with any of them."""

import lazy_loader

# The names and where they live are in __init__.pyi; each is imported when it is first asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
