"""One fit: what it sees, what it measures, what it leaves."""

import json

import numpy as np
import pytest

from latentspike.compare import member
from latentspike.compare.jobs import Job, run_here
from latentspike.compare.protocol import Protocol, open_folder
from latentspike.compare.settings import check_models
from latentspike.models.fitted import Fitted
from latentspike.models.smoothing import GaussianSmoothing
from latentspike.spikes import SpikeData, Split

SPLIT = Split(np.arange(15), np.arange(15, 20))


@pytest.fixture
def small(rng):
    rates = 20 + 15 * np.sin(np.linspace(0, 6, 30)[:, None] + np.arange(6))
    return SpikeData(
        rng.poisson(rates * 0.02, (20, 30, 6)),
        0.02,
        heldout=np.arange(6) == 5,
        behavior={"hand": rng.normal(size=(20, 30, 2))},
        conditions=np.arange(20) % 2,
        truth={"rates": np.broadcast_to(rates, (20, 30, 6)).copy()},
    )


@pytest.fixture
def run(small, tmp_path):
    """Run a model on the small recording in this process; returns its result."""

    def one(name, data=small, seed=0, **tables):
        folder = tmp_path / name
        digest = open_folder(folder, Protocol(data, SPLIT))
        settings = {
            "protocol": digest, "seed": seed, "tables": check_models({name: tables})[name],
        }  # fmt: skip
        job = Job(folder / "jobs" / f"{name}-seed{seed}", f"{member.__name__}:run_member", settings)
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "job.json").write_text(json.dumps(job.document))
        run_here(job.folder)
        return job.result(), job.folder

    return one


def test_a_fit_leaves_scores_costs_and_the_model(run):
    found, folder = run("smoothing")
    assert [row["metric"] for row in found["scores"]] == [
        "rates R²", "co-smoothing bits per spike", "held-in bits per spike", "PSTH R²",
        "hand R² (10 bins)", "hand R² (whole trial)",
    ]  # fmt: skip
    assert found["seconds_fit"] > 0 and found["seconds_inference"] > 0
    assert found["peak_bytes"] >= found["bytes_before"] > 50e6
    assert found["versions"]["jax"] and found["versions"]["scikit-learn"]
    assert found["settings"]["model"]["name"] == "smoothing"
    assert isinstance(Fitted.load(folder).model, GaussianSmoothing)
    json.dumps(found, allow_nan=False)


class Spy:
    """A model in closed form that keeps what it was shown."""

    def __init__(self):
        self.fitted, self.inferred = [], []
        self.inner = GaussianSmoothing()

    def init(self, spec, *, key):
        return self.inner.init(spec)

    def estimate(self, params, data, *, key):
        self.fitted.append(data)
        return self.inner.estimate(params, data)

    def infer(self, params, data, *, n_samples, key):
        self.inferred.append(data)
        return self.inner.infer(params, data)


def test_no_fit_sees_a_test_trial_and_no_model_an_answer(run, small, monkeypatch):
    spy, settled_on = Spy(), []

    def settle(tables, known):
        settled_on.append(known)
        return member.Rival(spy, n_trials=tables.get("trials"))

    monkeypatch.setattr(member.defaults, "settle", settle)
    monkeypatch.setattr(member, "resolved", lambda _: {})
    monkeypatch.setattr(Fitted, "save", lambda *_: None)
    run("smoothing")
    for shown in (settled_on, spy.fitted):
        assert [data.trial_ids.tolist() for data in shown] == [SPLIT.train.tolist()]
    trials = [data.trial_ids.tolist() for data in spy.inferred]
    assert trials == [SPLIT.validation.tolist(), SPLIT.train.tolist()]
    for data in (*settled_on, *spy.fitted, *spy.inferred):
        assert not data.behavior and not data.truth and data.heldout.sum() == 1


def test_models_learned_by_gradient_validate_on_training_trials(run, monkeypatch):
    seen = []
    real = member.fit

    def spying(model, data, **more):
        seen.append((data.trial_ids, more["split"]))
        return real(model, data, **more)

    monkeypatch.setattr(member, "fit", spying)
    found, _ = run("linear_autoencoder", training={"max_epochs": 2})
    ((trials, split),) = seen
    assert trials.tolist() == SPLIT.train.tolist()
    assert split.train.size == 12 and split.validation.size == 3
    assert found["settings"]["training"]["max_epochs"] == 2 and found["about"]["n_epochs"] == 2


def test_without_behavior_training_trials_are_not_inferred(run, small, monkeypatch):
    calls = []
    real = GaussianSmoothing.infer
    monkeypatch.setattr(
        GaussianSmoothing, "infer", lambda *a, **k: calls.append(a[2].n_trials) or real(*a, **k)
    )
    run("smoothing", data=small.replace(behavior={}), model={"width": 0.05})
    assert calls == [SPLIT.validation.size]
