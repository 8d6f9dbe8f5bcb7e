"""Figures of the history against SciPy, the guard against infinities, interruptions, warnings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from latentspike.files import load_arrays
from latentspike.models.fitted import Fitted
from latentspike.models.lfads.network import run_network
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.training import CollapsedInputsWarning, NonFiniteLossError, loop
from latentspike.training.loop import warn_if_collapsed
from latentspike.training.report import Reporter
from latentspike.training.sample_validation import load_sample_mask

KEY = jax.random.key(0)
SAMPLED = {"sample_validation": 0.2, "max_epochs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def fitted(train, lfads, spikes, folder):
    """Fitted once; afterwards read from its folder."""
    if (folder / "model.npz").exists():
        return Fitted.load(folder)
    return train(lfads, spikes, settings=SAMPLED, folder=folder)


def poisson_loss(counts, expected, where):
    """Negative log-likelihood in nats per trial over some entries, factorials included."""
    entries = -stats.poisson.logpmf(counts, expected)
    return np.sum(entries, where=where) / len(counts)


def best_row(fitted):
    return fitted.history[fitted.about["best_epoch"]]


def test_validation_and_heldout_losses_are_scipys_log_likelihoods(fitted, spikes):
    valid = spikes.select_trials(slice(24, 30))
    expected = fitted.infer(valid, n_samples=0, key=KEY).rates * valid.bin_width
    row = best_row(fitted)
    loss = poisson_loss(valid.counts, expected, valid.observed)
    assert row["valid_loss"] == pytest.approx(loss, rel=1e-5)
    never_read = valid.observed & ~valid.readable
    heldout = poisson_loss(valid.counts, expected, never_read)
    assert row["valid_heldout"] == pytest.approx(heldout, rel=1e-5)
    assert fitted.about["best_selection_loss"] == pytest.approx(row["selection_smoothed"])


def test_the_sample_loss_is_scipys_log_likelihood_per_held_out_entry(fitted, spikes, folder):
    data = spikes.select_trials(slice(0, 24))
    mask = load_sample_mask(folder)
    assert 0.1 < mask.sum() / (data.observed & data.readable).sum() < 0.3
    seen = np.where(data.observed & ~mask, data.counts, 0) / 0.8
    read = np.swapaxes(seen[:, : data.n_read_bins, ~data.heldout], 0, 1).astype(np.float32)
    external = jnp.zeros((data.n_bins, data.n_trials, 0))
    architecture = fitted.model.architecture
    outputs = jax.jit(lambda p: run_network(architecture, p, read, external))(fitted.params)
    expected = np.exp(np.swapaxes(outputs.predictor, 0, 1))
    loss = poisson_loss(data.counts, expected, mask) * data.n_trials / mask.sum()
    assert best_row(fitted)["sample_loss"] == pytest.approx(loss, rel=1e-5)


def test_the_objective_is_its_terms_with_the_penalties_in_force(fitted):
    h = fitted.about["hyperparams"]
    for epoch, row in enumerate(fitted.history):
        penalty = h["kl_ic"] * row["kl_ic"] + h["kl_co"] * row["kl_co"] + row["l2"]
        assert row["ramp"] == pytest.approx((epoch + 1) / 3)
        expected = row["train_recon"] + row["ramp"] * penalty
        assert row["train_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("sampled", [False, True])
def test_the_training_loss_is_scipys_when_nothing_moves(sampled, train, continuous, tmp_path):
    """Learning rate ≈ 0 and everything read: the mean over steps is that over the trials."""
    settings = {"max_epochs": 1, "sample_validation": 0.2 if sampled else 0.0}
    fitted = train(
        LinearAutoencoder(), continuous, folder=tmp_path, settings=settings,
        hyperparams={"learning_rate": 1e-30, "keep_ratio": 1.0},
    )  # fmt: skip
    data = continuous.select_trials(slice(0, 24))
    mask = load_sample_mask(tmp_path) if sampled else np.zeros(data.counts.shape, bool)
    read = np.where(mask, 0, data.counts) / (0.8 if sampled else 1.0)
    entries = -stats.norm.logpdf(data.counts, read @ np.asarray(fitted.params["weights"]))
    row = fitted.history[0]
    assert row["train_recon"] == pytest.approx(np.sum(entries, where=~mask) / 24, rel=1e-5)
    if sampled:
        assert row["sample_loss"] == pytest.approx(entries[mask].mean(), rel=1e-5)


@pytest.mark.parametrize(
    "select, column",
    [("auto", "sample_loss"), ("validation", "valid_loss"), ("sample_validation", "sample_loss")],
)
def test_the_selection_loss_is_the_one_asked_for(select, column, train, continuous):
    settings = {"select": select, "sample_validation": 0.3, "smoothing": 1.0}
    fitted = train(LinearAutoencoder(), continuous, settings=settings)
    for row in fitted.history:
        assert row["selection_smoothed"] == row[column]


def test_heldout_neurons_select_by_themselves(fitted):
    row = fitted.history[0]
    assert row["selection_smoothed"] == row["valid_heldout"]


def test_a_selection_loss_that_the_run_has_not(train, continuous):
    with pytest.raises(ValueError, match="select = 'heldout', but this run has no heldout loss"):
        train(LinearAutoencoder(), continuous, settings={"select": "heldout"})


def overflow_in(epoch, monkeypatch):
    """As if the weights ran away in one epoch."""
    real = loop.train_epoch

    def spoiled(program, state, trials, hyperparams, at, *, key):
        if int(at) == epoch:
            hyperparams = hyperparams | {"learning_rate": jnp.float32(np.inf)}
        return real(program, state, trials, hyperparams, at, key=key)

    monkeypatch.setattr(loop, "train_epoch", spoiled)


def test_an_infinity_names_its_place_and_the_last_good_epoch_is_kept(
    train, same, continuous, tmp_path, monkeypatch
):
    model, settings = LinearAutoencoder(), {"max_epochs": 4}
    whole = train(model, continuous, settings=settings)
    with monkeypatch.context() as patch:
        overflow_in(2, patch)
        with pytest.raises(NonFiniteLossError, match=r"recon.* not finite in epoch 3, step 2"):
            train(model, continuous, settings=settings, folder=tmp_path)
    _, header = load_arrays(tmp_path / "checkpoint.npz")
    assert header["progress"]["epoch"] == 2
    resumed = train(model, continuous, settings=settings, folder=tmp_path, resume=True)
    assert resumed.history == whole.history
    same(resumed.params, whole.params)


def test_an_overflowing_penalty_is_caught(train, lfads, spikes):
    with pytest.raises(NonFiniteLossError, match="not finite in epoch 1, step 1"):
        train(lfads, spikes, settings=SAMPLED, hyperparams={"kl_ic": 1e38, "kl_co": 1e38})


def test_data_that_overflow_are_caught(train, continuous):
    spoiled = continuous.counts.copy()
    spoiled[3, 1, 2] = 1e30
    with pytest.raises(
        NonFiniteLossError, match=r"training .*recon, recon_graded is not finite in epoch 1"
    ):
        train(LinearAutoencoder(), continuous.replace(counts=spoiled))
    spoiled = continuous.counts.copy()
    spoiled[29, 1, 2] = 1e30
    with pytest.raises(
        NonFiniteLossError, match="validation loss, recon is not finite in epoch 1;"
    ):
        train(LinearAutoencoder(), continuous.replace(counts=spoiled))


@pytest.mark.parametrize("method", ["epoch", "table"])
def test_an_interruption_while_reporting_resumes_exactly(
    method, train, same, continuous, tmp_path, monkeypatch
):
    """Ctrl-C may come after an epoch was counted and before its parameters were kept."""
    calls = []
    real = getattr(Reporter, method)

    def interrupted(self, given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, given)

    model, settings = LinearAutoencoder(), {"max_epochs": 4, "checkpoint_seconds": 0.0}
    whole = train(model, continuous, settings=settings)
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, method, interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(model, continuous, settings=settings, folder=tmp_path)
    resumed = train(model, continuous, settings=settings, folder=tmp_path, resume=True)
    assert resumed.history == whole.history
    same(resumed.params, whole.params)


def test_figures_of_a_monitor_may_be_any_number(train, continuous, tmp_path):
    monitor = lambda params, epoch: {"a": np.float32(0.5), "b": jnp.float32(2), "c": 3}  # noqa: E731
    fitted = train(LinearAutoencoder(), continuous, folder=tmp_path, monitor=monitor)
    assert Fitted.load(tmp_path).history == fitted.history
    assert {k: fitted.history[0][k] for k in "abc"} == {"a": 0.5, "b": 2.0, "c": 3.0}


COLLAPSED = {"input_variance": 1e-4, "input_posterior_variance": 0.09}


def of_history(lfads, row, keep=0.7):
    about = {"hyperparams": {"keep_ratio": keep, "kl_co": 0.5}}
    return Fitted(lfads, {}, [{"epoch": 0, **row}], about)


def test_collapsed_inputs_are_worth_a_warning_with_the_effective_weight(lfads):
    with pytest.warns(CollapsedInputsWarning, match=r"keep_ratio 0.7 its effective weight is 1.7"):
        warn_if_collapsed(of_history(lfads, COLLAPSED))
    with pytest.warns(CollapsedInputsWarning, match="lower kl_co.$"):
        warn_if_collapsed(of_history(lfads, COLLAPSED, keep=1.0))


CARRYING = [
    {},
    COLLAPSED | {"input_variance": 0.05},
    COLLAPSED | {"input_posterior_variance": 0.01},
]


@pytest.mark.parametrize("row", CARRYING)
def test_inputs_that_carry_something_are_not(row, lfads):
    warn_if_collapsed(of_history(lfads, row))  # a warning would be an error


def test_a_heavy_penalty_collapses_the_inputs(train, lfads, spikes):
    hyperparams = {"kl_co": 100.0, "learning_rate": 0.02}
    settings = {"sample_validation": 0.2, "ramp_epochs": 0, "max_epochs": 150, "patience": 150}
    with pytest.warns(CollapsedInputsWarning):
        train(lfads, spikes, settings=settings, hyperparams=hyperparams)
