import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike.spikes import Chopping, SpikeData, chop

SETTINGS = settings(deadline=None, max_examples=150, derandomize=True)


@st.composite
def choppings(draw):
    window = draw(st.integers(1, 20))
    overlap = draw(st.integers(0, window - 1))
    n_bins = draw(st.integers(window, 70))
    return Chopping(draw(st.integers(1, 3)), n_bins, window, overlap)


@SETTINGS
@given(
    choppings(), st.floats(allow_nan=False, allow_infinity=False, min_value=-1e150, max_value=1e150)
)
def test_constants_come_back_exactly(chopping, constant):
    values = np.full((chopping.n_windows, chopping.n_window_bins, 2), constant)
    merged = chopping.merge(values)
    assert merged.shape == (chopping.n_trials, chopping.n_bins, 2)
    assert (merged == constant).all()


@SETTINGS
@given(choppings(), st.integers(0, 2**32 - 1))
def test_constants_of_each_neuron_come_back_exactly_in_single_precision(chopping, seed):
    rates = np.random.default_rng(seed).lognormal(3, 2, 4).astype(np.float32)
    values = np.broadcast_to(rates, (chopping.n_windows, chopping.n_window_bins, 4))
    merged = chopping.merge(values)
    assert merged.dtype == np.float32 and (merged == rates).all()


@SETTINGS
@given(choppings(), st.integers(0, 2**32 - 1))
def test_chopped_data_come_back(chopping, seed):
    rng = np.random.default_rng(seed)
    shape = (chopping.n_trials, chopping.n_bins, 3)
    truth = rng.normal(size=shape)
    data = SpikeData(rng.poisson(2.0, shape), 0.01, truth={"factors": truth})
    windows, same = chop(
        data, n_window_bins=chopping.n_window_bins, n_overlap_bins=chopping.n_overlap_bins
    )
    assert same.starts.tolist() == chopping.starts.tolist()
    assert windows.n_trials == chopping.n_windows
    np.testing.assert_allclose(same.merge(windows.counts), data.counts)
    np.testing.assert_allclose(same.merge(windows.truth["factors"]), truth)
    assert (windows.counts[~windows.observed] == 0).all()


@SETTINGS
@given(choppings(), st.integers(0, 2**32 - 1))
def test_merged_values_lie_between_those_of_the_windows(chopping, seed):
    values = np.random.default_rng(seed).uniform(0, 1, (chopping.n_windows, chopping.n_window_bins))
    merged = chopping.merge(values)
    low = np.full((chopping.n_trials, chopping.n_bins), np.inf)
    high = -low
    for window, row in enumerate(values):
        trial, place = divmod(window, chopping.starts.size)
        start = chopping.starts[place]
        stop = min(start + chopping.n_window_bins, chopping.n_bins)
        low[trial, start:stop] = np.minimum(low[trial, start:stop], row[: stop - start])
        high[trial, start:stop] = np.maximum(high[trial, start:stop], row[: stop - start])
    assert (merged >= low - 1e-12).all() and (merged <= high + 1e-12).all()


@SETTINGS
@given(choppings())
def test_windows_cover_every_bin_and_none_is_superfluous(chopping):
    stops = chopping.starts + chopping.n_window_bins
    assert chopping.starts[0] == 0 and stops[-1] >= chopping.n_bins
    assert (stops[:-1] < chopping.n_bins).all()
    assert Chopping.from_dict(chopping.to_dict()) == chopping
