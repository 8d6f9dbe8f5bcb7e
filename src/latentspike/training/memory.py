"""How much memory a fit will need, told before anything is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.protocol import Batch, DataSpec, GradientModel
from latentspike.spikes import SpikeData
from latentspike.training.settings import TRAINING_HYPERPARAMS, TrainingSettings

# Parameters and Adam's two moments, before and after a step (the epoch keeps its input), and the
# parameters of the best epoch.
_COPIES_OF_PARAMETERS = 2 * 3 + 1


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training will hold at the same time, the Python process itself not counted.

    Parameters
    ----------
    data_bytes : recording and masks on the devices
    parameter_bytes : parameters, optimizer and the best epoch's parameters
    step_bytes : activations and gradients of one step
    total_bytes : their sum
    """

    data_bytes: int
    parameter_bytes: int
    step_bytes: int
    total_bytes: int


def estimate_memory(
    model: Any, data: SpikeData, settings: TrainingSettings, n_devices: int = 1
) -> MemoryEstimate:
    """Estimate the memory of `fit` from shapes alone: nothing is compiled or computed.

    A step keeps what the backward pass needs (its shapes are traced from the model's own loss) and
    the gradients of it. Each device holds the whole recording, the parameters and its share of a
    batch. XLA may do better or worse by a factor of 2.

    Parameters
    ----------
    model : to train; one that is not learned by gradient needs the recording only
    data : all trials, those for validation included
    settings : batch size, sample validation and validation fraction are used
    n_devices : that share each batch

    Returns
    -------
    MemoryEstimate

    Examples
    --------
    >>> from latentspike.models.linear_autoencoder import LinearAutoencoder
    >>> data = SpikeData(np.ones((10, 4, 3), int), bin_width=0.01)
    >>> estimate = estimate_memory(LinearAutoencoder(), data, TrainingSettings())
    >>> estimate.parameter_bytes  # 3 × 3 weights of 4 bytes, 7 times over, and a counter
    260
    """
    if not isinstance(model, GradientModel):
        size = data.counts.nbytes + data.observed.nbytes
        return MemoryEstimate(size, 0, 0, size)
    params = jax.eval_shape(partial(model.init, DataSpec.of(data)), key=jax.random.key(0))
    data_bytes = n_devices * _data_bytes(data, settings)
    counters = 2 * 4  # Adam's count of steps, before and after
    parameter_bytes = n_devices * (_COPIES_OF_PARAMETERS * _size(params) + counters)
    n_trials = _trials_per_step(data, settings, n_devices)
    step_bytes = n_devices * _step_bytes(model, params, data, n_trials)
    total = data_bytes + parameter_bytes + step_bytes
    return MemoryEstimate(data_bytes, parameter_bytes, step_bytes, total)


def estimate_trials_bytes(data: SpikeData, settings: TrainingSettings) -> int:
    """Bytes of a recording and its masks on one device."""
    return _data_bytes(data, settings)


def estimate_step_bytes(model: GradientModel, data: SpikeData, settings: TrainingSettings) -> int:
    """Bytes of the activations and gradients of one step of one model on one device."""
    params = jax.eval_shape(partial(model.init, DataSpec.of(data)), key=jax.random.key(0))
    return _step_bytes(model, params, data, _trials_per_step(data, settings, 1))


def _data_bytes(data: SpikeData, settings: TrainingSettings) -> int:
    # as `put_trials` stores it
    item = jnp.zeros(()).dtype.itemsize
    n_entries = int(np.prod(data.counts.shape))
    counts = n_entries * (data.counts.dtype.itemsize if data.kind == "counts" else item)
    masks = n_entries * (int(not data.observed.all()) + int(settings.sample_validation > 0))
    return counts + masks + data.n_trials * data.n_bins * data.n_inputs * item


def _trials_per_step(data: SpikeData, settings: TrainingSettings, n_devices: int) -> int:
    n_train = max(1, data.n_trials - round(settings.validation_fraction * data.n_trials))
    n_steps = -(-n_train // settings.batch_size)
    return -(-n_train // (n_steps * n_devices))


def _step_bytes(model: GradientModel, params: Any, data: SpikeData, n_trials: int) -> int:
    dtype = jnp.zeros(()).dtype
    hyperparams = TRAINING_HYPERPARAMS | model.default_hyperparams() | {"ramp": 1.0}

    def residuals(params: Any, batch: Batch, keys: jax.Array) -> Any:
        # what the backward pass closes over: a pytree, so that its shapes can be traced
        loss = lambda p: model.loss(p, batch, hyperparams, key=keys)  # noqa: E731
        return jax.vjp(loss, params, has_aux=True)[1]

    read = jax.ShapeDtypeStruct((n_trials, data.n_read_bins, int((~data.heldout).sum())), dtype)
    whole = (n_trials, data.n_bins, data.n_neurons)
    batch = Batch(
        read=read,  # pyright: ignore[reportArgumentType]  (shapes stand in for arrays)
        counts=jax.ShapeDtypeStruct(whole, dtype),  # pyright: ignore[reportArgumentType]
        observed=None,
        graded=jax.ShapeDtypeStruct(whole, bool),  # pyright: ignore[reportArgumentType]
        inputs=jax.ShapeDtypeStruct((n_trials, data.n_bins, data.n_inputs), dtype),  # pyright: ignore[reportArgumentType]
        weight=jax.ShapeDtypeStruct((n_trials,), dtype),  # pyright: ignore[reportArgumentType]
    )
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), n_trials))
    kept = jax.eval_shape(residuals, params, batch, keys)
    return _size(kept) + _size((batch, params))


def _size(tree: Any) -> int:
    leaves = [
        leaf
        for leaf in jax.tree.leaves(tree)
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    ]
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)
