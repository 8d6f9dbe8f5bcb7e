"""`fit`: one door to fitting: by gradient, in resumable steps, or in closed form."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike import devices
from latentspike.models.fitted import NAME as MODEL_FILE
from latentspike.models.fitted import Fitted
from latentspike.models.protocol import DataSpec, EstimatedModel, GradientModel, SteppedModel
from latentspike.models.registry import model_to_config
from latentspike.spikes import SpikeData, Split, split_trials
from latentspike.training.loop import Monitor, Run, run_epochs
from latentspike.training.sample_validation import draw_sample_mask
from latentspike.training.settings import TrainingSettings, check_hyperparams
from latentspike.training.steps import SteppedRun, run_steps
from latentspike.training.task import Task

devices.prepare()


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Where a run lives and what it shows; nothing here changes its result.

    Parameters
    ----------
    folder : run folder for checkpoints, metrics and the fitted model; None keeps nothing
    resume : continue from the checkpoint in the folder, if there is one
    show : progress on standard error
    monitor : called after each epoch with ``(params, epoch)``, or after each step of a model that
        is estimated in steps with ``(state, step)``; returns figures for the history
    n_devices : devices that share each batch; None takes up to 8 CPU devices, or one GPU
    """

    folder: str | os.PathLike[str] | None = None
    resume: bool = False
    show: bool = True
    monitor: Monitor | None = None
    n_devices: int | None = None


def fit(
    model: Any,
    data: SpikeData,
    *,
    split: Split | None = None,
    hyperparams: dict[str, float] | None = None,
    settings: TrainingSettings | None = None,
    options: RunOptions | None = None,
    key: jax.Array,
) -> Fitted:
    """Fit a model to a recording.

    Parameters
    ----------
    model : such as `LFADS`, `NeuLVM`, `LinearAutoencoder` or `GaussianSmoothing`
    data : recording
    split : training and validation trials; drawn from the key if absent. A model that is estimated
        in steps (`NeuLVM`) uses the training trials of a given split, else all trials
    hyperparams : scalars that differ from the defaults: ``learning_rate``, ``keep_ratio`` and the
        model's own. A new value never recompiles.
    settings : how long and how to train
    options : run folder, resume, progress
    key : PRNG key of the run; the same key gives the same result on the same machine

    Returns
    -------
    Fitted
        With the parameters of the best epoch by the selection loss, or those after the last step.

    Raises
    ------
    ValueError
        If the recording cannot be fitted (no spikes, one trial where validation needs another, or
        what the model does not suit), or a name or value is wrong.
    NonFiniteLossError
        If a loss or gradient stops being finite; the last good checkpoint is kept.

    Examples
    --------
    >>> import jax, numpy as np
    >>> from latentspike import SpikeData
    >>> from latentspike.models.linear_autoencoder import LinearAutoencoder
    >>> y = np.random.default_rng(0).standard_normal((40, 1, 6))
    >>> data = SpikeData(y, bin_width=1.0, kind="continuous")
    >>> settings = TrainingSettings(max_epochs=2)
    >>> quiet = RunOptions(show=False)
    >>> key = jax.random.key(0)
    >>> fitted = fit(LinearAutoencoder(), data, settings=settings, options=quiet, key=key)
    >>> len(fitted.history)
    2
    """
    settings = settings or TrainingSettings()
    options = options or RunOptions()
    _check_recording(model, data)
    if not isinstance(model, GradientModel):
        if hyperparams:
            name = type(model).__name__
            raise ValueError(f"{name} is not learned by gradient: it has no hyperparameters")
        if isinstance(model, SteppedModel):
            return _fit_in_steps(model, data, split, options, key)
        return _estimate(model, data, split, settings, options, key)
    task, split = make_task(model, data, split, settings, key=key)
    _, key_init, key_run, _ = jax.random.split(key, 4)
    values = check_hyperparams(hyperparams or {}, task.known_hyperparams)
    program = task.program(_n_devices(options, settings, task.train.n_trials))
    run = Run(
        task=task,
        program=program,
        trials=program.place(task.trials()),
        hyperparams=values,
        key=key_run,
        folder=None if options.folder is None else Path(options.folder),
        identity=identity(task, data, split, key) | {"hyperparams": values},
    )
    params = model.init(DataSpec.of(task.train), key=key_init)
    return run_epochs(
        run, params, resume=options.resume, show=options.show, monitor=options.monitor
    )


def make_task(
    model: GradientModel,
    data: SpikeData,
    split: Split | None,
    settings: TrainingSettings,
    *,
    key: jax.Array,
) -> tuple[Task, Split]:
    """What a model learns from a recording: trials and masks, drawn from the key where not given.

    Parameters
    ----------
    model : to train
    data : recording
    split : training and validation trials, or None
    settings : of training
    key : of the fit or the search
    """
    split = _choose_split(data, split, settings, key)
    train, validation = split.select(data)
    mask = None
    if settings.sample_validation > 0:
        seed = seed_from(jax.random.split(key, 4)[3])
        mask = draw_sample_mask(train, settings.sample_validation, seed=seed)
    return Task(model, train, validation, settings, mask), split


