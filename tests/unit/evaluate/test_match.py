import dataclasses

import numpy as np
import pytest

from latentspike import Posterior, SpikeData
from latentspike.evaluate.match import check_match

DATA = SpikeData(np.ones((4, 5, 3), int), bin_width=0.01)
GOOD = Posterior(np.ones((4, 5, 3)), 0.01, DATA.trial_ids, DATA.neuron_ids)


def test_a_posterior_of_the_same_trials_passes():
    check_match(DATA, GOOD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": np.ones((4, 6, 3))}, "shape"),
        ({"bin_width": 0.02}, "bin widths"),
        ({"trial_ids": np.array([0, 2, 1, 3])}, "trial 1 is"),
        ({"neuron_ids": np.array(["a", "b", "c"])}, "neuron 0 is"),
        ({"rates": np.ones((3, 5, 3)), "trial_ids": np.arange(3)}, "shape"),
    ],
)
def test_a_posterior_of_other_data_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        check_match(DATA, dataclasses.replace(GOOD, **change))


def test_a_diverged_posterior_is_located():
    rates = np.ones((4, 5, 3))
    rates[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="trial 1, bin 2, neuron 0"):
        check_match(DATA, dataclasses.replace(GOOD, rates=rates))
