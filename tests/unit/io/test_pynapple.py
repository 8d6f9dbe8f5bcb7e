import numpy as np
import pytest

from latentspike.io import from_pynapple

nap = pytest.importorskip("pynapple")


def some_group():
    support = nap.IntervalSet(start=[0.0, 0.6], end=[0.4, 1.0])
    return nap.TsGroup(
        {
            4: nap.Ts([0.05, 0.31, 0.75], time_support=support),
            9: nap.Ts([0.15], time_support=support),
        },
        time_support=support,
    )


def test_bins_outside_the_time_support_are_missing():
    data = from_pynapple(some_group(), bin_width=0.1)
    assert data.counts[0, :, 0].tolist() == [1, 0, 0, 1, 0, 0, 0, 1, 0, 0]
    assert data.observed[0, :, 1].tolist() == [True] * 4 + [False] * 2 + [True] * 4
    assert data.neuron_ids.tolist() == [4, 9]


def test_epochs_restrict_further():
    epochs = nap.IntervalSet(start=0.2, end=0.8)
    data = from_pynapple(some_group(), bin_width=0.1, epochs=epochs)
    assert data.t_start == 0.2
    assert data.observed[0, :, 0].tolist() == [True] * 2 + [False] * 2 + [True] * 2
    with pytest.raises(ValueError, match="epochs do not overlap"):
        from_pynapple(some_group(), bin_width=0.1, epochs=nap.IntervalSet(5, 6))


def test_trials_around_events_with_behavior():
    speed = nap.Tsd(t=np.arange(0.05, 1.0, 0.1), d=np.arange(10.0))
    data = from_pynapple(
        some_group(),
        bin_width=0.1,
        events=nap.Ts([0.1, 0.7]),
        window=(-0.1, 0.2),
        behavior={"speed": speed},
        conditions=["a", "b"],
    )
    assert data.counts[:, :, 0].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert data.behavior["speed"][:, :, 0].tolist() == [[0, 1, 2], [6, 7, 8]]
    assert data.conditions.tolist() == ["a", "b"]


def test_a_continuous_recording_carries_behavior():
    speed = nap.Tsd(t=np.arange(0.05, 1.0, 0.1), d=np.arange(10.0))
    data = from_pynapple(some_group(), bin_width=0.1, behavior={"speed": speed})
    np.testing.assert_array_equal(data.behavior["speed"][0, :, 0], np.arange(10.0))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"expected a pynapple\.TsGroup, got dict"):
        from_pynapple({}, bin_width=0.1)
    with pytest.raises(ValueError, match="events and window go together"):
        from_pynapple(some_group(), bin_width=0.1, events=[0.1])


def test_without_pynapple_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pynapple", None)
    with pytest.raises(ImportError, match=r"latentspike\[pynapple\]"):
        from_pynapple(None, bin_width=0.1)