def _choose_split(
    data: SpikeData, split: Split | None, settings: TrainingSettings, key: jax.Array
) -> Split:
    if split is not None:
        return split
    seed = seed_from(jax.random.split(key, 4)[0])
    return split_trials(data, validation_fraction=settings.validation_fraction, seed=seed)


def check_fittable(model: Any, data: SpikeData) -> None:
    """Raise unless the recording can be split, has activity, and suits the model."""
    _check_recording(model, data)
    if isinstance(model, SteppedModel):
        model.prepare(data)


def _check_recording(model: Any, data: SpikeData) -> None:
    if data.n_trials < 2 and not isinstance(model, SteppedModel):
        raise ValueError(
            "the recording has one trial, but fitting needs trials to train and to validate on; "
            "cut a continuous recording with `chop`"
        )
    if data.kind == "counts" and not np.any(data.counts, where=data.observed):
        raise ValueError("there is not a single observed spike in this recording")
    observation = getattr(model, "observation", None)
    if observation == "poisson" and data.kind == "continuous":
        raise ValueError(
            "the model expects Poisson counts, but the recording is continuous; "
            "set observation = 'gaussian'"
        )


def seed_from(key: jax.Array) -> int:
    """Whole number for NumPy generators from a PRNG key."""
    words = np.asarray(jax.random.key_data(key), np.uint64)
    return int(words[0] << np.uint64(32) | words[-1])


def data_hash(data: SpikeData) -> str:
    """Digest of what a fit depends on: values, masks, inputs, bin width."""
    digest = hashlib.sha256()
    digest.update(repr((data.counts.shape, data.bin_width, data.n_forward_bins)).encode())
    for start in range(0, data.n_trials, 256):
        rows = slice(start, start + 256)
        digest.update(np.ascontiguousarray(data.counts[rows]).astype("<f8").tobytes())
        digest.update(np.packbits(data.observed[rows]).tobytes())
    digest.update(np.packbits(data.heldout).tobytes())
    if data.inputs is not None:
        digest.update(np.ascontiguousarray(data.inputs).astype("<f8").tobytes())
    return digest.hexdigest()


def _estimate(
    model: EstimatedModel,
    data: SpikeData,
    split: Split | None,
    settings: TrainingSettings,
    options: RunOptions,
    key: jax.Array,
) -> Fitted:
    folder = options.folder
    if folder is not None and not options.resume and (Path(folder) / MODEL_FILE).exists():
        raise FileExistsError(f"{folder} already holds a run; resume it, or name another folder")
    train = data.select_trials(_choose_split(data, split, settings, key).train)
    _, key_init, key_run, _ = jax.random.split(key, 4)
    params = model.init(DataSpec.of(train), key=key_init)
    fitted = Fitted(model, model.estimate(params, train, key=key_run), [], {})
    if options.folder is not None:
        fitted.save(options.folder)
    return fitted


def _fit_in_steps(
    model: SteppedModel,
    data: SpikeData,
    split: Split | None,
    options: RunOptions,
    key: jax.Array,
) -> Fitted:
    train = data if split is None else data.select_trials(split.train)
    _, key_init, key_run, _ = jax.random.split(key, 4)
    run = SteppedRun(
        model=model,
        prepared=model.prepare(train),
        params=model.init(DataSpec.of(train), key=key_init),
        key=key_run,
        folder=None if options.folder is None else Path(options.folder),
        identity={
            "model": model_to_config(model),
            "data": data_hash(train),
            "key": np.asarray(jax.random.key_data(key)).tolist(),
        },
    )
    return run_steps(run, resume=options.resume, show=options.show, monitor=options.monitor)


def _n_devices(options: RunOptions, settings: TrainingSettings, n_trials: int) -> int:
    available = len(jax.local_devices())
    wanted = devices.sharing_a_batch() if options.n_devices is None else options.n_devices
    if wanted < 1:
        raise ValueError(f"n_devices must be at least 1, got {wanted}")
    if wanted > available:
        raise ValueError(f"n_devices = {wanted}, but JAX has {available} devices here")
    return max(1, min(wanted, min(settings.batch_size, n_trials) // 8))


def identity(task: Task, data: SpikeData, split: Split, key: jax.Array) -> dict[str, Any]:
    """What must be equal for a run to be resumed; limits on its length may change."""
    free = ("max_epochs", "patience", "checkpoint_seconds")
    chosen = {k: v for k, v in dataclasses.asdict(task.settings).items() if k not in free}
    trials = hashlib.sha256(np.concatenate([split.train, [-1], split.validation]).tobytes())
    bits = None if task.sample_mask is None else np.packbits(task.sample_mask).tobytes()
    return {
        "model": model_to_config(task.model),
        "data": data_hash(data),
        "split": trials.hexdigest(),
        "settings": chosen,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "float": str(jnp.zeros(()).dtype),
        "sample_mask": None if bits is None else hashlib.sha256(bits).hexdigest(),
    }
