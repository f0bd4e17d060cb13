"""The scripts in ``benchmarks/`` that measure by parts of the library that are no public API."""

import sys
from pathlib import Path

import numpy as np
import pytest

import divjax as dj
from tests.sweeps import toy_iterations as toys

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import common
import sweep


def test_the_sweep_benchmark_fills_a_table_with_compiled_programs():
    cases = dj.sweeps.product(a=np.array([4.0, 9.0], np.float32), seed=np.arange(3, dtype=np.int32))
    _, fill = sweep.engine_run({"newton": toys.newton()}, cases)
    for _ in range(2):
        roots = fill()["params.root"].sel(divergence="newton").values
        np.testing.assert_allclose(roots, [[2.0] * 3, [3.0] * 3], rtol=1e-5)


@pytest.mark.parametrize("asked", [False, True])
def test_results_are_kept_only_when_asked_for(asked, tmp_path):
    before = sorted((Path(common.__file__).parent / "results").iterdir())
    common.save("nothing", [], {}, tmp_path / "kept" if asked else None)
    assert len(list(tmp_path.glob("kept/*.json"))) == asked
    assert sorted((Path(common.__file__).parent / "results").iterdir()) == before
