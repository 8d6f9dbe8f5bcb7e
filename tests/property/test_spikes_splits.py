import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike.spikes import SpikeData, hold_out_neurons, k_folds, mask_bins, split_trials

SETTINGS = settings(deadline=None, max_examples=150, derandomize=True)
SEEDS = st.integers(0, 2**32 - 1)


def recording(n_trials, n_neurons=2, seed=0, conditions=None):
    counts = np.random.default_rng(seed).poisson(1.0, (n_trials, 4, n_neurons))
    return SpikeData(counts, 0.01, conditions=conditions)


@SETTINGS
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.floats(0.01, 0.99), SEEDS)
def test_splits_are_disjoint_complete_and_stratified(conditions, fraction, seed):
    data = recording(len(conditions), conditions=conditions)
    split = split_trials(data, validation_fraction=fraction, seed=seed)
    n_trials = data.n_trials
    assert np.sort(np.append(split.train, split.validation)).tolist() == list(range(n_trials))
    assert split.train.size and split.validation.size
    assert abs(split.validation.size - fraction * n_trials) < 1
    labels, sizes = np.unique(conditions, return_counts=True)
    for label, size in zip(labels[sizes > 1], sizes[sizes > 1], strict=True):
        n_validation = (np.asarray(conditions)[split.validation] == label).sum()
        assert abs(n_validation - fraction * size) < 1 + 1e-6


@SETTINGS
@given(st.integers(2, 40), st.integers(2, 40), st.booleans(), SEEDS)
def test_folds_validate_every_trial_once(n_trials, n_folds, contiguous, seed):
    n_folds = min(n_folds, n_trials)
    seed = None if contiguous else seed
    folds = k_folds(recording(n_trials), n_folds, contiguous=contiguous, seed=seed)
    together = np.concatenate([fold.validation for fold in folds])
    assert np.sort(together).tolist() == list(range(n_trials))
    sizes = [fold.validation.size for fold in folds]
    assert len(folds) == n_folds and max(sizes) - min(sizes) <= 1
    for fold in folds:
        both = np.append(fold.train, fold.validation)
        assert np.sort(both).tolist() == list(range(n_trials))
        if contiguous:
            assert (np.diff(fold.validation) == 1).all()


@SETTINGS
@given(st.integers(2, 20), st.integers(1, 19), st.booleans(), SEEDS)
def test_the_wanted_number_of_neurons_is_held_out(n_neurons, n_heldout, stratify, seed):
    n_heldout = min(n_heldout, n_neurons - 1)
    data = recording(3, n_neurons, seed)
    got = hold_out_neurons(data, n_heldout, seed=seed, stratify_by_rate=stratify)
    assert got.heldout.sum() == n_heldout
    again = hold_out_neurons(data, n_heldout, seed=seed, stratify_by_rate=stratify)
    assert (got.heldout == again.heldout).all()


@SETTINGS
@given(st.permutations(range(6)), st.permutations(range(5)))
def test_selections_can_be_undone(trials, neurons):
    data = mask_bins(recording(6, 5), bins=[1], trials=[2, 4], neurons=[0, 3])
    there = data.select_trials(trials).select_neurons(neurons)
    back = there.select_trials(np.argsort(trials)).select_neurons(np.argsort(neurons))
    assert (back.counts == data.counts).all() and (back.observed == data.observed).all()
    assert back.trial_ids.tolist() == data.trial_ids.tolist()
    assert back.neuron_ids.tolist() == data.neuron_ids.tolist()


@SETTINGS
@given(st.integers(1, 9))
def test_bins_cut_apart_go_together_again(cut):
    counts = np.random.default_rng(cut).poisson(1.0, (2, 10, 3))
    data = SpikeData(counts, 0.02, t_start=-0.1)
    left, right = data.select_bins(0, cut), data.select_bins(cut, 10)
    assert (np.concatenate([left.counts, right.counts], axis=1) == counts).all()
    np.testing.assert_allclose(np.append(left.times, right.times), data.times, atol=1e-12)


@SETTINGS
@given(
    st.tuples(st.integers(0, 299), st.integers(0, 3), st.integers(0, 2)),
    st.sampled_from([-1.0, 0.5, np.nan, np.inf, -np.inf]),
)
def test_a_bad_count_is_reported_where_it_is(position, value):
    counts = np.zeros((300, 4, 3))
    counts[position] = value
    trial, time_bin, neuron = position
    try:
        SpikeData(counts, 0.01)
    except ValueError as error:
        assert f"counts[trial {trial}, bin {time_bin}, neuron {neuron}] = {value}" in str(error)
    else:
        raise AssertionError("a bad count was accepted")
