"""Every kind of bad recording is refused, and the message says where to look."""

import numpy as np
import pytest

from latentspike.spikes import SpikeData, align, bin_continuous, bin_trials, chop

WINDOW = {"bin_width": 0.1, "t_start": 0.0, "t_stop": 1.0}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-1, "is negative"),
        (0.25, "is not a whole number"),
        (np.nan, "is not finite; put 0 there and mark missing bins in `observed`"),
        (np.inf, "is not finite"),
    ],
)
def test_bad_counts_name_trial_bin_neuron_and_value(value, why):
    counts = np.zeros((4, 6, 3), type(value))
    counts[2, 5, 1] = value
    with pytest.raises(ValueError) as error:
        SpikeData(counts, 0.01)
    assert f"counts[trial 2, bin 5, neuron 1] = {value} {why}" in str(error.value)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros((5, 3)), r"\[trials, bins, neurons\].*got shape \(5, 3\)"),
        (np.zeros((5, 0, 3)), r"at least one of each, got shape \(5, 0, 3\)"),
        ([], "got shape"),
        (np.array([[["one"]]]), "must be numbers"),
        (np.zeros((1, 2, 1), complex), "must be numbers"),
        ([[[1, 0]], [[1]]], "ragged"),
        (None, "counts must have shape"),
    ],
)
def test_wrong_shapes_and_types(counts, message):
    with pytest.raises(ValueError, match=message):
        SpikeData(counts, 0.01)


def test_trial_shorter_than_a_window():
    with pytest.raises(ValueError, match="trials of 5 bins are shorter than one window of 8 bins"):
        chop(SpikeData(np.ones((2, 5, 3), int), 0.01), n_window_bins=8, n_overlap_bins=2)


BAD_TIMES = [
    ([0.2, 0.5, 0.4], "not sorted: 0.4 s follows 0.5 s"),
    ([0.2, 0.5, 0.5], "two spikes at 0.5 s"),
    ([0.2, np.nan], "is at nan s"),
    ([0.2, np.inf], "is at inf s"),
    ([[0.2, 0.3]], "must be a vector"),
    (["soon"], "are not numbers"),
    (0.3, "must be a vector"),
]


@pytest.mark.parametrize(("times", "message"), BAD_TIMES)
def test_bad_times_of_a_trial_name_trial_and_neuron(times, message):
    with pytest.raises(ValueError) as error:
        bin_trials([[[0.1], [0.1]], [[0.1], times]], **WINDOW)
    assert message in str(error.value) and "trial 1, neuron 1" in str(error.value)


@pytest.mark.parametrize(("times", "message"), BAD_TIMES)
@pytest.mark.parametrize("how", ["continuous", "aligned"])
def test_bad_times_of_a_session_name_the_neuron(times, message, how):
    with pytest.raises(ValueError) as error:
        if how == "continuous":
            bin_continuous([[0.1], times], **WINDOW)
        else:
            align([[0.1], times], [0.5], window=(-0.1, 0.1), bin_width=0.1)
    assert message in str(error.value) and "neuron 1" in str(error.value)


def test_trials_with_different_numbers_of_neurons():
    with pytest.raises(ValueError, match="trial 1 has spike times of 1 neurons, but trial 0 of 2"):
        bin_trials([[[0.1], []], [[0.1]]], **WINDOW)


@pytest.mark.parametrize("spikes", [[[]], [[3.0]]])
def test_no_spikes_at_all(spikes):
    with pytest.raises(ValueError, match="no neuron has a spike"):
        bin_continuous(spikes, **WINDOW)
    with pytest.raises(ValueError, match="no neuron has a spike"):
        bin_trials([spikes, spikes], **WINDOW)
    with pytest.raises(ValueError, match="no neuron has a spike"):
        align(spikes, [0.5], window=(-0.1, 0.1), bin_width=0.1)


@pytest.mark.parametrize("n_trials", [0, 2])
def test_no_neurons_or_trials_at_all(n_trials):
    with pytest.raises(ValueError):
        bin_trials([[]] * n_trials, **WINDOW)


def test_spike_times_in_milliseconds_are_noticed():
    with pytest.raises(ValueError, match="are times in seconds"):
        bin_trials([[[120.0, 350.0]]], **WINDOW)


def test_an_unknown_word_for_duplicates():
    with pytest.raises(ValueError, match="duplicates must be 'raise' or 'keep', got 'drop'"):
        bin_trials([[[0.1]]], **WINDOW, duplicates="drop")  # pyright: ignore[reportArgumentType]
