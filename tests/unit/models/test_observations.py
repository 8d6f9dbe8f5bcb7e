import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from latentspike.models.observations import (
    constant,
    expected,
    masked_sums,
    negative_log_likelihood,
)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def test_poisson_is_scipys_up_to_counts_whose_factorial_overflows():
    counts = np.array([0, 1, 2, 17, 300], np.uint16)
    predictor = np.log([0.01, 1.0, 3.0, 20.0, 250.0])
    ours = negative_log_likelihood(predictor, counts, "poisson") + constant(counts, "poisson")
    np.testing.assert_allclose(ours, -stats.poisson.logpmf(counts, np.exp(predictor)), rtol=1e-12)
    np.testing.assert_allclose(expected(predictor, "poisson"), np.exp(predictor))


def test_gaussian_is_scipys():
    values, mean = np.array([-1.0, 0.5]), np.array([0.2, 3.0])
    ours = negative_log_likelihood(mean, values, "gaussian") + constant(values, "gaussian")
    np.testing.assert_allclose(ours, -stats.norm.logpdf(values, mean), rtol=1e-12)
    np.testing.assert_array_equal(expected(mean, "gaussian"), mean)


@pytest.mark.parametrize("with_observed", [False, True])
@pytest.mark.parametrize("with_graded", [False, True])
def test_masked_sums_by_hand(with_observed, with_graded):
    rng = np.random.default_rng(0)
    loss = rng.normal(size=(4, 3, 5))
    everywhere = np.ones(loss.shape, bool)
    observed = rng.random(loss.shape) < 0.7 if with_observed else None
    graded = rng.random(loss.shape) < 0.5 if with_graded else None
    seen = everywhere if observed is None else observed
    passing = seen & (everywhere if graded is None else graded)
    total, of_graded = masked_sums(jnp.asarray(loss), observed, graded)
    np.testing.assert_allclose(total, np.sum(loss, axis=(0, 2), where=seen))
    np.testing.assert_allclose(of_graded, np.sum(loss, axis=(0, 2), where=passing))
    for which, expected_pull in ((0, passing), (1, np.zeros(loss.shape))):
        pull = jax.grad(lambda v: masked_sums(v, observed, graded)[which].sum())(loss)  # noqa: B023
        np.testing.assert_array_equal(pull, expected_pull)


def test_an_infinite_loss_at_a_missing_entry_spoils_nothing():
    loss = jnp.array([[[1.0, jnp.inf]]])
    observed = np.array([[[True, False]]])
    total, _ = masked_sums(loss, observed, None)
    np.testing.assert_array_equal(total, [1.0])
