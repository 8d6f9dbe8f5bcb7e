"""NeuLVM as a model: configuration, fit in steps, inference, and what it refuses."""

import dataclasses
import json
import tomllib

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.cli.fit import parameter_lines
from latentspike.cli.toml import to_toml
from latentspike.dynamics import Free, Network, Population
from latentspike.dynamics.stepping import Stepping
from latentspike.files import load_arrays
from latentspike.models.neulvm import Estimation, NeuLVM, inference
from latentspike.models.protocol import DataSpec, EstimatedModel, GradientModel, SteppedModel
from latentspike.models.registry import model_from_config, model_to_config
from latentspike.simulate import winner_take_all
from latentspike.training import RunOptions, fit

KEY = jax.random.key(0)
# the cheapest to compile; the other settings are tested with the equations themselves
FAST = Stepping("euler", "binomial", has_old=False, max_age=0.06)
SHORT = Estimation(
    n_starts=1, n_leapfrog=2, n_warmup=10, n_draws=20, smoothing=0.02, n_particles=50
)
NETWORK = Network(
    {"E": Population(50, 0.02, resting=14.0, threshold=9.0, refractory=0.004)},
    {"E": {"E": Free(0.0, 5.0)}},
)
MODEL = NeuLVM(NETWORK, stepping=FAST, estimation=SHORT)
PAIR = Network({name: Population(40, 0.02, 14.0, 9.0) for name in ("A B", "I")})


def recording(n_trials=1, n_neurons=2, **more):
    counts = np.random.default_rng(0).random((n_trials, 60, n_neurons)) < 0.08
    return SpikeData(counts.astype(int), bin_width=0.004, **more)


def unfitted(model=MODEL, data=None):
    return model.init(DataSpec.of(recording() if data is None else data), key=KEY)


def train(folder=None, *, data=None, **options):
    options = RunOptions(folder, show=False, **options)
    return fit(MODEL, recording() if data is None else data, options=options, key=KEY)


# --- configuration ------------------------------------------------------------------------------

FULL = NeuLVM(
    winner_take_all(free=True),
    neurons={"I": [3, 1], "E2": ["x"], "E1": ["E1-017", "a b"]},
    stepping=Stepping(max_age=0.05),
    estimation=SHORT,
)


@pytest.mark.parametrize("model", [MODEL, FULL, NeuLVM(PAIR, {"A B": ["a"], "I": ["i"]})])
def test_configurations_survive_toml_and_json(model):
    config = model_to_config(model)
    assert config["name"] == "neulvm"
    for again in (tomllib.loads(to_toml(config)), json.loads(json.dumps(config))):
        assert again == config
        assert model_from_config(again) == model
        assert hash(model_from_config(again)) == hash(model)


def test_a_table_reads_as_a_person_would_write_it():
    text = """
    name = "neulvm"
    [network.populations.E1]
    size = 400
    membrane_time = 0.02
    resting = 14.4
    threshold = { low = 1, high = 7 }
    [network.connections.E1]
    E1 = "J"
    [network.parameters.J]
    low = 4.0
    high = 20.0
    [neurons]
    E1 = ["E1-017", "E1-101"]
    """
    model = model_from_config(tomllib.loads(text))
    assert model.network.free_names == ("J", "E1.threshold")
    assert model.neurons == {"E1": ("E1-017", "E1-101")}
    assert model.estimation == Estimation() and model.stepping == Stepping()


def test_neurons_are_kept_in_the_networks_order_of_populations():
    assert list(FULL.neurons) == ["E1", "E2", "I"] and FULL.neurons["I"] == (3, 1)


