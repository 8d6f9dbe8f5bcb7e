"""The mesoscopic model stays finite, whatever finite numbers it is given."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike.dynamics import Mesoscopic, Stepping
from latentspike.dynamics.bin_by_bin import close_bin, open_bin, outcome, start
from latentspike.dynamics.drive import drive
from latentspike.dynamics.free_run import free_run
from latentspike.dynamics.mesoscopic import log_activity, predict
from latentspike.dynamics.parts import Values
from latentspike.dynamics.single_neurons import log_spikes

K, N_BINS = 2, 12
# each costs a compilation; a bin of another width is times, rates and thresholds of another scale
SYSTEMS = [
    Mesoscopic((50.0, 3.0), 0.01, (1, 0), (0, 2), 6, Stepping("exact", "refined", has_old=True)),
    Mesoscopic((50.0, 3.0), 1e-4, (0, 2), (0, 0), 6, Stepping("euler", "poisson", has_old=False)),
]
POPULATION = np.array([0, 1, 1])

times = st.floats(-4.0, 1.0).map(lambda x: 10.0**x)  # 1e-4 … 10 s
millivolts = st.one_of(st.floats(-1000, 1000), st.sampled_from([0.0, 1000.0, -1000.0]))
shares = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0]))


def lists(element, n):
    return st.lists(element, min_size=n, max_size=n).map(np.array)


@st.composite
def numbers(draw):
    membrane = draw(lists(times, K))
    synapse = draw(st.one_of(lists(times, K), st.just(membrane)))
    volts = draw(lists(millivolts, 2 * K + K * K))
    return Values(
        membrane,
        volts[:K],
        volts[K : 2 * K],
        synapse,
        volts[2 * K :].reshape(K, K),
        np.zeros((K, 0)),
    )


def _joint(system, values, activity, rate, spikes, ages):
    prediction = predict(system, values, activity, rate)
    driven = drive(system, values, activity.T, rate, None)
    seen = log_spikes(system, values, driven, spikes=spikes, ages=ages, population=POPULATION)
    return jnp.sum(log_activity(system, prediction, activity)) + jnp.sum(seen), prediction


joint = jax.jit(jax.value_and_grad(_joint, (1, 2, 3), has_aux=True), static_argnums=0)


@given(
    st.sampled_from(SYSTEMS),
    numbers(),
    lists(shares, N_BINS * K),
    lists(st.floats(0, 1000), K),
    lists(st.integers(0, 1), N_BINS * 3),
    st.integers(-1, 15),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_values_and_gradients_are_finite(system, values, activity, rate, spikes, age):
    spikes = spikes.reshape(N_BINS, 3).astype(float)
    ages = np.full((N_BINS, 3), age)
    # a rate cannot exceed one spike per bin
    rate = np.minimum(rate, 1 / system.bin_width)
    with jax.enable_x64(True):
        given_to = (values, activity.reshape(N_BINS, K), rate, spikes, ages)
        (value, found), gradients = jax.device_get(joint(system, *given_to))
    assert np.isfinite(value)
    for name, part in found._asdict().items():
        assert np.isfinite(part).all(), name
    assert np.all(found.mean >= 0) and np.all(found.mean <= 1) and np.all(found.variance > 0)
    for name, part in gradients[0]._asdict().items():
        assert np.isfinite(part).all(), f"gradient in {name}"
    assert np.isfinite(gradients[1]).all() and np.isfinite(gradients[2]).all()


@partial(jax.jit, static_argnames="is_conditioned")
def masses(values, activity, rate, *, is_conditioned):
    """Mass of every class and what is doubtful of it, before the first bin and after every bin."""
    system = SYSTEMS[0]

    def one_bin(state, now):
        opened = open_bin(system, values, state, jnp.zeros(K))
        potential = opened.driven + opened.same_bin @ now
        found = outcome(system, values, opened, potential)
        state = close_bin(
            system, values, opened, potential, found, now, is_conditioned=is_conditioned
        )
        return state, (state.mass, state.doubtful)

    state = start(system, values, rate)
    later = jax.lax.scan(one_bin, state, activity)[1]
    first = state.mass, state.doubtful
    return [jnp.concatenate([a[None], b]) for a, b in zip(first, later, strict=True)]


@given(numbers(), lists(shares, N_BINS * K), lists(st.floats(0, 200), K))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_classes_lose_neurons_as_they_age(values, activity, rate):
    with jax.enable_x64(True):
        found = masses(values, activity.reshape(N_BINS, K), rate, is_conditioned=False)
    mass, doubtful = (np.moveaxis(np.asarray(x), -1, 1) for x in found)
    assert np.all(mass >= 0) and np.isfinite(mass).all()
    assert np.all(mass[1:, 1:-1] <= mass[:-1, :-2])  # of the same neurons, with time
    np.testing.assert_array_equal(mass[1:, 0], activity.reshape(N_BINS, K))
    assert np.all(doubtful >= 0) and np.all(doubtful <= mass * (1 + 1e-12))


@given(numbers(), lists(shares, N_BINS * K), lists(st.floats(0, 200), K))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_counted_neurons_are_neither_lost_nor_made(values, activity, rate):
    with jax.enable_x64(True):
        found = masses(values, activity.reshape(N_BINS, K), rate, is_conditioned=True)
    mass, doubtful = (np.moveaxis(np.asarray(x), -1, 1) for x in found)
    assert np.all(mass >= 0) and np.isfinite(doubtful).all() and np.all(doubtful >= 0)
    np.testing.assert_allclose(mass[1:].sum(1), 1.0, atol=1e-9)


@given(numbers(), st.integers(0, 2**31 - 1), lists(st.floats(0, 250), K))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_free_simulation_counts_whole_neurons(values, seed, rate):
    system = SYSTEMS[0]
    with jax.enable_x64(True):
        counts = np.asarray(free_run(system, values, rate, 30, None, key=jax.random.key(seed)))
    assert np.array_equal(counts, np.round(counts))
    assert counts.min() >= 0 and np.all(counts <= np.array(system.sizes))
