"""One fit of a comparison: a model and a seed, in a process of its own."""

from __future__ import annotations

import dataclasses
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

import latentspike
from latentspike.compare import defaults, scores
from latentspike.compare.memory import peak_bytes
from latentspike.compare.protocol import read_protocol
from latentspike.compare.settings import Rival, Tables
from latentspike.models.fitted import Fitted
from latentspike.models.protocol import DataSpec, GradientModel, SteppedModel
from latentspike.models.registry import model_to_config
from latentspike.spikes import Posterior, SpikeData, split_trials
from latentspike.training.fit import RunOptions, check_fittable, fit

_LIBRARIES = {  # module → distribution
    "jax": "jax", "numpy": "numpy", "scipy": "scipy", "sklearn": "scikit-learn",
    "optax": "optax", "blackjax": "blackjax", "elephant": "elephant", "nemos": "nemos",
}  # fmt: skip


def run_member(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit, infer, score; leaves ``model.npz`` in the folder of the job.

    The model sees spikes, masks, inputs and condition labels, of training trials alone until it
    is fitted; behavior and truth it never sees.

    Parameters
    ----------
    settings : ``tables`` and ``seed``
    folder : of the job, two floors below that of the comparison
    """
    protocol = read_protocol(folder.parents[1])
    tables: Tables = settings["tables"]
    name = tables["model"]["name"]
    train, test = _without_answers(protocol.train), _without_answers(protocol.test)
    train, test, left_out = defaults.suited(name, train, test)
    key_fit, key_test, key_train = jax.random.split(jax.random.key(settings["seed"]), 3)
    bytes_before = peak_bytes()
    try:
        (rival, fitted), seconds_fit = _timed(
            lambda: _fit(tables, train, settings["seed"], key_fit)
        )
    except ImportError as error:
        raise defaults.with_extra(name, error) from error
    model = defaults.reader(rival.model, tables)
    infer = lambda data, key: _infer(model, rival, fitted.params, data, key)  # noqa: E731
    found, seconds_inference = _timed(lambda: infer(test, key_test))
    bytes_after, bytes_on_device = peak_bytes(), _device_bytes()
    fitted.save(folder)
    known = None
    if scores.needs_training_posterior(protocol.data):
        known = infer(train, key_train)
    rows = scores.measure(protocol.train, protocol.test, known, found, lag=protocol.lag)
    return {
        "scores": scores.as_records(rows),
        "seconds_fit": seconds_fit,
        "seconds_inference": seconds_inference,
        "peak_bytes": bytes_after,
        "bytes_before": bytes_before,
        "device_peak_bytes": bytes_on_device,
        "n_parameters": defaults.n_parameters(name, fitted.params),
        "notes": [*left_out, *rival.notes],
        "about": {k: v for k, v in fitted.about.items() if isinstance(v, int | float | str)},
        "settings": resolved(rival),
        "versions": versions(),
        "device": jax.local_devices()[0].device_kind,
    }


def _without_answers(data: SpikeData) -> SpikeData:
    return data.replace(behavior={}, truth={})


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def _fit(tables: Tables, train: SpikeData, seed: int, key: jax.Array) -> tuple[Rival, Fitted]:
    """A model learned by gradient sets aside validation trials of its own; others use all."""
    rival = defaults.settle(tables, train)
    model, options = rival.model, RunOptions(show=False)
    if rival.n_trials is not None and rival.n_trials < train.n_trials:
        order = np.random.default_rng(seed).permutation(train.n_trials)
        train = train.select_trials(np.sort(order[: rival.n_trials]))
    if isinstance(model, GradientModel):
        fraction = rival.training.validation_fraction
        return rival, fit(
            model,
            train,
            split=split_trials(train, validation_fraction=fraction, seed=seed),
            hyperparams=rival.hyperparams or None,
            settings=rival.training,
            options=options,
            key=key,
        )
    if isinstance(model, SteppedModel):
        return rival, fit(model, train, options=options, key=key)
    check_fittable(model, train)
    key_init, key_run = jax.random.split(key)
    params = model.init(DataSpec.of(train), key=key_init)
    return rival, Fitted(model, model.estimate(params, train, key=key_run))


def _infer(model: Any, rival: Rival, params: Any, data: SpikeData, key: jax.Array) -> Posterior:
    """Posterior as plain arrays, so that nothing is left to be computed when the clock stops."""
    found = model.infer(params, data, n_samples=rival.n_samples, key=key)
    arrays = {name: np.asarray(value) for name, value in found.arrays().items()}
    return dataclasses.replace(found, **arrays)


def resolved(rival: Rival) -> dict[str, Any]:
    """Every setting of a model, defaults included, as tables."""
    found: dict[str, Any] = {"model": model_to_config(rival.model), "samples": rival.n_samples}
    if isinstance(rival.model, GradientModel):
        found |= {"training": dataclasses.asdict(rival.training)}
        found["hyperparams"] = rival.model.default_hyperparams() | rival.hyperparams
    if rival.n_trials is not None:
        found["trials"] = rival.n_trials
    return found


def _device_bytes() -> int | None:
    """Most memory held on an accelerator; None for the CPU."""
    told = jax.local_devices()[0].memory_stats()
    return None if not told else told.get("peak_bytes_in_use")


def versions() -> dict[str, str]:
    """Of Python, this package, and the libraries that are loaded."""
    found = {"python": platform.python_version(), "latentspike": latentspike.__version__}
    loaded = {name for module, name in _LIBRARIES.items() if module in sys.modules}
    return found | {name: metadata.version(name) for name in sorted(loaded)}
