import numpy as np
import pytest

from latentspike.spikes import align, bin_trials, resample_series

WINDOW = (-0.25, 0.45)


def recording(seed=0, n_neurons=4):
    rng = np.random.default_rng(seed)
    spikes = [np.sort(rng.uniform(0, 30, 400)) for _ in range(n_neurons)]
    return spikes, np.sort(rng.uniform(1, 29, 25))


def test_align_agrees_with_binning_each_trial():
    spikes, events = recording()
    got = align(spikes, events, window=WINDOW, bin_width=0.05)
    trials = [[times - event for times in spikes] for event in events]
    want = bin_trials(trials, bin_width=0.05, t_start=-0.25, t_stop=0.45)
    assert (got.counts == want.counts).all()
    assert got.t_start == -0.25 and got.n_bins == 14


def test_spikes_on_edges_are_neither_lost_nor_doubled():
    grid = np.arange(5000) * 0.001 + 1000.0
    events = 1000.0 + np.arange(1, 40) * 0.1
    data = align([grid], events, window=(-0.05, 0.05), bin_width=0.001)
    assert (data.counts == 1).all()


def test_overlapping_trials_share_spikes():
    data = align([[1.05]], [1.0, 1.02], window=(0.0, 0.1), bin_width=0.1)
    assert data.counts[:, 0, 0].tolist() == [1, 1]


def test_missing_events_raise_or_are_dropped_with_their_labels():
    spikes, _ = recording()
    events = [2.0, np.nan, 5.0]
    with pytest.raises(ValueError, match="event of trial 1 is missing"):
        align(spikes, events, window=WINDOW, bin_width=0.05)
    data = align(
        spikes,
        events,
        window=WINDOW,
        bin_width=0.05,
        drop_missing_events=True,
        conditions=np.array(["a", None, "b"], object),
    )
    assert data.trial_ids.tolist() == [0, 2]
    assert data.conditions is not None and data.conditions.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([np.nan], "all 1 events are missing"),
        ([1.0, np.inf], "trial 1 is inf"),
        ([], "at least one time"),
        ([[1.0]], "at least one time"),
    ],
)
def test_bad_events_are_refused(events, message):
    with pytest.raises(ValueError, match=message):
        align([[1.0]], events, window=WINDOW, bin_width=0.05, drop_missing_events=True)


def test_labels_must_match_the_events_given():
    with pytest.raises(ValueError, match="one entry per event"):
        align([[1.0]], [1.0, 2.0], window=WINDOW, bin_width=0.05, conditions=["a"])
    with pytest.raises(ValueError, match="trial_ids"):
        align([[1.0]], [1.0, 2.0], window=WINDOW, bin_width=0.05, trial_ids=[1])


def test_behavior_is_resampled_like_a_series_around_each_event():
    spikes, events = recording()
    times = np.arange(0, 20, 0.013)
    values = np.stack([np.sin(times), times], axis=1)
    values[100:110] = np.nan
    data = align(
        spikes,
        events,
        window=WINDOW,
        bin_width=0.01,
        behavior={"hand": (times, values)},
        max_gap=0.1,
    )
    for trial in (0, 7, 24):
        edges = events[trial] - 0.25 + np.arange(71) * 0.01
        want = resample_series(times, values, edges, max_gap=0.1)
        np.testing.assert_allclose(data.behavior["hand"][trial], want)
    assert np.isnan(data.behavior["hand"]).any()
    assert np.isfinite(data.behavior["hand"]).any()


def test_behavior_errors_name_the_series():
    with pytest.raises(ValueError, match=r"behavior\['hand'\] must increase"):
        behavior = {"hand": ([1.0, 0.0], [1, 2])}
        align([[1.0]], [1.0], window=WINDOW, bin_width=0.05, behavior=behavior)


def test_observed_intervals_are_session_times():
    data = align(
        [[1.0, 2.0], [1.0, 2.0]],
        [1.0, 2.0],
        window=(-0.1, 0.1),
        bin_width=0.1,
        observed_intervals=[[[0.0, 1.0]], [[0.0, 2.05]]],
    )
    assert data.observed[:, :, 0].tolist() == [[True, False], [False, False]]
    assert data.observed[:, :, 1].tolist() == [[True, True], [True, False]]


def test_many_trials_and_neurons_do_not_loop_over_trials(monkeypatch):
    # Speed without a clock: the work per neuron must not grow with the number of calls to numpy.
    calls = []
    search = np.searchsorted
    monkeypatch.setattr(np, "searchsorted", lambda *a, **k: calls.append(1) or search(*a, **k))
    spikes, _ = recording(n_neurons=3)
    align(spikes, np.linspace(1, 29, 500), window=WINDOW, bin_width=0.05)
    assert len(calls) == 2 * 3
