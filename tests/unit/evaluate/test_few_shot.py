import numpy as np
import pytest

from latentspike.evaluate import few_shot_co_smoothing
from latentspike.simulate import linear_factors

DATA = linear_factors(
    n_conditions=10, n_trials_per_condition=4, n_neurons=12, mean_rate=30, modulation=1.0, seed=0
).replace(heldout=np.arange(12) >= 9)
FACTORS = DATA.truth["factors"]


def test_few_shots_of_the_true_factors_predict_new_neurons():
    score = few_shot_co_smoothing(FACTORS, DATA, n_shots=8, n_repeats=3, seed=0)
    shuffled = FACTORS[np.random.default_rng(0).permutation(len(FACTORS))]
    assert score.mean > 0.2
    assert few_shot_co_smoothing(shuffled, DATA, n_shots=8, n_repeats=3, seed=0).mean < 0.05
    assert score.mean == pytest.approx(score.per_repeat.mean()) == pytest.approx(float(score))


def test_useless_dynamics_cost_most_when_shots_are_few():
    rng = np.random.default_rng(0)
    burdened = np.concatenate([FACTORS, rng.normal(size=(*FACTORS.shape[:2], 40))], axis=2)

    def loss(n_shots):
        pure, mixed = (
            few_shot_co_smoothing(f, DATA, n_shots=n_shots, n_repeats=3, seed=1).mean
            for f in (FACTORS, burdened)
        )
        return pure - mixed

    assert loss(2) > 2 * loss(20) > 0


def test_few_shot_draws_depend_on_the_seed_only():
    settings = {"n_shots": 3, "n_repeats": 2}
    first, again = (few_shot_co_smoothing(FACTORS, DATA, **settings, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.per_repeat, again.per_repeat)
    other = few_shot_co_smoothing(FACTORS, DATA, **settings, seed=6)
    assert not np.array_equal(first.per_repeat, other.per_repeat)


@pytest.mark.parametrize(
    ("factors", "data", "n_shots", "message"),
    [
        (FACTORS, DATA, 40, "n_shots"),
        (FACTORS, DATA, 0, "n_shots"),
        (FACTORS[:, :5], DATA, 4, "shape"),
        (FACTORS * np.nan, DATA, 4, "finite"),
        (FACTORS, DATA.replace(heldout=None), 4, "held-out"),
    ],
)
def test_bad_few_shot_input_is_an_error(factors, data, n_shots, message):
    with pytest.raises(ValueError, match=message):
        few_shot_co_smoothing(factors, data, n_shots=n_shots, seed=0)
