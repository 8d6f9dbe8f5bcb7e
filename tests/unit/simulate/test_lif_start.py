import numpy as np
import pytest

from latentspike.dynamics import Network, Population
from latentspike.simulate import Asynchronous, Clusters, cluster_network, lif_network
from latentspike.simulate.lif_constants import StepConstants
from latentspike.simulate.lif_start import first_state


def test_asynchronous_neurons_are_stationary_from_the_first_step():
    neuron = Population(20_000, 0.02, 14.4, 8.0, refractory=0.004)
    activity = lif_network(
        Network({"E": neuron}), 0.1, seed=0, time_step=0.001, start=Asynchronous(0.0)
    )
    rates = activity.counts(0.01)[0, :, 0] / (20_000 * 0.01)
    spread = np.sqrt(rates.mean() / (20_000 * 0.01))  # of Poisson neurons; these are more regular
    np.testing.assert_allclose(rates, rates.mean(), atol=4 * spread)
    assert rates.mean() > 15


def test_a_network_at_its_fixed_point_starts_and_stays_there():
    # Weak coupling: the rate found after a while must also be that of the first 20 ms.
    neuron = Population(5000, 0.02, 12.0, 10.0, refractory=0.004, synapse_time=0.005, delay=0.005)
    network = Network({"E": neuron}, {"E": {"E": 1.0}})
    settled = lif_network(network, 0.5, seed=1, time_step=0.001, n_trials=4).rates.mean()
    first, wrong = (
        lif_network(
            network, 0.02, seed=2, time_step=0.001, n_trials=20, start=Asynchronous({"E": rate})
        ).rates.mean()
        for rate in (settled, 4 * settled)
    )
    assert first == pytest.approx(settled, rel=0.04)
    assert wrong > 1.1 * settled


def test_warm_up_is_not_recorded():
    network = cluster_network(58.0)
    whole = lif_network(network, 0.3, seed=3, time_step=0.001, start=Asynchronous(20.0))
    later = lif_network(
        network, 0.1, seed=3, time_step=0.001, start=Asynchronous(20.0, warm_up=0.2)
    )
    kept = whole.spike_steps[0] >= 200
    assert kept.any()
    np.testing.assert_array_equal(whole.spike_steps[0][kept] - 200, later.spike_steps[0])
    np.testing.assert_array_equal(whole.spike_neurons[0][kept], later.spike_neurons[0])


@pytest.mark.parametrize(("n", "soon"), [(1, 20), (3, 14), (4, 14)])
def test_clusters_go_on_firing_in_turn(n, soon):
    activity = lif_network(
        cluster_network(), 0.16, seed=4, time_step=0.001, start=Clusters(n, 0.014 * n)
    )
    steps, neurons = activity.spikes("E")
    counts = activity.counts(0.001)[0, :, 0]
    # The group that fired longest ago fires first, within about one volley interval.
    first = np.unique(neurons[steps < soon])
    assert len(first) == pytest.approx(600 / n, rel=0.15)
    assert counts.var() > 20 * counts.mean()
    # A neuron fires in one volley of n.
    assert activity.rates[0, 0] == pytest.approx(1 / (0.014 * n), rel=0.15)


@pytest.mark.parametrize("who", [False, True])
def test_the_past_of_clusters_is_one_that_the_network_would_have_had(who):
    constants = StepConstants.of(cluster_network(), 0.001, "exact")
    rng = np.random.default_rng(0)
    history = Clusters(4, 0.056).history(constants, 3, rng, who=who)
    # Groups 0, 14, 28 and 42 steps after their spikes; only the first is on its way (10 ms delay).
    assert set(np.unique(history.age)) == {0, 14, 28, 42}
    np.testing.assert_allclose(history.fraction[:, 0], [0.25] + 10 * [0.0])
    if who:
        np.testing.assert_array_equal(history.fired[:, 0], history.age == 0)
        assert not history.fired[:, 1:].any()
    state = first_state(history, constants, {}, rng)
    assert (np.asarray(state.clamped) == (history.age == 0)).all()
    # The volley before arrived 3 steps ago, others every 14 steps before it.
    expected = 0.25 / 0.004 * np.exp(-(3 + 14 * np.arange(40)) / 4).sum()
    assert history.synapse[0] == pytest.approx(expected, rel=1e-4)
    longest = history.potential[history.age == 42]
    assert np.ptp(longest) < 1e-9
    assert 40 < longest[0] < 49.7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Asynchronous(-1.0), "0 or more, got -1.0"),
        (lambda: Asynchronous({"E": np.nan}), "E: a rate must be Hz"),
        (lambda: Asynchronous(5.0, warm_up=-1.0), "warm_up must be seconds"),
        (lambda: Clusters(0, 0.1), "n must be at least 1"),
        (lambda: Clusters(2, 0.0), "period must be seconds above 0"),
    ],
)
def test_starts_refuse_numbers_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (Clusters(601, 10.0), "601 clusters of 600 neurons"),
        (Clusters(4, 0.003), "too short for 4 volleys"),
        (Asynchronous(2000.0), "above one spike per time step"),
    ],
)
def test_starts_refuse_networks_they_do_not_fit(start, message):
    with pytest.raises(ValueError, match=message):
        lif_network(cluster_network(), 0.1, seed=0, time_step=0.001, start=start)
