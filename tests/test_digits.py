"""The digits: the data and the measures by hand, and what the four generators are known for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits

from divjax.plots import save
from divjax.studies.digits import models as digits_models
from divjax.studies.digits import plot
from divjax.studies.digits import study as digits
from divjax.studies.digits import table as in_words


def test_every_image_is_in_one_part_and_the_seed_draws_which():
    parts = digits.split(jnp.asarray(3))
    together = np.concatenate([parts.train, parts.real, parts.fresh])
    assert [len(part) for part in parts] == [997, 997, 400, 400]
    data = load_digits()
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(data.data, axis=0))
    known = {tuple(image): label for image, label in zip(data.data, data.target, strict=True)}
    assert [known[tuple(image)] for image in np.asarray(parts.train)] == parts.labels.tolist()
    assert not np.array_equal(parts.train, digits.split(jnp.asarray(4)).train)


def test_levels_survive_the_noise_below_them():
    images = jnp.asarray(load_digits().data[:50], jnp.float32)
    noisy = digits_models.dequantised(jax.random.key(0), images)
    assert noisy.min() >= 0.0
    assert noisy.max() < 1.0
    np.testing.assert_array_equal(digits_models.quantised(noisy), images)
    np.testing.assert_array_equal(digits_models.quantised(jnp.asarray([[-0.3, 1.2]])), [[0.0, 16.0]])


def test_sharpness_by_hand():
    board = np.indices((8, 8)).sum(0) % 2 * 16.0  # every inner pixel differs by 16 from all four neighbours
    assert float(digits.sharpness(jnp.asarray(board).reshape(1, 64))) == 64.0
    ramp = np.tile(np.arange(8.0), (8, 1))  # linear: no Laplacian
    assert float(digits.sharpness(jnp.asarray(ramp).reshape(1, 64))) == 0.0
    x = load_digits().data
    blurred = (x.reshape(-1, 8, 8) + np.roll(x.reshape(-1, 8, 8), 1, axis=2)) / 2.0
    assert digits.sharpness(jnp.asarray(blurred)) < 0.8 * digits.sharpness(jnp.asarray(x))


def test_unknown_models_are_refused():
    with pytest.raises(ValueError, match=r"Expected models out of fresh, vae, .*; got 'diffusion'"):
        digits.run(1, ["gan", "diffusion"])
    with pytest.raises(ValueError, match="got none"):
        digits.run(1, [])


@pytest.mark.slow
@pytest.mark.exhaustive
def test_what_each_is_known_for(tmp_path):
    """Short training, three splits: enough to tell them apart, each by five standard errors."""
    names = ["fresh", "flow", "vae_means", "gan"]
    table = digits.run(3, names, steps=1000, store=tmp_path / "digits.zarr").load()
    assert table["images"].shape == (4, 3, 400, 64)
    assert set(np.unique(table["status"])) == {0}

    def beyond(measure, better, worse):
        gap = table[measure].sel(model=better).values - table[measure].sel(model=worse).values
        return gap.mean() / (gap.std(ddof=1) / 3**0.5 + 1e-9)

    assert beyond("sharpness", "fresh", "vae_means") > 5.0  # the means of a VAE are blurred,
    assert beyond("recall", "flow", "vae_means") > 5.0  # and alike
    assert beyond("recall", "flow", "gan") > 5.0  # the game forgets what likelihood does not
    path = table["log_likelihood"].sel(model="flow").values
    assert (path[:, -1] > path[:, 0] + 5.0).all()
    assert np.isnan(table["log_likelihood"].sel(model="gan")).all()
    fresh = table.sel(model="fresh")
    assert abs(float(fresh["unrealistic"].mean()) - 0.01) < 4.0 * (0.01 / 400) ** 0.5
    expected = 1.0 - np.prod([(399 - k) / (799 - k) for k in range(5)])  # of equal distributions
    assert abs(float(fresh["coverage"].mean()) - expected) < 0.02
    assert "nats/image" in in_words.digits(table)
    save(plot.generated_digits(table), tmp_path / "digits.png")
    assert (tmp_path / "digits.png").stat().st_size > 20_000
