"""Values against 20-digit references, in both precisions."""

import oracle
import pytest

NAMES = list(oracle.ON_NODES)


@pytest.mark.parametrize(
    ("name", "x64"),
    [
        pytest.param(name, x64, id=f"{name}-{dtype}", marks=pytest.mark.slow if (name, x64) == ("kl", False) else ())
        for x64, dtype in ((True, "float64"), (False, "float32"))
        for name in NAMES
    ],
)
def test_nodes(name, x64):
    found = oracle.check(name, *oracle.ON_NODES[name], x64=x64, only=None if x64 else oracle.QUICK_FLOAT32)
    assert len(found) >= 2


@pytest.mark.parametrize(
    "x64", [pytest.param(True, id="float64"), pytest.param(False, marks=pytest.mark.slow, id="float32")]
)
@pytest.mark.parametrize("name", [*oracle.ON_CDFS, *oracle.ON_COUPLING])
def test_line(name, x64):
    table = oracle.ON_CDFS | oracle.ON_COUPLING
    oracle.check(name, *table[name], x64=x64, only=oracle.QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("tfp_only", [True, False], ids=["tfp", "distrax"])
@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
@pytest.mark.parametrize(
    "table", [oracle.ON_NODES, oracle.ON_CDFS, oracle.ON_COUPLING], ids=["nodes", "cdfs", "coupling"]
)
def test_all_pairs_in_both_libraries(table, x64, tfp_only):
    for name, (divergence, params) in table.items():
        oracle.check(name, divergence, params, x64=x64, tfp_only=tfp_only)
