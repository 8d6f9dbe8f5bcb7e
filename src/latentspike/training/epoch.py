"""One epoch as one compiled program: steps over shuffled batches, then validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from latentspike.devices import compiler_options
from latentspike.models.protocol import Batch, GradientModel
from latentspike.training.trials import (
    Reading,
    Trials,
    sample_batch,
    training_batch,
    validation_batch,
)

_AXIS = "trials"


class TrainState(NamedTuple):
    """All that a step changes."""

    params: Any
    optimizer: Any


@dataclass(frozen=True)
class Program:
    """What fixes the compiled program; everything else is an array and never recompiles.

    Parameters
    ----------
    model : to train
    reading : what it may read
    batch_size : trials per step, at most
    clip_norm : bound on the gradient's norm
    n_devices : devices that share each batch
    """

    model: GradientModel
    reading: Reading
    batch_size: int
    clip_norm: float
    n_devices: int

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Clipped Adam, before the learning rate."""
        return optax.chain(optax.clip_by_global_norm(self.clip_norm), optax.scale_by_adam())

    @property
    def mesh(self) -> jax.sharding.Mesh:
        """The devices that share each batch."""
        return jax.sharding.Mesh(np.array(jax.local_devices()[: self.n_devices]), (_AXIS,))

    def place(self, tree: Any) -> Any:
        """Copy of arrays on every device, made once instead of at every call."""
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec()))

    def start(self, params: Any) -> TrainState:
        """State before the first step.

        Weak types, as of ``jnp.full(3, 0.1)``, are made strong: they would not come back from the
        first epoch, and the second would compile again.
        """
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype), params)
        return self.place(TrainState(params, self.optimizer.init(params)))


def on_one_device(tree: Any) -> Any:
    """The first device's copy of replicated arrays: what follows need not run on all of them."""
    return jax.tree.map(lambda a: a.addressable_data(0), tree)


class EpochResult(NamedTuple):
    """What one epoch reports; losses without the constants that depend on the counts alone."""

    steps: dict[str, jax.Array]  # each [steps]
    n_trials: jax.Array  # [steps]
    validation: dict[str, jax.Array]  # mean over validation trials
    samples: dict[str, jax.Array]  # mean over training trials, or empty


def train_epoch(
    program: Program,
    state: TrainState,
    trials: tuple[Trials, Trials],
    hyperparams: dict[str, jax.Array],
    epoch: jax.Array,
    *,
    key: jax.Array,
) -> tuple[TrainState, EpochResult]:
    """Train for one epoch and validate, in one call of one compiled program.

    Parameters
    ----------
    program : what is fixed
    state : before the epoch
    trials : training and validation trials
    hyperparams : scalars, with ``learning_rate``, ``keep_ratio`` and ``ramp``
    epoch : number of the epoch, folded into ``key``
    key : of the run
    """
    return _compiled(program)(state, trials, hyperparams, epoch, key)


_programs: dict[Program, Callable[..., Any]] = {}


def _compiled(program: Program) -> Callable[..., Any]:
    """Jitted epoch of a program, made once per process."""
    if program not in _programs:
        run = partial(one_epoch, program)
        if program.n_devices > 1:
            whole = PartitionSpec()
            run = jax.shard_map(
                run, mesh=program.mesh, in_specs=whole, out_specs=whole, check_vma=False
            )
        _programs[program] = jax.jit(run, compiler_options=compiler_options(program.n_devices))
    return _programs[program]


