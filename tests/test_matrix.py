"""The matrix of libraries and divergences, ``benchmarks/matrix.py``: one class of each, and what its cells say."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import matrix
import matrix_truth

NORMAL = {"efax": "NormalDP", "scipy": "norm"}


@pytest.mark.usefixtures("x64")
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize("library", matrix.LIBRARIES)
def test_a_class_of_every_adapter_has_the_value_of_an_independent_integration(library):
    try:
        entry = matrix.entries(library)[NORMAL.get(library, "Normal")]
    except (KeyError, AttributeError):
        pytest.skip("not installed")
    sides = [entry.build(*map(jnp.asarray, side)) for side in entry.params]
    laws = [matrix.law_of(entry, side, matrix.resolve(side)) for side in sides]
    wanted = matrix_truth.truth(*laws)
    for name in ("kl", "jensen_shannon"):
        assert float(getattr(dj, name)(*sides)) == pytest.approx(wanted[name], rel=1e-9)


@pytest.mark.usefixtures("x64")
def test_a_cell_that_is_wrong_has_no_tick():
    entry = matrix.entries("distrax")["Normal"]
    wanted = 0.00453235997436
    assert matrix.cell(entry, "kl", wanted) == matrix.TICK
    assert matrix.cell(entry, "kl", 1.0 + wanted).startswith("value")


def test_the_integration_knows_closed_forms():
    """Exponential laws of rates 2 and 3."""
    import scipy.stats as st

    p, q = (
        matrix_truth.Law(st.expon(scale=1.0 / rate).logpdf, (), False, (0.0, np.inf), (0.0,), 0.5, 0.5, None)  # noqa: FBT003
        for rate in (2.0, 3.0)
    )
    found = matrix_truth.truth(p, q)
    assert found["kl"] == pytest.approx(np.log(2.0 / 3.0) + 0.5, rel=1e-12)
    assert found["wasserstein"] == pytest.approx(1.0 / 6.0, rel=1e-12)
    assert found["energy"] == pytest.approx(2.0 * (0.25 - 0.4 + 1.0 / 6.0), rel=1e-12)
    assert found["unrealistic_rate"] == pytest.approx(0.01**1.5, rel=1e-9)


def test_the_integration_knows_a_region_whose_ends_lie_between_panels():
    import scipy.stats as st

    laws = st.t(2.5, 0.3, 1.4), st.t(2.37, 0.22, 1.33)
    p, q = (
        matrix_truth.Law(law.logpdf, (), False, (-np.inf, np.inf), (), law.mean(), 1.4, None)  # noqa: FBT003
        for law in laws
    )
    end = laws[0].isf(0.005)
    outside = laws[1].sf(end) + laws[1].cdf(0.6 - end)
    assert matrix_truth.truth(p, q)["unrealistic_rate"] == pytest.approx(outside, rel=1e-10)


def test_the_page_has_a_row_for_every_class():
    text = matrix.page({"numpyro/Gamma": dict.fromkeys(matrix.COLUMNS, matrix.TICK), "scipy/norm": dict.fromkeys(
        matrix.COLUMNS, "– vector")})  # fmt: skip
    assert "2 classes: 7 ticks, 7 that do not apply, 0 that fail." in text
    assert f"1. {matrix.REASONS['vector']}" in text
