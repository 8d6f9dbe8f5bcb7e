import numpy as np
import pytest

from latentspike.spikes import SpikeData, check_sessions, concatenate_trials


def recording(n_trials=3, seed=0, **more):
    rng = np.random.default_rng(seed)
    base = {"bin_width": 0.01, "neuron_ids": ["u", "v"]}
    return SpikeData(rng.poisson(1.0, (n_trials, 5, 2)), **{**base, **more})


def test_sessions_keep_names_and_order():
    a, b = recording(), recording(7, neuron_ids=["x", "y"])
    checked = check_sessions([("b", b), ("a", a)])
    assert list(checked) == ["b", "a"] and checked["a"] is a


@pytest.mark.parametrize(
    ("sessions", "message"),
    [
        ({}, "no session"),
        ([("a", recording()), ("a", recording())], "'a' appears twice"),
        ({"": recording()}, "must be a word"),
        ({"..": recording()}, "must be a word"),
        ({3: recording()}, "must be a word"),
        ({"a/b": recording()}, "slash"),
        ({"a": np.ones((1, 2, 3))}, "session 'a' must be a SpikeData, got ndarray"),
        ({"a": recording(), "b": recording(bin_width=0.02)}, "'b' has bin_width 0.02, but"),
        ({"a": recording(), "b": recording(kind="continuous")}, "'b' has kind continuous"),
        ({"a": recording(), "b": recording(inputs=np.ones((3, 5, 1)))}, "n_inputs 1"),
    ],
)
def test_sessions_that_do_not_fit_are_refused(sessions, message):
    with pytest.raises(ValueError, match=message):
        check_sessions(sessions)


def test_rounding_of_the_bin_width_is_forgiven():
    assert len(check_sessions({"a": recording(), "b": recording(bin_width=0.01 + 1e-17)})) == 2


def test_concatenation_keeps_every_field():
    def extras(n):
        series = np.full((n, 5, 1), float(n))
        return {"inputs": series, "behavior": {"hand": series}, "truth": {"factors": series}}

    a = recording(3, conditions=["x"] * 3, trial_ids=[1, 2, 3], **extras(3))
    b = recording(2, 1, conditions=["y"] * 2, trial_ids=[4, 5], **extras(2))
    both = concatenate_trials([a, b])
    np.testing.assert_array_equal(both.select_trials([3, 4]).counts, b.counts)
    assert both.trial_ids.tolist() == [1, 2, 3, 4, 5]
    assert both.conditions is not None and both.conditions.tolist() == ["x"] * 3 + ["y"] * 2
    assert both.inputs is not None and both.inputs[:, 0, 0].tolist() == [3, 3, 3, 2, 2]
    assert both.behavior["hand"][:, 0, 0].tolist() == [3, 3, 3, 2, 2]
    assert both.truth["factors"][:, 0, 0].tolist() == [3, 3, 3, 2, 2]


def test_trials_can_be_numbered_afresh():
    both = concatenate_trials([recording(), recording()])
    assert both.trial_ids.tolist() == [0, 1, 2, 0, 1, 2]
    assert both.replace(trial_ids=None).trial_ids.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"neuron_ids": ["v", "u"]}, "recording 1 and recording 0 differ in neuron_ids"),
        ({"heldout": np.array([True, False])}, "differ in heldout"),
        ({"bin_width": 0.02}, "bin_width"),
        ({"t_start": 0.1}, "t_start"),
        ({"n_forward_bins": 1}, "n_forward_bins"),
        ({"conditions": ["a"] * 3}, "conditions or none"),
        ({"behavior": {"hand": np.zeros((3, 5))}}, "behavior"),
        ({"truth": {"factors": np.zeros((3, 5))}}, "truth"),
        ({"inputs": np.zeros((3, 5, 1))}, "n_inputs"),
        ({"trial_ids": ["a", "b", "c"]}, "trial_ids are words"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        concatenate_trials([recording(), recording(**other)])


def test_nothing_cannot_be_concatenated():
    with pytest.raises(ValueError, match="no recording"):
        concatenate_trials([])
