"""The remedy for an under-specified model: enough components to be the target."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

from divjax import status
from divjax.studies.remedy import plot
from divjax.studies.remedy import study as remedy
from divjax.studies.remedy import table as in_words
from divjax.training import em, fit, newton
from divjax.training.iteration import run

POST = {"separation": jnp.asarray(16.0), "seed": jnp.asarray(0)}
GOOD = {"logits": jnp.asarray([0.5, 0.0]), "locs": jnp.asarray([1.0, 14.0]), "log_scales": jnp.asarray([0.5, -0.5])}


def test_two_components_are_the_posts_target():
    result = jax.jit(lambda case: run(fit(remedy.to_target, GOOD, newton(), tol=1e-6), case))(POST)
    assert int(result.status) == status.OK
    assert 0.0 <= float(result.value) < 1e-10
    np.testing.assert_allclose(result.params["locs"], [0.0, 16.0], atol=1e-4)
    np.testing.assert_allclose(result.params["log_scales"], 0.0, atol=1e-4)
    np.testing.assert_allclose(jax.nn.softmax(result.params["logits"]), 0.5, atol=1e-4)


def test_em_is_off_by_what_its_sample_leaves_open():
    """2 n KL is χ² with 5 degrees of freedom where maximum likelihood is near the target: its mean over 200 samples."""

    @jax.jit
    @jax.vmap
    def value(seed):
        case = POST | {"seed": seed}
        return remedy.to_target(run(em(GOOD, floor=1e-6, data=remedy.sample), case).params, case)

    chi2 = 2.0 * remedy.SAMPLE * value(jnp.arange(200))
    assert abs(chi2.mean() - 5.0) < 4.0 * np.sqrt(10.0 / 200)
    assert chi2.max() < 2.0 * remedy.SAMPLE * remedy.limit(2, "em") < 30.0


@pytest.mark.parametrize(
    ("logits", "locs", "log_scales", "value", "expected"),
    [
        ((0.0, 0.0), (0.0, 8.0), (0.0, 0.0), 1e-5, "recovered"),
        ((0.0, 0.0), (0.0, 4.0), (0.0, 1.4), 0.3, "merged"),
        ((0.0, -9.0), (0.0, 4.0), (0.0, 1.4), 3.0, "one_mode"),
        ((0.0, 0.0), (7.9, 8.1), (0.0, 0.1), 3.0, "one_mode"),
        ((0.0, 3.0), (0.0, 8.0), (0.0, 0.0), 0.2, "other"),
    ],
)
def test_labels(logits, locs, log_scales, value, expected):
    params = {"logits": jnp.asarray(logits), "locs": jnp.asarray(locs), "log_scales": jnp.asarray(log_scales)}
    found = remedy.label(jnp.asarray(value), params, {"separation": jnp.asarray(8.0)}, below=1e-3)
    assert remedy.LABELS[int(found)] == expected


@pytest.mark.slow
def test_one_component_never_and_two_nearly_always(tmp_path):
    store = tmp_path / "remedy.zarr"
    table = remedy.run_sweep([4.0, 16.0], 16, components=(1, 2), optimizers=("em", "newton"), store=store)
    xarray.testing.assert_identical(remedy.by_fit(xarray.open_zarr(store).load()), table)
    assert table["value"].dims == ("optimizer", "components", "separation", "seed")
    found = remedy.shares(table)
    np.testing.assert_allclose(found.sum("label"), 1.0)
    np.testing.assert_array_equal(found.sel(label="merged", components=1), 1.0)
    assert float(found.sel(label="recovered", components=2).min()) > 0.8
    exact = table.sel(optimizer="newton", components=2)
    assert float(exact["value"].where(exact["label"] == remedy.RECOVERED).max()) < 1e-6
    assert np.isnan(table["locs"].sel(components=1)[..., 1:]).all()
    said = in_words.remedy(table)
    assert [line.split()[:4] for line in said.splitlines()[4:8:2]] == [["em", "1", "0", "%"], ["newton", "1", "0", "%"]]
    assert said.splitlines()[4].endswith("merged")
    heights = [bar.get_height() for bar in plot.recovered(table).axes[0].patches]
    assert [height for height in heights if height] == [100.0, 100.0]  # one component: merged at both separations


@pytest.mark.parametrize("arguments", [("sgd", 2), ("em", 0), ("em", 4)])
def test_other_optimisers_and_numbers_are_refused(arguments):
    with pytest.raises(ValueError, match=r"Expected one of .*; got"):
        remedy.iteration(*arguments)
