"""One table over every model: init → fit → infer → simulate → save → load → the same again."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from latentspike import SpikeData, devices
from latentspike.dynamics import Free, Network, Population
from latentspike.dynamics.stepping import Stepping
from latentspike.evaluate import co_smoothing_bits
from latentspike.models.fitted import Fitted
from latentspike.models.glm import GLM
from latentspike.models.gpfa import GPFA
from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.linear_dynamics import PLDS, SLDS
from latentspike.models.neulvm import Estimation, NeuLVM
from latentspike.models.protocol import (
    DataSpec,
    EstimatedModel,
    GradientModel,
    Model,
    SteppedModel,
)
from latentspike.models.psth import PSTH
from latentspike.models.registry import MODELS, model_from_config, model_to_config
from latentspike.models.smoothing import GaussianSmoothing
from latentspike.spikes import Split
from latentspike.training import RunOptions, TrainingSettings, fit

devices.prepare()
KEY = jax.random.key(0)
SIZES = {
    "generator_size": 6, "n_factors": 3, "ic_encoder_size": 5, "ic_size": 3,
    "n_inferred_inputs": 2, "ci_encoder_size": 5, "controller_size": 5,
}  # fmt: skip
NETWORK = Network({"E": Population(50, 0.1, 14.0, 11.0)}, {"E": {"E": Free(0.0, 3.0)}})
STEPPING = Stepping("euler", "binomial", has_old=False, max_age=0.2)
ESTIMATION = Estimation(
    n_starts=1, n_warmup=10, n_draws=10, n_leapfrog=1, smoothing=0.04, n_particles=50
)
# every model of the registry, and what may be asked of it; "binary": a bin holds one spike at most;
# "blind": it reads no spike of the trials that it explains
TABLE = {
    "lfads": (LFADS(Architecture(**SIZES)), {"positive", "simulates", "draws"}),
    "linear_autoencoder": (LinearAutoencoder(initial_scale=0.2), set()),
    "neulvm": (
        NeuLVM(NETWORK, stepping=STEPPING, estimation=ESTIMATION),
        {"positive", "simulates", "draws", "binary"},
    ),
    "plds": (PLDS(n_latents=2, n_iterations=3), {"positive", "simulates"}),
    "slds": (
        SLDS(n_latents=2, n_states=2, n_iterations=6, n_starts=2),
        {"positive", "simulates"},
    ),
    "glm": (GLM(), {"positive", "simulates"}),
    "gpfa": (GPFA(n_latents=3), {"positive", "simulates"}),
    "psth": (PSTH(), {"positive", "simulates", "blind"}),
    "smoothing": (GaussianSmoothing(width=0.05), {"positive"}),
}
CLOSED_FORM = {"glm", "gpfa", "psth", "smoothing"}
IN_STEPS = {"neulvm", "plds", "slds"}
SPLIT = Split(np.arange(24), np.arange(24, 30))

_compilations = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: _compilations.append(event) if "backend_compile" in event else None
)


@pytest.fixture(scope="module")
def counts():
    """Counts with a held-out neuron, forward bins and missing bins."""
    rng = np.random.default_rng(4)
    expected = 3 + 2 * np.sin(rng.uniform(0, 6, (30, 1, 1)) + np.arange(60).reshape(10, 6))
    return SpikeData(
        rng.poisson(expected),
        bin_width=0.02,
        t_start=-0.1,
        observed=rng.random(expected.shape) > 0.1,
        heldout=np.arange(6) == 5,
        n_forward_bins=2,
        trial_ids=np.arange(100, 130),
    )


@pytest.fixture(scope="module")
def fits():
    """Each model fitted once."""
    return {}


@pytest.fixture(params=TABLE)
def name(request):
    return request.param


@pytest.fixture
def data(name, counts):
    """A recording that suits the model."""
    is_binary = "binary" in TABLE[name][1]
    return counts.replace(counts=(counts.counts > 4).astype(int)) if is_binary else counts


@pytest.fixture
def entry(name, fits, data):
    model, abilities = TABLE[name]
    if name not in fits:
        fits[name] = fit_it(model, data)
    return name, fits[name], abilities


def fit_it(model, data):
    settings = TrainingSettings(max_epochs=2, batch_size=16, ramp_epochs=2, sample_validation=0.2)
    options = RunOptions(show=False, n_devices=1)
    return fit(model, data, split=SPLIT, settings=settings, options=options, key=KEY)


def compilations_during(action):
    before = len(_compilations)
    action()
    return len(_compilations) - before


def test_every_model_of_the_registry_is_in_the_table():
    assert set(TABLE) == set(MODELS)
    for name, (model, _) in TABLE.items():
        assert type(model) is MODELS[name]
        assert isinstance(model, Model)
        assert isinstance(model, EstimatedModel) == (name in CLOSED_FORM)
        assert isinstance(model, SteppedModel) == (name in IN_STEPS)
        assert isinstance(model, GradientModel) == (name not in CLOSED_FORM | IN_STEPS)


def test_configurations_are_frozen_plain_and_hashable(name):
    model, _ = TABLE[name]
    config = model_to_config(model)
    assert config["name"] == name and json.loads(json.dumps(config)) == config
    assert model_from_config(config) == model and hash(model_from_config(config)) == hash(model)
    field = dataclasses.fields(model)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(model, field, None)
    with pytest.raises(ValueError, match=rf"unknown key {name}\.sise; known: .*{field}"):
        model_from_config(config | {"sise": 3})


def test_parameters_depend_on_data_and_key_alone(entry, data):
    name, fitted, _ = entry
    spec = DataSpec.of(data)
    a, b = (fitted.model.init(spec, key=jax.random.key(1)) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    shapes = lambda tree: jax.tree.map(np.shape, tree)  # noqa: E731
    # an estimation in steps adds what it found out on the way
    assert shapes(a) == shapes({part: fitted.params[part] for part in a})
    assert name in IN_STEPS or a.keys() == fitted.params.keys()
    if name not in CLOSED_FORM | IN_STEPS:
        other = fitted.model.init(spec, key=jax.random.key(2))
        pairs = zip(jax.tree.leaves(a), jax.tree.leaves(other), strict=True)
        assert not all(np.array_equal(x, y) for x, y in pairs)


def test_fitting_moves_the_parameters_and_reports_every_epoch(entry, data):
    name, fitted, _ = entry
    if name in CLOSED_FORM:
        assert fitted.history == []
        return
    if name in IN_STEPS:
        assert [row["step"] for row in fitted.history] == list(range(fitted.model.n_steps))
        assert all(np.isfinite(value) for row in fitted.history for value in row.values())
        assert fitted.about["n_steps"] == fitted.model.n_steps
        return
    assert [row["epoch"] for row in fitted.history] == [0, 1]
    assert {"train_loss", "train_recon", "valid_loss", "valid_heldout", "sample_loss"} <= set(
        fitted.history[0]
    )
    assert all(np.isfinite(value) for row in fitted.history for value in row.values())
    assert fitted.about["n_epochs"] == 2 and fitted.about["stopped"] == "reached 2 epochs"


def test_inference_covers_every_entry_in_hz(entry, data):
    _, fitted, abilities = entry
    found = fitted.infer(data, n_samples=2, key=KEY)
    assert found.rates.shape == data.counts.shape and np.isfinite(found.rates).all()
    np.testing.assert_array_equal(found.trial_ids, data.trial_ids)
    np.testing.assert_array_equal(found.neuron_ids, data.neuron_ids)
    assert (found.bin_width, found.t_start) == (data.bin_width, data.t_start)
    if "positive" in abilities:
        assert found.rates.min() > 0
    for name, value in found.arrays().items():
        assert np.isfinite(value).all(), name
        assert not name.endswith("_std") or (value >= 0).all(), name


def test_scores_are_those_of_the_inference(entry, data):
    name, fitted, _ = entry
    if name == "linear_autoencoder":
        pytest.skip("its observations are no counts")
    found = {score.metric: score for score in fitted.score(data, n_samples=2, key=KEY)}
    posterior = fitted.infer(data, n_samples=2, key=KEY)
    assert found["co-smoothing bits per spike"].value == co_smoothing_bits(data, posterior).value
    assert {"forward bits per spike", "held-in bits per spike"} <= set(found)


def test_rates_are_per_second(entry, data):
    """The same counts in bins of half the width are twice the rates."""
    name, fitted, _ = entry
    model, params = fitted.model, fitted.params
    finer = data.replace(bin_width=data.bin_width / 2)
    if name == "smoothing":  # its kernel is in seconds too
        model = dataclasses.replace(model, width=model.width / 2)
    if name == "neulvm":  # so are its time constants, and its hazards are per second
        model = twice_as_fast(model)
    coarse = fitted.infer(data, n_samples=0, key=KEY).rates
    fine = model.infer(params, finer, n_samples=0, key=KEY).rates
    np.testing.assert_allclose(fine, 2 * coarse, rtol=1e-5)


def twice_as_fast(model):
    slow = model.network.populations["E"]
    fast = dataclasses.replace(
        slow,
        membrane_time=slow.membrane_time / 2,
        synapse_time=slow.synapse_time / 2,
        threshold=slow.threshold - np.log(2),
    )
    return dataclasses.replace(
        model,
        network=dataclasses.replace(model.network, populations={"E": fast}),
        stepping=dataclasses.replace(model.stepping, max_age=model.stepping.max_age / 2),
        estimation=dataclasses.replace(ESTIMATION, smoothing=ESTIMATION.smoothing / 2),
    )


def test_what_may_not_be_read_is_not(entry, data):
    _, fitted, abilities = entry
    hidden = ~data.readable[None] | ~data.observed
    other = 1 - data.counts if "binary" in abilities else data.counts + 3
    spoiled = data.replace(counts=np.where(hidden, other, data.counts))
    rates = lambda d: fitted.infer(d, n_samples=0, key=KEY).rates  # noqa: E731
    np.testing.assert_array_equal(rates(spoiled), rates(data))
    shown = data.replace(counts=np.where(hidden, data.counts, other))
    assert np.array_equal(rates(shown), rates(data)) == ("blind" in abilities)


def test_permuting_trials_permutes_inference(entry, data):
    _, fitted, _ = entry
    order = np.random.default_rng(0).permutation(data.n_trials)
    straight = fitted.infer(data, n_samples=0, key=KEY).rates
    permuted = fitted.infer(data.select_trials(order), n_samples=0, key=KEY)
    np.testing.assert_allclose(permuted.rates, straight[order], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(permuted.trial_ids, data.trial_ids[order])


def test_a_saved_model_infers_the_same(entry, data, tmp_path):
    _, fitted, _ = entry
    path = fitted.save(tmp_path)
    loaded = Fitted.load(tmp_path)
    assert path.parent == tmp_path
    assert loaded.model == fitted.model
    assert loaded.history == fitted.history and loaded.about == fitted.about
    assert jax.tree.structure(loaded.params) == jax.tree.structure(fitted.params)
    for a, b in zip(jax.tree.leaves(loaded.params), jax.tree.leaves(fitted.params), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    infer = lambda f: f.infer(data, n_samples=2, key=KEY).arrays()  # noqa: E731
    for name, value in infer(fitted).items():
        np.testing.assert_array_equal(infer(loaded)[name], value)


def test_the_key_decides_about_draws(entry, data):
    _, fitted, abilities = entry
    rates = lambda seed: fitted.infer(data, n_samples=2, key=jax.random.key(seed)).rates  # noqa: E731
    np.testing.assert_array_equal(rates(0), rates(0))
    assert np.array_equal(rates(0), rates(1)) == ("draws" not in abilities)


def test_simulation_where_there_is_one(entry):
    _, fitted, abilities = entry
    if "simulates" not in abilities:
        assert not hasattr(fitted.model, "simulate")
        return
    one, same, other = (
        fitted.simulate(n_trials=3, n_bins=7, bin_width=0.02, key=jax.random.key(seed))
        for seed in (0, 0, 1)
    )
    assert one.counts.shape == (3, 7, 6) and one.truth["rates"].shape == (3, 7, 6)
    np.testing.assert_array_equal(one.counts, same.counts)
    assert not np.array_equal(one.counts, other.counts)


def test_a_second_call_compiles_nothing(entry, data):
    _, fitted, abilities = entry

    def everything(seed):
        fit_it(fitted.model, data)
        for n_samples in (0, 2):
            fitted.infer(data, n_samples=n_samples, key=jax.random.key(seed))
        if "simulates" in abilities:
            fitted.simulate(n_trials=3, n_bins=7, bin_width=0.02, key=jax.random.key(seed))

    everything(0)
    assert compilations_during(lambda: everything(1)) == 0


def test_the_compilation_counter_counts():
    assert compilations_during(lambda: jax.jit(lambda x: x * 1.2345)(np.ones(3))) > 0


def test_an_unknown_model_is_named():
    with pytest.raises(ValueError, match="unknown model 'hmm'; known: lfads"):
        model_from_config({"name": "hmm"})
    with pytest.raises(ValueError, match="int is not a known model"):
        model_to_config(3)
