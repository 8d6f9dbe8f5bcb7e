import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike.spikes import SpikeData, align, bin_continuous, bin_trials, rebin

SETTINGS = settings(deadline=None, max_examples=60, derandomize=True)
WIDTHS = st.sampled_from([0.001, 0.005, 0.01, 0.1, 0.3, 1.0, 1 / 3])


@st.composite
def trains(draw, n_neurons=3, low=-5.0, high=5.0):
    """Sorted spike times without duplicates, one per neuron; the first is never empty."""
    time = st.floats(low, high, allow_nan=False, width=32)
    first = draw(st.lists(time, min_size=1, max_size=30, unique=True))
    rest = [draw(st.lists(time, max_size=30, unique=True)) for _ in range(n_neurons - 1)]
    return [np.unique(np.asarray(times, float)) for times in [first, *rest]]


@SETTINGS
@given(trains(), WIDTHS)
def test_binning_conserves_spikes_inside_the_window(spikes, width):
    n_bins = int(np.ceil(11 / width))
    start = -5.5
    data = bin_continuous(spikes, bin_width=width, t_start=start, t_stop=start + n_bins * width)
    assert data.counts.sum(axis=(0, 1)).tolist() == [times.size for times in spikes]


@SETTINGS
@given(trains(), WIDTHS, st.integers(1, 40), st.integers(1, 40))
def test_neighboring_windows_share_no_spike_and_lose_none(spikes, width, n_left, n_right):
    middle = float(spikes[0][0])  # a window edge exactly on a spike
    start, stop = middle - n_left * width, middle + n_right * width

    def count(t_start, t_stop):
        try:
            data = bin_trials([spikes], bin_width=width, t_start=t_start, t_stop=t_stop)
        except ValueError as error:
            assert "no neuron has a spike" in str(error)
            return np.zeros(len(spikes), int)
        return data.counts.sum(axis=(0, 1)).astype(int)

    parts = count(start, middle) + count(middle, stop)
    assert parts.tolist() == count(start, stop).tolist()


@SETTINGS
@given(trains(), WIDTHS, st.integers(1, 30))
def test_every_spike_lies_in_its_bin(spikes, width, n_bins):
    start = float(spikes[0][0])
    data = bin_continuous(spikes, bin_width=width, t_start=start, t_stop=start + n_bins * width)
    slack = 2e-6 * width
    for neuron, times in enumerate(spikes):
        for time_bin in range(n_bins):
            left = start + time_bin * width
            surely = ((times >= left) & (times < left + width - slack)).sum()
            maybe = ((times >= left - slack) & (times < left + width)).sum()
            assert surely <= data.counts[0, time_bin, neuron] <= maybe


@SETTINGS
@given(trains(low=0.0, high=20.0), st.lists(st.floats(0, 20, width=32), max_size=6), WIDTHS)
def test_aligning_is_binning_around_each_event(spikes, others, width):
    events = np.array([spikes[0][0], *others])
    window = (-3 * width, 5 * width)
    got = align(spikes, events, window=window, bin_width=width)
    trials = [[times - event for times in spikes] for event in events]
    want = bin_trials(
        trials, bin_width=width, t_start=window[0], t_stop=window[1], duplicates="keep"
    )
    # Subtracting the event first rounds differently; only spikes within a millionth of a bin
    # of an edge may then move, and always to the neighboring bin.
    close = np.zeros(got.counts.shape, bool)
    for trial, neurons in enumerate(trials):
        for neuron, times in enumerate(neurons):
            place = (times - window[0]) / width
            on_edge = np.abs(place + 1e-6 - np.round(place + 1e-6)) < 1e-8
            for k in np.round(place[on_edge]).astype(int):
                close[trial, max(k - 1, 0) : k + 1, neuron] = True
    assert (got.counts == want.counts)[~close].all()


@SETTINGS
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_rebinning_conserves_spikes_and_never_invents_observation(factor, n_coarse, extra, seed):
    rng = np.random.default_rng(seed)
    extra = min(extra, factor - 1)
    shape = (2, factor * n_coarse + extra, 3)
    fine = SpikeData(rng.integers(0, 255, shape), 0.01, rng.random(shape) < 0.8)
    coarse = rebin(fine, factor, drop_last=extra > 0)
    kept = fine.counts[:, : factor * n_coarse]
    assert coarse.counts.sum(axis=1).tolist() == kept.sum(axis=1).tolist()
    seen = np.repeat(coarse.observed, factor, axis=1)
    assert not (seen & ~fine.observed[:, : factor * n_coarse]).any()
    assert np.isclose(coarse.n_bins * coarse.bin_width, n_coarse * factor * 0.01)


@SETTINGS
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_rebinning_twice_is_rebinning_once(first, second, seed):
    counts = np.random.default_rng(seed).poisson(1.0, (2, first * second * 3, 2))
    fine = SpikeData(counts, 0.01)
    twice, once = rebin(rebin(fine, first), second), rebin(fine, first * second)
    assert (twice.counts == once.counts).all()
    assert np.isclose(twice.bin_width, once.bin_width)
