"""Fits that give the same result again, resume exactly and never compile twice."""

import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.files import load_arrays
from latentspike.models.fitted import Fitted
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.smoothing import GaussianSmoothing
from latentspike.training import RunOptions, draw_sample_mask, fit
from latentspike.training.fit import data_hash, seed_from
from latentspike.training.sample_validation import load_sample_mask

two_devices = pytest.mark.skipif(len(jax.local_devices()) < 2, reason="JAX has one device here")
# penalties that rise, a learning rate that falls, entries held out: all of it must resume
EVERYTHING = {
    "max_epochs": 5, "ramp_epochs": 2, "sample_validation": 0.2, "decay_factor": 0.5,
    "decay_patience": 1, "min_improvement": 1e9, "smoothing": 0.6,
}  # fmt: skip
FAST = {"learning_rate": 0.3}

_compilations = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: _compilations.append(event) if "backend_compile" in event else None
)


def interrupt_in(epoch):
    def monitor(params, at):
        if at == epoch:
            raise KeyboardInterrupt
        return {}

    return monitor


CASES = [
    ("linear", 1, {"max_epochs": 5}),
    ("linear", 1, EVERYTHING),
    ("lfads", 1, EVERYTHING),
    pytest.param("lfads", 2, EVERYTHING, marks=two_devices),
]


@pytest.mark.parametrize("name, n_devices, settings", CASES)
def test_an_interrupted_run_resumes_to_the_same_result(
    name, n_devices, settings, train, same, lfads, spikes, continuous, tmp_path
):
    model, data = (lfads, spikes) if name == "lfads" else (LinearAutoencoder(), continuous)
    run = lambda folder, **more: train(  # noqa: E731
        model, data, settings=settings, hyperparams=FAST, folder=tmp_path / folder,
        n_devices=n_devices, **more,
    )  # fmt: skip
    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("parts", monitor=interrupt_in(3))
    with pytest.raises(KeyboardInterrupt):  # and once more, right away
        run("parts", resume=True, monitor=interrupt_in(3))
    resumed = run("parts", resume=True)
    assert whole.about["n_devices"] == n_devices
    assert len(whole.history) == 5
    assert resumed.history == whole.history
    assert resumed.about == whole.about
    same(resumed.params, whole.params)
    # optimizer, last parameters and schedule too
    (a, header_a), (b, header_b) = (
        load_arrays(tmp_path / folder / "checkpoint.npz") for folder in ("whole", "parts")
    )
    same(a, b)
    assert header_a == header_b
    if "decay_factor" in settings:
        rates = [row["learning_rate"] / FAST["learning_rate"] for row in whole.history]
        assert rates == [1, 1, 1, 0.5, 0.25]  # nothing counts as an improvement after the ramp
        assert [row["ramp"] for row in whole.history] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])


def test_raising_the_limit_continues_as_if_it_had_been_higher(train, same, continuous, tmp_path):
    model = LinearAutoencoder()
    settings = {"patience": 3, "max_epochs": 6}
    whole = train(model, continuous, settings=settings, folder=tmp_path / "whole")
    for limit in (1, 3, 6):
        part = train(
            model, continuous, settings=settings | {"max_epochs": limit},
            folder=tmp_path / "parts", resume=True,
        )  # fmt: skip
    assert part.history == whole.history and part.about == whole.about
    same(part.params, whole.params)


def test_a_run_that_lost_its_patience_at_the_limit_does_not_continue(train, continuous, tmp_path):
    model = LinearAutoencoder()
    settings = {"patience": 2, "min_improvement": 1e9, "ramp_epochs": 0, "max_epochs": 3}
    first = train(model, continuous, settings=settings, folder=tmp_path)
    assert first.about["stopped"] == "reached 3 epochs"
    longer = settings | {"max_epochs": 9}
    again = train(model, continuous, settings=longer, folder=tmp_path, resume=True)
    assert again.about["n_epochs"] == 3 and again.about["stopped"] == "no improvement in 2 epochs"
    patient = longer | {"patience": 4}
    more = train(model, continuous, settings=patient, folder=tmp_path, resume=True)
    assert more.about["n_epochs"] == 5


