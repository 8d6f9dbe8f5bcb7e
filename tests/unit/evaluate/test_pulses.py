import numpy as np
import pytest

from latentspike.evaluate.intervals import proportion
from latentspike.evaluate.pulses import pulse_outcomes

BIN = 0.004
PULSE = 1.0


def trial(*changes, first=0, seconds=2.0):
    """Activity [bins, 2]; winner 0 or 1 at first, changing at the times given."""
    times = (np.arange(round(seconds / BIN)) + 0.5) * BIN
    winner = (first + np.searchsorted(changes, times)) % 2
    return np.where(winner[:, None] == [0, 1], 20.0, 4.0)


OUTCOMES = {
    "stay": trial(),
    "switch": trial(1.2),
    "return": trial(1.1, 1.3),
    "stay after an old switch": trial(0.5),
    "switch of the other": trial(1.2, first=1),
    "three switches": trial(1.1, 1.25, 1.4),
    "too late": trial(1.7),
}


def test_each_outcome_is_told_from_the_others():
    found = pulse_outcomes(np.stack(list(OUTCOMES.values())), PULSE, bin_width=BIN)
    expected = ["stay", "switch", "return", "stay", "switch", "switch", "stay"]
    assert found.outcome.tolist() == expected
    assert found.before.tolist() == [0, 0, 0, 1, 1, 0, 0]
    assert found.after.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert found.n_switches.tolist() == [0, 1, 2, 0, 1, 3, 0]
    np.testing.assert_allclose(found.latency[[1, 2, 4, 5]], [0.2, 0.1, 0.2, 0.1], atol=0.05)
    assert np.isnan(found.latency[[0, 3, 6]]).all()


def test_the_winner_before_is_judged_by_the_time_before_alone():
    activity = trial(1.0)[None]  # changes with the pulse
    found = pulse_outcomes(activity, PULSE, bin_width=BIN)
    assert found.before.tolist() == [0]
    assert found.outcome.tolist() == ["switch"]


def test_each_trial_may_have_its_own_pulse():
    activity = np.stack([trial(0.8), trial(0.8)])
    found = pulse_outcomes(activity, np.array([0.6, 1.0]), bin_width=BIN)
    assert found.outcome.tolist() == ["switch", "stay"]


def test_trials_without_a_winner_before_do_not_count():
    activity = np.stack([np.full((500, 2), 10.0), trial(1.2), trial()])
    found = pulse_outcomes(activity, PULSE, bin_width=BIN)
    assert found.outcome.tolist() == ["", "switch", "stay"]
    assert (found.before[0], found.after[0]) == (-1, -1)
    assert found.probability("switch") == proportion(1, 2)


def test_probabilities_of_the_three_outcomes_add_up_and_may_be_of_some_trials():
    found = pulse_outcomes(np.stack(list(OUTCOMES.values())), PULSE, bin_width=BIN)
    shares = [found.probability(outcome).value for outcome in ("stay", "switch", "return")]
    assert sum(shares) == pytest.approx(1)
    assert found.probability("switch", where=found.before == 1) == proportion(1, 2)
    assert found.probability("return", confidence=0.5) == proportion(1, 7, confidence=0.5)
    with pytest.raises(ValueError, match="got 'back'"):
        found.probability("back")  # pyright: ignore[reportArgumentType]


def test_a_brief_burst_of_the_pulse_is_no_switch():
    activity = trial()
    activity[250, 1] += 100 * 2  # a 4-ms pulse makes four of ten neurons spike: 400 times 0.5 s⁻¹
    found = pulse_outcomes(activity[None], PULSE, bin_width=BIN)
    assert found.outcome.tolist() == ["stay"]


@pytest.mark.parametrize(
    ("time", "horizon"), [(0.05, 0.5), (1.8, 0.5), (np.array([1.0, 1.9]), 0.5), (1.0, 1.5)]
)
def test_a_pulse_too_near_to_an_end_names_its_trial(time, horizon):
    activity = np.stack([trial(), trial()])
    late = 1 if isinstance(time, np.ndarray) else 0
    with pytest.raises(ValueError, match=f"trial {late}: the pulse at"):
        pulse_outcomes(activity, time, bin_width=BIN, horizon=horizon)
