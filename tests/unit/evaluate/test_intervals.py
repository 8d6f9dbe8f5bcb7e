import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from latentspike.evaluate.intervals import proportion


@given(n=st.integers(1, 300), share=st.floats(0, 1), confidence=st.sampled_from([0.68, 0.9, 0.95]))
def test_the_interval_is_wilsons_formula(n, share, confidence):
    k = round(share * n)
    z, p = norm.ppf(0.5 + confidence / 2), k / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = proportion(k, n, confidence=confidence)
    assert found.value == p == float(found)
    assert found.low == pytest.approx(middle - half, abs=1e-12)
    assert found.high == pytest.approx(middle + half, abs=1e-12)


@pytest.mark.parametrize("truth", [0.02, 0.3, 0.9])
def test_the_interval_covers_about_as_often_as_it_says(truth):
    covers = [proportion(k, 100).low <= truth <= proportion(k, 100).high for k in range(101)]
    assert 0.92 < binom.pmf(np.arange(101), 100, truth)[covers].sum() < 0.98


def test_without_trials_nothing_is_known():
    nothing = proportion(0, 0)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0, 1)


@pytest.mark.parametrize(
    ("k", "n", "confidence", "message"),
    [(3, 2, 0.95, "got 3"), (-1, 2, 0.95, "got -1"), (0.5, 2, 0.9, "0.5"), (1, 2, 95, "got 95")],
)
def test_impossible_proportions_are_refused(k, n, confidence, message):
    with pytest.raises(ValueError, match=message):
        proportion(k, n, confidence=confidence)