def test_a_finished_run_resumed_is_returned_as_it_is(train, same, continuous, tmp_path):
    first = train(LinearAutoencoder(), continuous, folder=tmp_path)
    epochs = []
    again = train(
        LinearAutoencoder(), continuous, folder=tmp_path, resume=True,
        monitor=lambda params, epoch: epochs.append(epoch) or {},
    )  # fmt: skip
    assert epochs == [] and again.history == first.history
    same(again.params, first.params)


KILLED = """
import os, signal, sys
import jax, numpy as np
from latentspike import SpikeData
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.spikes import Split
from latentspike.training import RunOptions, TrainingSettings, fit

def monitor(params, epoch):
    if epoch == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return {}

with np.load(sys.argv[1]) as file:
    data = SpikeData(file["values"], 0.1, kind="continuous")
settings = TrainingSettings(max_epochs=5, batch_size=16, ramp_epochs=2, checkpoint_seconds=0.0)
options = RunOptions(folder=sys.argv[2], show=False, n_devices=1, monitor=monitor)
split, key = Split(np.arange(24), np.arange(24, 30)), jax.random.key(0)
fit(LinearAutoencoder(), data, split=split, settings=settings, options=options, key=key)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_resumes_to_the_same_result(train, same, continuous, tmp_path):
    np.savez(tmp_path / "data.npz", values=continuous.counts)
    command = [sys.executable, "-c", KILLED, tmp_path / "data.npz", tmp_path / "killed"]
    died = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not (tmp_path / "killed" / "model.npz").exists()
    settings = {"max_epochs": 5, "checkpoint_seconds": 0.0}
    resumed = train(
        LinearAutoencoder(), continuous, settings=settings, folder=tmp_path / "killed", resume=True
    )
    whole = train(LinearAutoencoder(), continuous, settings=settings)
    assert resumed.history == whole.history
    same(resumed.params, whole.params)


def test_the_key_decides_and_nothing_else(train, same, continuous, tmp_path):
    run = lambda seed, **more: train(LinearAutoencoder(), continuous, seed=seed, **more)  # noqa: E731
    first, other = run(0), run(1)
    again = run(0, folder=tmp_path, monitor=lambda params, epoch: {"seen": epoch})
    same(again.params, first.params)
    unseen = [{k: v for k, v in row.items() if k != "seen"} for row in again.history]
    assert unseen == first.history
    assert not np.array_equal(other.params["weights"], first.params["weights"])


@two_devices
def test_one_and_two_devices_agree(train, lfads, spikes):
    settings = {"sample_validation": 0.2}
    one, two = (train(lfads, spikes, settings=settings, n_devices=n) for n in (1, 2))
    assert (one.about["n_devices"], two.about["n_devices"]) == (1, 2)
    for a, b in zip(one.history, two.history, strict=True):
        assert a == pytest.approx(b, rel=1e-3)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=5e-3, atol=5e-4), one.params, two.params
    )


def test_other_hyperparameters_and_a_second_fit_compile_nothing(train, lfads, spikes):
    settings = {"sample_validation": 0.2, "max_epochs": 2}
    train(lfads, spikes, settings=settings)
    known = len(_compilations)
    assert known > 0  # the count counts
    changed = [
        {}, {"learning_rate": 1e-3}, {"keep_ratio": 0.4}, {"keep_ratio": 1.0}, {"dropout": 0.5},
        {"kl_ic": 2.0, "kl_co": 0.0}, {"l2_gen": 1.0, "l2_con": 7.0, "l2_ic_encoder": 3.0},
    ]  # fmt: skip
    for hyperparams in changed:
        train(lfads, spikes, seed=2, hyperparams=hyperparams, settings=settings)
    schedule = {"ramp_epochs": 7, "smoothing": 0.2, "patience": 9, "decay_factor": 0.9}
    train(lfads, spikes, settings=settings | schedule)
    assert len(_compilations) == known


def test_the_sample_mask_is_kept_bit_for_bit_and_survives_a_resume(train, continuous, tmp_path):
    settings = {"sample_validation": 0.3, "max_epochs": 2}
    train(LinearAutoencoder(), continuous, settings=settings, folder=tmp_path)
    seed = seed_from(jax.random.split(jax.random.key(0), 4)[3])
    expected = draw_sample_mask(continuous.select_trials(slice(0, 24)), 0.3, seed=seed)
    np.testing.assert_array_equal(load_sample_mask(tmp_path), expected)
    written = (tmp_path / "sample_mask.npz").read_bytes()
    longer = settings | {"max_epochs": 3}
    train(LinearAutoencoder(), continuous, settings=longer, folder=tmp_path, resume=True)
    assert (tmp_path / "sample_mask.npz").read_bytes() == written


def test_the_run_folder_holds_model_and_metrics(train, same, continuous, tmp_path):
    fitted = train(LinearAutoencoder(), continuous, folder=tmp_path)
    loaded = Fitted.load(tmp_path)
    assert loaded.history == fitted.history and loaded.about == fitted.about
    same(loaded.params, fitted.params)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert len(lines) == 4
    names = lines[0].split(",")
    values = dict(zip(names, map(float, lines[-1].split(",")), strict=True))
    assert values == fitted.history[-1]


def test_the_best_parameters_are_returned_not_the_last(train, same, continuous):
    seen = {}
    fitted = train(
        LinearAutoencoder(), continuous, hyperparams={"learning_rate": 0.5},
        settings={"max_epochs": 4, "smoothing": 1.0},
        monitor=lambda params, epoch: seen.update({epoch: params}) or {},
    )  # fmt: skip
    losses = [row["valid_loss"] for row in fitted.history]
    assert fitted.about["best_epoch"] == int(np.argmin(losses)) < 3
    same(fitted.params, seen[fitted.about["best_epoch"]])


def test_a_model_estimated_in_closed_form_goes_through_the_same_door(train, spikes, tmp_path):
    fitted = train(GaussianSmoothing(), spikes, folder=tmp_path)
    params = GaussianSmoothing().estimate(fitted.params, spikes.select_trials(slice(0, 24)))
    jax.tree.map(np.testing.assert_array_equal, fitted.params, params)
    assert (tmp_path / "model.npz").exists()
    with pytest.raises(ValueError, match="not learned by gradient"):
        train(GaussianSmoothing(), spikes, hyperparams={"learning_rate": 1.0})


def test_the_data_hash_sees_what_a_fit_depends_on(spikes):
    counts = spikes.counts.copy()
    counts[3, 2, 1] += 1
    observed = spikes.observed.copy()
    observed[3, 2, 1] ^= True
    others = [
        spikes.replace(counts=counts),
        spikes.replace(observed=observed),
        spikes.replace(bin_width=0.03),
        spikes.replace(heldout=np.arange(6) == 4),
        spikes.replace(n_forward_bins=1),
        spikes.replace(inputs=np.zeros((30, 10, 1))),
    ]
    hashes = {data_hash(data) for data in [spikes, *others]}
    assert len(hashes) == 7
    assert data_hash(spikes.replace(t_start=1.0)) == data_hash(spikes)


def test_a_closed_form_model_does_not_replace_a_run(tmp_path):
    data = SpikeData(np.random.default_rng(0).poisson(0.5, (6, 10, 3)), 0.01)
    options = RunOptions(folder=tmp_path, show=False)
    fit(GaussianSmoothing(), data, options=options, key=jax.random.key(0))
    with pytest.raises(FileExistsError, match="already holds a run"):
        fit(GaussianSmoothing(), data, options=options, key=jax.random.key(0))