NET = MODEL.network.to_config()
BAD = [
    ({}, r"neulvm\.network is missing"),
    ({"network": 3}, r"neulvm\.network must be a table"),
    ({"network": NET | {"popultions": {}}}, r"unknown key neulvm\.network\.popultions"),
    ({"network": NET | {"connections": {"E": {"X": 1.0}}}}, r"neulvm\.network.*names X"),
    ({"network": NET, "neurons": ["a"]}, "neurons must be a table"),
    ({"network": NET, "neurons": {"F": ["a"]}}, "names 'F'; populations: E"),
    ({"network": NET, "neurons": {"E": []}}, r"neurons\.E must list"),
    ({"network": NET, "neurons": {"E": "E-017"}}, r"neurons\.E must list"),
    ({"network": NET, "neurons": {"E": ["a", "b", "a"]}}, "'a' twice"),
    ({"network": NET, "stepping": {"max_age": "long"}}, r"neulvm\.stepping\.max_age must be float"),
    ({"network": NET, "stepping": {"max_age": -1}}, "max_age must be seconds"),
    ({"network": NET, "estimation": {"n_draw": 3}}, r"unknown key neulvm\.estimation\.n_draw"),
    ({"network": NET, "estimation": {"method": "em"}}, "or particles or hard, got 'em'"),
]


@pytest.mark.parametrize("fields, said", BAD)
def test_what_is_wrong_in_a_configuration_is_named(fields, said):
    with pytest.raises(ValueError, match=said):
        model_from_config({"name": "neulvm", **fields})


def test_it_is_estimated_in_steps():
    assert isinstance(MODEL, SteppedModel)
    assert not isinstance(MODEL, GradientModel) and not isinstance(MODEL, EstimatedModel)


# --- fit ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One fit without interruption, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return train(folder), folder


def test_a_fit_ends_with_parameters_and_their_spread(whole):
    fitted, _ = whole
    assert len(fitted.history) == MODEL.n_steps == fitted.about["n_steps"]
    assert [row["step"] for row in fitted.history] == list(range(MODEL.n_steps))
    assert fitted.params["draws"].shape == (20, 1)
    assert fitted.params["training_counts"].shape == (1, 60, 1)
    assert fitted.params["free"].dtype == np.float64
    rate = fitted.params["training_counts"].mean() / (50 * 0.004)
    np.testing.assert_allclose(fitted.params["rate"], [rate])
    found = MODEL.parameters(fitted.params)["E → E"]
    assert 0 < found["low"] <= found["value"] <= found["high"] < 5
    network = MODEL.fitted_network(fitted.params)
    assert network.free_names == () and network.connections["E"]["E"] == found["value"]
    assert "low" not in MODEL.parameters(unfitted())["E → E"]


def test_the_spread_over_starts_is_told():
    params = unfitted() | {"starts": np.array([[1.0], [2.0], [4.0]])}
    found = MODEL.parameters(params)["E → E"]
    assert found["restart_sd"] == pytest.approx(np.std([1, 2, 4], ddof=1))
    table = "\n".join(parameter_lines({"E → E": found}))
    assert "restarts" in table and "± 1.5" in table
    assert "restart_sd" not in MODEL.parameters(params | {"starts": np.ones((1, 1))})["E → E"]


def test_an_interrupted_fit_resumes_bit_for_bit(whole, tmp_path):
    def stop(state, step):
        if step == 1:
            raise KeyboardInterrupt
        return {}

    fitted, folder = whole
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, monitor=stop)
    _, header = load_arrays(tmp_path / "checkpoint.npz")
    assert len(header["progress"]["history"]) == 1
    again = train(tmp_path, resume=True)
    assert again.history == fitted.history
    for name in ("checkpoint.npz", "model.npz"):
        (a, header_a), (b, header_b) = (load_arrays(f / name) for f in (tmp_path, folder))
        assert header_a == header_b
        assert a.keys() == b.keys()
        for array, value in a.items():
            np.testing.assert_array_equal(value, b[array], err_msg=array)


# --- inference ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [0, 10])
def test_inferred_rates_are_those_of_the_population(whole, n_samples):
    fitted, _ = whole
    data = recording(t_start=-0.1, neuron_ids=["a", "b"])
    found = fitted.infer(data, n_samples=n_samples, key=KEY)
    assert found.population_activity.shape == (1, 60, 1)
    np.testing.assert_array_equal(found.rates, found.population_activity[..., [0, 0]])
    assert (found.rates > 0).all() and found.n_samples == n_samples
    assert (found.bin_width, found.t_start) == (0.004, -0.1)
    observed = data.counts.mean() / 0.004
    assert 0.5 * observed < found.rates.mean() < 2 * observed
    if n_samples:
        np.testing.assert_array_equal(found.rates_std, found.population_activity_std[..., [0, 0]])
        assert (found.rates_std > 0).all()
    else:
        assert found.rates_std is None


