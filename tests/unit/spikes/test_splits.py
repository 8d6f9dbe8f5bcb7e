import numpy as np
import pytest

from latentspike.spikes import (
    SpikeData,
    Split,
    hold_out_forward,
    hold_out_neurons,
    k_folds,
    mask_bins,
    split_trials,
)


def recording(n_trials=20, n_neurons=8, conditions=None):
    rng = np.random.default_rng(0)
    rates = np.linspace(0.1, 5, n_neurons)
    counts = rng.poisson(rates, (n_trials, 10, n_neurons))
    return SpikeData(counts, 0.01, conditions=conditions)


def test_one_seed_gives_one_split():
    data = recording()
    a, b = split_trials(data, seed=1), split_trials(data, seed=1)
    assert a.validation.tolist() == b.validation.tolist()
    others = {tuple(split_trials(data, seed=seed).validation) for seed in range(5)}
    assert len(others) > 1


def test_equal_conditions_do_not_always_give_the_odd_trial():
    # 3 conditions of 5 trials, 4 validation trials: one condition gives two.
    data = recording(15, conditions=list("abc") * 5)
    generous = set()
    for seed in range(20):
        picked = split_trials(data, validation_fraction=4 / 15, seed=seed).validation
        names, times = np.unique(data.conditions[picked], return_counts=True)
        assert sorted(times) == [1, 1, 2]
        generous.add(names[times.argmax()])
    assert generous == {"a", "b", "c"}


def test_a_lonely_condition_stays_in_training():
    data = recording(10, conditions=["rare"] + ["common"] * 9)
    for seed in range(20):
        assert 0 in split_trials(data, validation_fraction=0.3, seed=seed).train


def test_lonely_conditions_are_pooled():
    data = recording(10, conditions=list("abcdefghij"))
    assert split_trials(data, validation_fraction=0.3, seed=0).validation.size == 3


def test_conditions_can_be_ignored():
    data = recording(20, conditions=["a"] * 10 + ["b"] * 10)
    shares = {
        int((split_trials(data, stratify=False, seed=seed).validation < 10).sum())
        for seed in range(20)
    }
    assert len(shares) > 1


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, np.nan])
def test_fractions_out_of_range_are_refused(fraction):
    with pytest.raises(ValueError, match="validation_fraction"):
        split_trials(recording(), validation_fraction=fraction, seed=0)


def test_one_trial_cannot_be_divided():
    with pytest.raises(ValueError, match="chop it"):
        split_trials(recording(1), seed=0)


def test_select_gives_both_sides():
    data = recording()
    split = split_trials(data, validation_fraction=0.25, seed=3)
    train, validation = split.select(data)
    assert train.trial_ids.tolist() == split.train.tolist()
    assert validation.trial_ids.tolist() == split.validation.tolist()


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        ([0, 1], [1, 2], "trial 1 appears more than once"),
        ([0, 0], [1], "trial 0 appears more than once"),
        ([], [1], "train must be"),
        ([1], [0.5], "validation must be"),
    ],
)
def test_impossible_splits_are_refused(train, validation, message):
    with pytest.raises(ValueError, match=message):
        Split(train, validation)


def test_shuffled_folds_need_a_seed_and_contiguous_ones_take_none():
    with pytest.raises(ValueError, match="seed"):
        k_folds(recording(), 3, contiguous=False)
    with pytest.raises(ValueError, match="seed"):
        k_folds(recording(), 3, seed=1)
    assert k_folds(recording(), 3, contiguous=False, seed=1)[0].validation.size == 7


@pytest.mark.parametrize("n_folds", [1, 21])
def test_impossible_numbers_of_folds_are_refused(n_folds):
    with pytest.raises(ValueError, match="n_folds"):
        k_folds(recording(), n_folds)


def test_held_out_neurons_cover_all_rates():
    data = recording(n_neurons=12)  # rates rise with the neuron's number
    for seed in range(10):
        heldout = np.flatnonzero(hold_out_neurons(data, 4, seed=seed).heldout)
        assert (heldout // 3).tolist() == [0, 1, 2, 3]


def test_held_out_neurons_without_strata_are_any():
    data = recording(n_neurons=12)
    picks = [
        np.flatnonzero(hold_out_neurons(data, 4, seed=seed, stratify_by_rate=False).heldout)
        for seed in range(20)
    ]
    assert all(pick.size == 4 for pick in picks)
    assert any((pick // 3).tolist() != [0, 1, 2, 3] for pick in picks)


@pytest.mark.parametrize("n_heldout", [0, 8])
def test_some_neuron_must_be_read(n_heldout):
    with pytest.raises(ValueError, match="n_heldout"):
        hold_out_neurons(recording(), n_heldout, seed=0)


def test_hold_out_forward_sets_and_takes_back():
    data = hold_out_forward(recording(), 4)
    assert data.n_read_bins == 6
    assert hold_out_forward(data, 0).n_read_bins == 10
    with pytest.raises(ValueError, match="n_forward_bins"):
        hold_out_forward(data, 10)


def test_mask_bins_marks_exactly_the_chosen_entries():
    data = recording(4, 3)
    masked = mask_bins(
        data, bins=slice(2, 4), trials=[0, 3], neurons=np.array([False, True, False])
    )
    want = np.ones((4, 10, 3), bool)
    want[np.ix_([0, 3], [2, 3], [1])] = False
    assert (masked.observed == want).all()
    again = mask_bins(masked, trials=[1])
    assert (again.observed == want & (np.arange(4) != 1)[:, None, None]).all()
    assert (again.counts == data.counts).all()


def test_mask_bins_needs_a_choice_that_exists():
    with pytest.raises(ValueError, match="choose"):
        mask_bins(recording())
    with pytest.raises(ValueError, match="bins does not select"):
        mask_bins(recording(), bins=[10])
