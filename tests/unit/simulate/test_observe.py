import numpy as np
import pytest

from latentspike.simulate.observe import poisson_counts, random_streams, whole_steps


def test_streams_are_independent_of_how_much_another_draws():
    first, second = random_streams(0, "a", "b"), random_streams(0, "a", "b")
    first["a"].standard_normal(1000)
    assert first["b"].standard_normal() == second["b"].standard_normal()
    assert first["a"].standard_normal() != second["b"].standard_normal()


def test_poisson_counts_cover_all_chunks_of_trials():
    rates = np.full((600, 2, 3), 100.0)
    counts = poisson_counts(rates, 0.1, np.random.default_rng(0))
    assert counts.mean(axis=(1, 2)).min() > 0
    assert counts.mean() == pytest.approx(10.0, rel=0.05)


def test_an_absurd_rate_is_an_error():
    with pytest.raises(ValueError, match="firing rate"):
        poisson_counts(np.full((1, 1, 1), 1e9), 0.01, np.random.default_rng(0))


def test_whole_steps_counts_or_raises():
    assert whole_steps("x", 1.0, 0.01) == 100
    with pytest.raises(ValueError, match="positive"):
        whole_steps("x", 0.0, 0.01)