def one_epoch(
    program: Program,
    state: TrainState,
    trials: tuple[Trials, Trials],
    hyperparams: dict[str, jax.Array],
    epoch: jax.Array,
    key: jax.Array,
) -> tuple[TrainState, EpochResult]:
    """`train_epoch` as a pure function, for compiled programs that map it over many models."""
    train, validation = trials
    key_order, key_steps = jax.random.split(jax.random.fold_in(key, epoch))
    n_trials = train.counts.shape[0]
    order = jax.random.permutation(key_order, n_trials)
    rows, n_real = _layout(n_trials, program.batch_size, program.n_devices)

    def step(state: TrainState, at: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        number, positions, real = at
        mine, weight = _my_share(program, positions, real)
        step_key = jax.random.fold_in(key_steps, number)
        keys = jax.vmap(lambda position: jax.random.fold_in(step_key, position))(mine)
        batch = training_batch(
            train, program.reading, order[mine], weight, hyperparams["keep_ratio"], keys
        )
        return _step(program, state, batch, hyperparams, keys)

    numbers = jnp.arange(rows.shape[0])
    state, steps = lax.scan(step, state, (numbers, jnp.asarray(rows), jnp.asarray(n_real)))
    measure = partial(_measure, program, state.params, hyperparams)
    found = measure(validation, validation_batch)
    samples = measure(train, sample_batch) if train.sample_mask is not None else {}
    return state, EpochResult(steps, jnp.asarray(n_real), found, samples)


def _layout(n_trials: int, batch_size: int, n_devices: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the shuffled order [steps, batch] and real trials per step; every trial once.

    Batches are as even as possible and the same for any number of devices; what pads a row to
    equal shares repeats the last position and weighs nothing.
    """
    n_steps = -(-n_trials // batch_size)
    bounds = np.arange(n_steps + 1) * n_trials // n_steps
    n_real = np.diff(bounds)
    size = -(-int(n_real.max()) // n_devices) * n_devices
    rows = bounds[:-1, None] + np.minimum(np.arange(size), n_real[:, None] - 1)
    return rows, n_real


def _my_share(
    program: Program, positions: jax.Array, n_real: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Part of a batch for one device, with the weight of each trial in the mean over the batch."""
    weight = jnp.where(jnp.arange(positions.shape[0]) < n_real, 1.0 / n_real, 0.0)
    if program.n_devices == 1:
        return positions, weight
    size = positions.shape[0] // program.n_devices
    start = lax.axis_index(_AXIS) * size
    mine = lax.dynamic_slice_in_dim(positions, start, size)
    return mine, lax.dynamic_slice_in_dim(weight, start, size)


def _over_devices(program: Program, tree: Any) -> Any:
    return tree if program.n_devices == 1 else lax.psum(tree, _AXIS)


def _step(
    program: Program,
    state: TrainState,
    batch: Batch,
    hyperparams: dict[str, jax.Array],
    keys: jax.Array,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One Adam step; a step whose loss or gradient is not finite changes nothing."""

    def loss(params: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        return program.model.loss(params, batch, hyperparams, key=keys)

    (_, terms), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    gradient, terms = _over_devices(program, (gradient, terms))
    terms["gradient_norm"] = optax.tree.norm(gradient)
    updates, optimizer = program.optimizer.update(gradient, state.optimizer, state.params)
    rate = hyperparams["learning_rate"]
    params = jax.tree.map(lambda p, u: p - (rate * u).astype(p.dtype), state.params, updates)
    good = jnp.isfinite(terms["loss"]) & jnp.isfinite(terms["gradient_norm"])
    new = TrainState(params, optimizer)
    return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, state), terms


def _measure(
    program: Program,
    params: Any,
    hyperparams: dict[str, jax.Array],
    trials: Trials,
    make_batch: Callable[..., Batch],
) -> dict[str, jax.Array]:
    """Mean loss terms over whole trials, without sampling noise or dropout."""
    n_trials = trials.counts.shape[0]
    rows, n_real = _layout(n_trials, program.batch_size, program.n_devices)

    def terms_of(at: Any) -> dict[str, jax.Array]:
        positions, real = at
        mine, weight = _my_share(program, positions, real)
        batch = make_batch(trials, program.reading, mine, weight * real / n_trials)
        return program.model.loss(params, batch, hyperparams, key=None)[1]

    def add(total: Any, at: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, terms_of(at)), None

    at = (jnp.asarray(rows), jnp.asarray(n_real))
    spec = jax.eval_shape(terms_of, jax.tree.map(lambda a: a[0], at))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), spec)
    total, _ = lax.scan(add, zeros, at)
    return _over_devices(program, total)
