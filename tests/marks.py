"""Which cases of a parametrised test are slow: ``parametrize("name", cases(NAMES, slow=["chernoff"]))``."""

import pytest


def cases(values, *, slow=(), exhaustive=()):
    """The values in their order, each with its marks; a tuple is one value for each argument.

    What is exhaustive is slow without being named as such.
    """

    def marks(value):
        if value in exhaustive:
            return pytest.mark.slow, pytest.mark.exhaustive
        return (pytest.mark.slow,) if value in slow else ()

    return [pytest.param(*(v if isinstance(v, tuple) else (v,)), marks=marks(v)) for v in values]