def test_heldout_neurons_are_predicted_but_not_read():
    data = recording(n_neurons=3, heldout=[False, True, False])
    spoiled = data.counts.copy()
    spoiled[:, :, 1] = 1 - spoiled[:, :, 1]
    rates = [
        MODEL.infer(unfitted(), d, n_samples=0, key=KEY).rates
        for d in (data, data.replace(counts=spoiled), data.select_neurons([0, 2]))
    ]
    np.testing.assert_array_equal(rates[0], rates[1])
    np.testing.assert_array_equal(rates[0][..., :2], rates[2])


def test_trials_are_inferred_one_by_one():
    data = recording(n_trials=3)
    both = MODEL.infer(unfitted(), data, n_samples=0, key=KEY).rates
    alone = MODEL.infer(unfitted(), data.select_trials([2]), n_samples=0, key=KEY).rates
    np.testing.assert_array_equal(both[2:], alone)


def test_draws_of_the_parameters_widen_the_posterior():
    """Rates at weak and at strong excitation differ, so not knowing which adds to the spread."""
    data, params = recording(), unfitted()
    infer = lambda draws: MODEL.infer(params | {"draws": draws}, data, n_samples=10, key=KEY)  # noqa: E731
    weak, strong = infer(np.array([[0.0], [0.0]])), infer(np.array([[5.0], [5.0]]))
    both = infer(np.array([[0.0], [5.0]]))
    between = (strong.rates - weak.rates).mean()
    assert between > 0.3
    assert weak.rates.mean() < both.rates.mean() < strong.rates.mean()
    alone = (weak.rates_std.mean() + strong.rates_std.mean()) / 2
    assert both.rates_std.mean() > alone


def test_without_draws_or_where_swarms_are_lost_a_chain_infers(monkeypatch):
    data, params = recording(), unfitted()
    chain = MODEL.infer(params, data, n_samples=10, key=KEY)
    draws = {"draws": np.tile(params["free"], (2, 1))}
    monkeypatch.setattr(inference, "has_lost_track", lambda values: np.ones(values.shape[1], bool))
    lost = MODEL.infer(params | draws, data, n_samples=10, key=KEY)
    np.testing.assert_array_equal(lost.rates, chain.rates)
    assert np.all(chain.rates_std > 0)


def test_a_width_of_the_first_guess_is_found_where_none_is_set():
    model = dataclasses.replace(MODEL, estimation=dataclasses.replace(SHORT, smoothing=0.0))
    found = model.infer(unfitted(), recording(n_trials=2), n_samples=0, key=KEY)
    assert np.isfinite(found.rates).all()


# --- what it refuses ----------------------------------------------------------------------------


def test_recordings_that_do_not_suit_are_refused():
    data = recording(neuron_ids=["a", "b"])
    several = data.counts.copy()
    several[0, 7, 1] = 2
    with pytest.raises(ValueError, match=r"bin 7, neuron .*'b'.* \(2 spikes\).*shorter bins"):
        train(data=data.replace(counts=several))
    with pytest.raises(ValueError, match=r"explains spikes.*continuous"):
        train(data=SpikeData(data.counts * 0.5, 0.004, kind="continuous"))
    models = {
        "'b'.* belongs to no population": NeuLVM(NETWORK, {"E": ["a"]}),
        "has no neuron 'c'": NeuLVM(NETWORK, {"E": ["a", "b", "c"]}),
        "2 populations .* say in `neurons`": NeuLVM(PAIR),
    }
    for said, model in models.items():
        with pytest.raises(ValueError, match=said):
            model.prepare(data)
    hidden = data.replace(heldout=[False, True])
    with pytest.raises(ValueError, match="no recorded neuron belongs to population 'I'"):
        NeuLVM(PAIR, {"A B": ["a"], "I": ["b"]}).prepare(hidden)
    with pytest.raises(ValueError, match="n_samples must not be negative"):
        MODEL.infer(unfitted(), data, n_samples=-1, key=KEY)
