import numpy as np
import pytest

from latentspike.simulate import LIFActivity, neurons_by_population

# Two populations (3 and 12 neurons), two trials of 8 steps of 1 ms.
ACTIVITY = LIFActivity(
    {"E": 3, "I": 12},
    0.001,
    8,
    (np.array([0, 1, 1, 3, 7], np.uint32), np.array([2, 6], np.uint32)),
    (np.array([2, 0, 14, 2, 3], np.uint16), np.array([14, 14], np.uint16)),
)


def test_spikes_are_told_by_population():
    steps, neurons = ACTIVITY.spikes("E")
    assert steps.tolist() == [0, 1, 3]
    assert neurons.tolist() == [2, 0, 2]
    steps, neurons = ACTIVITY.spikes("I", trial=1)
    assert (steps.tolist(), neurons.tolist()) == ([2, 6], [11, 11])


def test_rates_and_intervals_are_those_of_the_spikes():
    np.testing.assert_allclose(ACTIVITY.rates * 0.008, [[1, 2 / 12], [0, 2 / 12]])
    np.testing.assert_allclose(ACTIVITY.intervals("E"), [0.003])
    np.testing.assert_allclose(ACTIVITY.intervals("I"), [0.004])
    assert repr(ACTIVITY) == "LIFActivity(2 trials × 0.008 s, E 3, I 12 neurons)"


def test_counts_are_spikes_per_bin():
    expected = [[[2, 1], [1, 0], [0, 0], [0, 1]], [[0, 0], [0, 1], [0, 0], [0, 1]]]
    np.testing.assert_array_equal(ACTIVITY.counts(0.002), expected)


def test_a_recording_of_everyone_holds_all_spikes():
    data = ACTIVITY.record({"E": 3, "I": 12}, 0.001, seed=0)
    assert data.neuron_ids[0] == "E-0"
    assert data.neuron_ids[3] == "I-00"
    np.testing.assert_array_equal(data.counts[:, :, :3].sum(2), ACTIVITY.counts(0.001)[..., 0])
    assert data.counts[0, 1].nonzero()[0].tolist() == [0, 14]
    np.testing.assert_array_equal(data.truth["population_counts"], ACTIVITY.counts(0.001))
    np.testing.assert_allclose(data.truth["population_rate"][0, 1], [1 / 0.003, 1 / 0.012])


def test_a_draw_is_seeded_and_told_by_the_ids():
    first, again = (ACTIVITY.record({"I": 4}, 0.002, seed=1, several="keep") for _ in range(2))
    assert first.neuron_ids.tolist() == again.neuron_ids.tolist()
    draws = {tuple(ACTIVITY.record(2, 0.002, seed=s, several="keep").neuron_ids) for s in range(9)}
    assert len(draws) > 3
    data = ACTIVITY.record(2, 0.002, seed=1, several="keep")
    groups = neurons_by_population(data.neuron_ids)
    assert {name: len(ids) for name, ids in groups.items()} == {"E": 2, "I": 2}
    for column, neuron in enumerate(data.neuron_ids):
        population, number = neuron.split("-")
        steps, neurons = ACTIVITY.spikes(population)
        expected = np.bincount(steps[neurons == int(number)] // 2, minlength=4)
        np.testing.assert_array_equal(data.counts[0, :, column], expected)


def test_several_spikes_in_a_bin_are_an_error_unless_asked_for():
    with pytest.raises(ValueError, match=r"trial 0, bin 0, neuron E-2: .*several='keep'"):
        ACTIVITY.record({"E": 3}, 0.004, seed=0)
    assert ACTIVITY.record({"E": 3}, 0.004, seed=0, several="keep").counts.max() == 2
    assert ACTIVITY.record({"E": 3}, 0.004, seed=0, several="one").counts.max() == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ACTIVITY.counts(0.0015), "bin_width in time steps: 0.0015 s is not a whole"),
        (lambda: ACTIVITY.counts(0.003), "not a whole number of bins of 0.003 s"),
        (lambda: ACTIVITY.spikes("X"), "no population 'X'; there are E, I"),
        (lambda: ACTIVITY.spikes("E", trial=2), r"trial must be in \[0, 1\]"),
        (lambda: ACTIVITY.record({"X": 1}, 0.001, seed=0), "no population 'X'"),
        (lambda: ACTIVITY.record(4, 0.001, seed=0), r"recorded neurons of E must be in \[0, 3\]"),
        (lambda: ACTIVITY.record(0, 0.001, seed=0), "at least one neuron"),
        (lambda: ACTIVITY.record(1, 0.001, seed=0, several="two"), "several must be"),
        (lambda: neurons_by_population(["E1_3"]), "'E1_3' does not name a population"),
    ],
)
def test_an_activity_refuses_what_it_does_not_hold(call, message):
    with pytest.raises(ValueError, match=message):
        call()
