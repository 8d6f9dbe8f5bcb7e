import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from latentspike.dynamics import Network, Population
from latentspike.simulate import Asynchronous, Pulse, cluster_network, lif_network, winner_take_all
from latentspike.simulate.lif_constants import StepConstants
from latentspike.simulate.lif_start import first_state
from latentspike.simulate.lif_step import (
    Coefficients,
    _all_at_once,
    _spike_by_spike,
    advance,
    senders_with,
)

STEP = 0.0005
PAIR = Network(
    {
        "A": Population(30, 0.02, 12.0, 8.0, refractory=0.002, synapse_time=0.004, delay=0.003),
        "B": Population(20, 0.01, 14.0, 10.0, refractory=0.001, synapse_time=0.01),
    },
    {"A": {"A": 6.0, "B": 8.0}, "B": {"A": -9.0}},
)


def one(size=50, **changes):
    """One unconnected population."""
    numbers = {"membrane_time": 0.02, "resting": 14.4, "threshold": 10.0} | changes
    return Network({"E": Population(size, **numbers)})


def voltages(network, *, fraction=0.0, current=0.0, n_steps=300, membrane="exact"):
    """Voltage after each step of a network that never fires, from reset.

    ``fraction`` of its neurons fired in the step before.
    """
    constants = StepConstants.of(network, STEP, membrane)
    history = Asynchronous(0.0).history(constants, 1, np.random.default_rng(0), who=False)
    history.fraction[0] = fraction
    history = history._replace(potential=0 * history.potential)
    state = first_state(history, constants, {}, np.random.default_rng(0))
    coefficients = Coefficients.of(constants, {})
    keys = jax.random.split(jax.random.key(0), 1)
    drive = jnp.full((1, 1, 1, 1), current, jnp.float32)
    found = []
    for step in range(n_steps):
        state, fired = advance(state, coefficients, keys, np.int32(step), drive, senders=())
        assert not fired.any()
        found.append(float(state.potential[0, 0, 0]))
    return np.array(found)


def test_a_steady_input_charges_the_membrane_exponentially():
    time = STEP * np.arange(1, 301)
    silent = one(2, resting=5.0, threshold=1e3)
    found = voltages(silent, current=3.0)
    np.testing.assert_allclose(found, 8 * (1 - np.exp(-time / 0.02)), rtol=1e-5)
    euler = voltages(silent, current=3.0, membrane="euler")
    np.testing.assert_allclose(euler, 8 * (1 - (1 - STEP / 0.02) ** np.arange(1, 301)), rtol=1e-5)


@pytest.mark.parametrize("synapse_time", [0.004, 0.02, 0.05])
def test_a_volley_moves_the_voltage_along_the_difference_of_two_exponentials(synapse_time):
    neuron = Population(2, 0.02, 0.0, 1e3, synapse_time=synapse_time, delay=0.01)
    found = voltages(Network({"E": neuron}, {"E": {"E": 10.0}}), fraction=0.5)
    # fired in step −1: its end is time 0, the delay ends at 10 ms
    after = np.maximum(STEP * np.arange(1, 301) - 0.01, 0)
    if synapse_time == 0.02:
        expected = 5 * after / 0.02 * np.exp(-after / 0.02)
    else:
        gap = np.exp(-after / 0.02) - np.exp(-after / synapse_time)
        expected = 5 * 0.02 / (0.02 - synapse_time) * gap
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_volley_has_unit_area_for_both_membranes():
    neuron = Population(2, 1e4, 0.0, 1e3, synapse_time=0.004)  # hardly any leak
    for membrane in ("exact", "euler"):
        found = voltages(Network({"E": neuron}, {"E": {"E": 10.0}}), fraction=1, membrane=membrane)
        assert found[-1] == pytest.approx(10, rel=1e-4)


@pytest.mark.parametrize("refractory", [0.0, 0.001, 0.004])
def test_neurons_fire_no_sooner_than_the_refractory_period_allows(refractory):
    activity = lif_network(one(threshold=-40.0, refractory=refractory), 0.1, seed=0, time_step=STEP)
    np.testing.assert_allclose(activity.intervals("E"), refractory + STEP)


def test_equal_seeds_give_equal_spikes_and_more_trials_leave_earlier_ones():
    first, again = (lif_network(PAIR, 0.3, seed=3, time_step=STEP, n_trials=2) for _ in range(2))
    other = lif_network(PAIR, 0.3, seed=4, time_step=STEP, n_trials=2)
    more = lif_network(PAIR, 0.3, seed=3, time_step=STEP, n_trials=3)
    for trial in range(2):
        for same in (again, more):
            np.testing.assert_array_equal(first.spike_steps[trial], same.spike_steps[trial])
            np.testing.assert_array_equal(first.spike_neurons[trial], same.spike_neurons[trial])
    assert not np.array_equal(first.spike_neurons[0], other.spike_neurons[0])
    assert not np.array_equal(first.spike_neurons[0], first.spike_neurons[1])


