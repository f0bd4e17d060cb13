"""What a sweep says of itself at the end."""

import jax.numpy as jnp
import numpy as np
import pytest

from divjax.sweeps import product, summary, sweep
from divjax.training.iteration import Iteration


def counted(**options):
    """x + 1 once; NaN where x is 2. The status is x modulo 2."""
    return Iteration(
        lambda case: (case["x"], jnp.int32(0)),
        lambda state, case: (jnp.where(case["x"] == 2, jnp.nan, state[0] + 1), state[1] + 1),
        lambda state: state[1] >= 1,
        lambda state, case: {"x_end": state[0], "status": case["x"].astype(jnp.int32) % 2},
        **options,
    )


@pytest.mark.filterwarnings("ignore:No iteration reads 'seed'")
def test_statuses_are_counted_and_the_cases_to_look_at_listed():
    cases = product(x=np.arange(4.0, dtype=np.float32), seed=range(3))
    ends = summary(sweep({"judged": counted(), "trusted": counted(healthy=None)}, cases))
    assert ends["judged"].statuses == ends["trusted"].statuses == {0: 6, 1: 6}
    assert (ends["judged"].quarantined, ends["trusted"].quarantined) == (3, 0)
    assert [case["x"] for case in ends["judged"].cases] == [1.0] * 3 + [2.0] * 3 + [3.0] * 3
    assert ends["trusted"].cases[0] == {"divergence": "trusted", "x": 1.0, "seed": 0}


def test_without_a_status_the_quarantined_are_listed():
    plain = counted()._replace(result=lambda state, case: state[0])
    end = summary(sweep({"plain": plain}, product(x=np.arange(4.0, dtype=np.float32))))["plain"]
    assert (end.statuses, end.quarantined) == ({}, 1)
    assert [case["x"] for case in end.cases] == [2.0]


def test_suspicion_and_length_are_the_callers():
    table = sweep({"t": counted(healthy=None)}, product(x=np.arange(40.0, dtype=np.float32)))
    assert summary(table, suspect=lambda status: status == 2)["t"].cases == []
    assert len(summary(table, most=5)["t"].cases) == 5