def test_blocks_leave_no_trace(monkeypatch):
    whole = lif_network(PAIR, 0.3, seed=3, time_step=STEP)
    monkeypatch.setattr(sys.modules[lif_network.__module__], "_BLOCK_STEPS", 64)
    pieces = lif_network(PAIR, 0.3, seed=3, time_step=STEP)
    np.testing.assert_array_equal(whole.spike_steps[0], pieces.spike_steps[0])
    np.testing.assert_array_equal(whole.spike_neurons[0], pieces.spike_neurons[0])


def test_trials_shared_by_two_devices_are_those_of_one():
    # Two trials are shared by two devices, three are not.
    program = (
        "import jax; jax.config.update('jax_num_cpu_devices', 2)\n"
        "from latentspike.simulate import *\n"
        "for n_trials in (2, 3):\n"
        "    a = lif_network(winner_take_all(), 0.1, seed=1, n_trials=n_trials,\n"
        "                    start=Asynchronous(10.0))\n"
        "    print(len(jax.devices()), [x.tolist() for x in a.spike_neurons[:2]])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    shared, alone = found.stdout.splitlines()
    assert shared.startswith("2 [[")
    assert len(shared) > 1000
    assert shared == alone


def test_other_numbers_do_not_compile_again():
    def run(strength, threshold, seed, membrane):
        neuron = Population(30, 0.02, 14.0, threshold, refractory=0.001)
        network = Network({"E": neuron}, {"E": {"E": strength}})
        pulse = {"E": [Pulse(0.01 * seed, 0.02, 3.0)]}
        lif_network(network, 0.1, seed=seed, time_step=STEP, membrane=membrane, current=pulse)

    run(1.0, 10.0, 0, "exact")
    compiled = advance._cache_size()
    run(2.0, 9.0, 1, "euler")
    assert advance._cache_size() == compiled


def cumulative_hazards(activity, network, *, weights, current, membrane):
    """Hazard summed before and through the step of each spike since the neuron's last, by loop."""
    values, rng = network.values(), np.random.default_rng(0)
    sizes = network.sizes.astype(int)
    populations = list(network.populations.values())
    of = np.repeat(np.arange(len(sizes)), sizes)
    fired = np.zeros((activity.n_steps, sizes.sum()))
    fired[activity.spike_steps[0], activity.spike_neurons[0]] = 1
    strength = np.concatenate(
        [
            np.concatenate(
                [
                    weights.get((s, r), np.full((n_r, n_s), values.strength[k, j] / n_s))
                    for j, (s, n_s) in enumerate(zip(network.names, sizes, strict=True))
                ],
                axis=1,
            )
            for k, (r, n_r) in enumerate(zip(network.names, sizes, strict=True))
        ]
    )
    tau, tau_s = values.membrane_time[of], values.synapse_time[of]
    silent_since = np.full(sizes.sum(), -(10**6))
    potential, synapse, total = (np.zeros(sizes.sum()) for _ in range(3))
    found = []
    fine = 50  # sub-steps of a plain integration, against the simulator's exact step
    for step in range(activity.n_steps):
        delayed = [step - 1 - round(p.delay / STEP) for p in populations]
        arriving = np.array(
            [fired[delayed[k], i] if delayed[k] >= 0 else 0 for i, k in enumerate(of)]
        )
        target = values.resting[of] + current[of, step]
        if membrane == "exact":
            synapse = synapse * np.exp(-STEP / tau_s) + arriving / tau_s
            for sub in range(fine):
                middle = synapse * np.exp(-(sub + 0.5) * STEP / fine / tau_s)
                slope = (target - potential) / tau + strength @ middle
                potential = potential + STEP / fine * slope
        else:
            decay = np.exp(-STEP / tau_s)
            synapse = synapse * decay + (1 - decay) * arriving / STEP
            potential = potential + STEP * ((target - potential) / tau + strength @ synapse)
        held = (
            step - silent_since <= np.array([round(p.refractory / STEP) for p in populations])[of]
        )
        potential = np.where(held, 0, potential)
        hazard = np.where(held, 0, np.exp(potential - values.threshold[of])) * STEP
        now = fired[step] > 0
        assert not (now & held).any()
        known = now & (silent_since >= 0)
        # where in its step a neuron fires is not observable: uniform in probability
        low, high = np.exp(-total), np.exp(-total - hazard)
        found.append((high + (low - high) * rng.random(low.size))[known])
        total = np.where(now, 0, total + hazard)
        potential = np.where(now, 0, potential)
        silent_since = np.where(now, step, silent_since)
    return np.concatenate(found)


@pytest.mark.parametrize("membrane", ["exact", "euler"])
@pytest.mark.parametrize("is_dense", [False, True])
def test_spikes_follow_the_equations_of_the_network(membrane, is_dense):
    # Time rescaling: survival at a spike is uniform if the voltages and hazards are right.
    rng = np.random.default_rng(1)
    weights = {("A", "B"): rng.normal(0.3, 0.3, (20, 30))} if is_dense else {}
    n_steps = 6000
    current = {"B": 3 * np.sin(np.arange(n_steps) / 100)}
    activity = lif_network(
        PAIR,
        n_steps * STEP,
        seed=5,
        time_step=STEP,
        membrane=membrane,
        start=Asynchronous(0.0),
        current=current,
        weights=weights,
    )
    both = np.stack([np.zeros(n_steps), current["B"]])
    found = cumulative_hazards(activity, PAIR, weights=weights, current=both, membrane=membrane)
    assert len(found) > 1500
    assert kstest(found, "uniform").pvalue > 0.01


def test_weights_alike_are_the_mean_field():
    # Voltages after spikes that are on their way at the start, in neurons that never fire.
    silent = {n: replace(p, threshold=1e3) for n, p in PAIR.populations.items()}
    constants = StepConstants.of(Network(silent, PAIR.connections), STEP, "exact")
    rng = np.random.default_rng(0)
    history = Asynchronous({"A": 100.0, "B": 40.0}).history(constants, 2, rng, who=True)
    n = constants.sizes
    in_population = np.arange(30) < n[:, None]
    fraction = (history.fired[0] & in_population).sum(-1) / n
    assert fraction.max() > 0
    fired = np.repeat(history.fired[:1], 2, axis=0)
    history = history._replace(fraction=fraction, fired=fired)
    dense = {
        (s, r): np.full((n[r], n[s]), constants.strength[r, s] / n[s])
        for s, r in ((0, 0), (0, 1), (1, 0))
    }
    found = []
    for weights in ({}, dense):
        state = first_state(history, constants, weights, rng)
        coefficients = Coefficients.of(constants, weights)
        keys = jax.random.split(jax.random.key(0), 2)
        current = jnp.zeros((10, 2, 1, 2))
        state, _ = advance(
            state, coefficients, keys, np.int32(0), current, senders=senders_with(weights)
        )
        found.append(np.where(in_population, state.potential, 0))
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    quiet = constants.resting * (1 - constants.leak**20)
    assert (np.abs(found[0][0, :, 0] - quiet) > 0.1).all()  # synapses made a difference


def test_weights_added_spike_by_spike_are_those_of_all_at_once():
    rng = np.random.default_rng(0)
    fired = jnp.asarray(rng.random((3, 20)) < np.array([[0.0], [0.2], [1.0]]))
    weights = jnp.asarray(rng.normal(size=(20, 2, 20)), jnp.float32)
    expected = np.einsum("tj,jki->tki", np.asarray(fired, float), np.asarray(weights, float))
    for add in (_all_at_once, _spike_by_spike):
        np.testing.assert_allclose(add(fired, weights), expected, atol=1e-4)


def test_a_pulse_acts_on_its_population_its_trials_and_not_before():
    pulses = {"E1": [Pulse(0.2, 0.1, 8.0, trials=[1]), Pulse(0.25, 0.05, 4.0, trials=[1])]}
    arrays = np.zeros((2, 2000))
    arrays[1, 1000:1500] = 8
    arrays[1, 1250:1500] += 4
    plain, pulsed, same = (
        lif_network(winner_take_all(), 0.4, seed=6, n_trials=2, current=c)
        for c in (None, pulses, {"E1": arrays})
    )
    np.testing.assert_array_equal(pulsed.spike_neurons[1], same.spike_neurons[1])
    np.testing.assert_array_equal(plain.spike_neurons[0], pulsed.spike_neurons[0])
    a, b = plain.counts(0.1), pulsed.counts(0.1)
    np.testing.assert_array_equal(a[1, :2], b[1, :2])
    assert b[1, 2, 0] > a[1, 2, 0] + 400
    # every spike of the two runs is the same until the pulse starts
    before = plain.spike_steps[1] <= 1000
    np.testing.assert_array_equal(
        plain.spike_neurons[1][before], pulsed.spike_neurons[1][: before.sum()]
    )


def test_intervals_follow_renewal_theory():
    network = one(1000, threshold=10.5, refractory=0.004)
    activity = lif_network(network, 5.0, seed=7, n_trials=2)
    time = 0.0002 * np.arange(1, 5000)
    hazard = np.exp(14.4 * (1 - np.exp(-time / 0.02)) - 10.5)
    survival = np.exp(-0.0002 * np.cumsum(hazard))
    chance = -np.diff(survival, prepend=1.0)
    interval = time + 0.004
    mean = chance @ interval
    deviation = np.sqrt(chance @ interval**2 - mean**2)
    found = activity.intervals("E")
    assert len(found) > 100_000
    assert found.mean() == pytest.approx(mean, rel=0.01)
    # long intervals are cut off by the end of a trial: 5 s hold about 150 of them
    assert found.std() / found.mean() == pytest.approx(deviation / mean, rel=0.02)
    quantile = np.searchsorted(np.cumsum(chance), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(
        np.quantile(found, [0.1, 0.5, 0.9]), interval[quantile], rtol=0.01, atol=0.0002
    )


def test_one_excitatory_population_wins_at_the_known_rates():
    activity = lif_network(winner_take_all(), 10.0, seed=8, n_trials=3)
    rates = activity.counts(0.1) / (0.1 * np.array([400, 400, 200]))
    contrast = (rates[..., 0] - rates[..., 1]) / (rates[..., 0] + rates[..., 1])
    decided = np.abs(contrast) > 0.5  # as in the definition of a switch
    assert 0.4 < decided.mean() < 0.8
    winner = rates[..., :2].max(-1)[decided].mean()
    loser = rates[..., :2].min(-1)[decided].mean()
    found = [winner, loser, rates[..., 2].mean()]
    np.testing.assert_allclose(found, [19.8, 5.2, 24.6], rtol=0.04)


@pytest.mark.parametrize(("strength", "clusters"), [(60.32, (2, 3, 4)), (64.0, (1,))])
def test_one_population_falls_into_clusters(strength, clusters):
    network = cluster_network(strength)
    activity = lif_network(
        network, 2.0, seed=1, time_step=0.001, n_trials=4, start=Asynchronous(20.0)
    )
    counts = activity.counts(0.001)[:, 1000:, 0]
    assert (counts.var(1) > 30 * counts.mean(1)).all()
    for counted in counts:
        power = np.abs(np.fft.rfft(counted - counted.mean())) ** 2
        volleys = np.argmax(power[:100])  # in 1 s, so Hz; without harmonics
        ratio = volleys / (counted.sum() / 600)  # volleys per spike of a neuron
        assert round(ratio) in clusters
        assert ratio == pytest.approx(round(ratio), abs=0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_step": 0.003}, "duration in time steps"),
        ({"time_step": 0.0}, "time_step must be positive"),
        ({"time_step": 0.002}, r"A\.delay of 0\.003 s is not a whole number of time steps"),
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"membrane": "midpoint"}, "membrane must be 'exact' or 'euler'"),
        ({"start": Asynchronous({"A": 5.0})}, "rates name A; populations: A, B"),
        ({"start": Asynchronous(5.0, warm_up=0.0001)}, r"start\.warm_up of 0\.0001 s"),
        ({"current": {"C": np.zeros(400)}}, "current of 'C'; populations: A, B"),
        ({"current": {"A": np.zeros(399)}}, r"current of A must be \[400 steps\]"),
        ({"current": {"A": np.full(400, np.nan)}}, "current of A, trial 0, step 0 is not finite"),
        ({"current": {"A": [Pulse(0.19, 0.02, 1.0)]}}, "ends after the 0.2 s"),
        ({"current": {"A": [Pulse(0.0, 0.1, 1.0, trials=[1])]}}, r"trials \[1\] of 1"),
        ({"current": {"B": Pulse(0.0001, 0.1, 1.0)}}, "current of B: a start of 0.0001 s"),
        ({"weights": {("A", "C"): np.zeros((1, 30))}}, "weights of A → C: populations: A, B"),
        ({"weights": {("A", "B"): np.zeros((30, 20))}}, r"must be \[20 receivers, 30 senders\]"),
        ({"weights": {("A", "B"): np.full((20, 30), np.inf)}}, "A → B are not all finite"),
    ],
)
def test_what_does_not_fit_the_network_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        lif_network(PAIR, 0.2, **({"seed": 0, "time_step": STEP} | changes))


def test_free_parameters_and_coarse_euler_steps_are_refused():
    with pytest.raises(ValueError, match=r"free parameters \(strength_E1, .*with_values"):
        lif_network(winner_take_all(free=True), 1.0, seed=0)
    with pytest.raises(ValueError, match=r"E: a time step of 1\.25 membrane times"):
        lif_network(one(membrane_time=0.008), 1.0, seed=0, time_step=0.01, membrane="euler")


@pytest.mark.parametrize("numbers", [(-0.1, 0.1, 1), (0, 0, 1), (0, 0.1, np.inf)])
def test_a_pulse_needs_sense(numbers):
    with pytest.raises(ValueError, match="a pulse"):
        Pulse(*numbers)
