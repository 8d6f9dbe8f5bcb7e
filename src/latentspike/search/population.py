"""An epoch of a whole block of members as one compiled program.

Everything that differs between members (weights, hyperparameters, keys) is an array; the recording
is shared. So new hyperparameters, other members or another generation never compile again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from latentspike.devices import compiler_options
from latentspike.search.layout import Layout
from latentspike.search.member import Weights
from latentspike.training.epoch import EpochResult, Program, one_epoch
from latentspike.training.trials import Trials

_MEMBERS = "members"


class Population:
    """The compiled program of one layout, with the recording in place.

    Parameters
    ----------
    program : what every member compiles to
    layout : of members on devices
    trials : training and validation trials, stored once on each device
    """

    def __init__(self, program: Program, layout: Layout, trials: tuple[Trials, Trials]) -> None:
        self.layout = layout
        self._mesh = _mesh(program, layout)
        self._trials = jax.device_put(trials, NamedSharding(self._mesh, PartitionSpec()))
        self._epoch = _compiled(program, layout)

    def place(self, tree: Any) -> Any:
        """Arrays with a leading slot axis, on the devices."""
        return jax.device_put(tree, NamedSharding(self._mesh, _member_axis(self.layout)))

    def epoch(
        self,
        weights: Weights,
        hyperparams: dict[str, np.ndarray],
        epochs: np.ndarray,
        keys: jax.Array,
        active: np.ndarray,
    ) -> tuple[Weights, EpochResult]:
        """Train all active members for one epoch.

        Parameters
        ----------
        weights : placed, each array with a leading axis [slots]; given up to the call
        hyperparams : scalars [slots], with ``ramp``
        epochs : number of the epoch [slots]
        keys : PRNG key of each member [slots]
        active : bool [slots]; others keep their weights and report zeros
        """
        each = (hyperparams, epochs, keys, active)
        hyperparams, epochs, keys, active = self.place(each)
        state, result = self._epoch(weights.state, self._trials, hyperparams, epochs, keys, active)
        return Weights(state, weights.best), result

    def keep_best(self, weights: Weights, is_best: np.ndarray) -> Weights:
        """Take the present parameters as the best of the members named."""
        if not is_best.any():
            return weights
        best = _keep(self.place(is_best), weights.state.params, weights.best)
        return Weights(weights.state, best)


def _choose(chosen: jax.Array, new: Any, old: Any) -> Any:
    """Arrays of the members that are chosen [slots], those of the others as they were."""
    pick = lambda a, b: jnp.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)  # noqa: E731
    return jax.tree.map(pick, new, old)


_keep = jax.jit(_choose)


def _mesh(program: Program, layout: Layout) -> jax.sharding.Mesh:
    if layout.share == "trials":
        return program.mesh
    return jax.sharding.Mesh(np.array(jax.local_devices()[: layout.n_devices]), (_MEMBERS,))


def _member_axis(layout: Layout) -> PartitionSpec:
    return PartitionSpec(_MEMBERS) if layout.share == "members" else PartitionSpec()


_programs: dict[tuple[Program, Layout], Callable[..., Any]] = {}


def _compiled(program: Program, layout: Layout) -> Callable[..., Any]:
    """Jitted epoch of a block, made once per process."""
    if (program, layout) not in _programs:
        axis = _member_axis(layout)
        whole = PartitionSpec()
        mesh = _mesh(program, layout)
        run = jax.shard_map(
            partial(_block, program, layout.kind),
            mesh=mesh,
            in_specs=(axis, whole, axis, axis, axis, axis),
            out_specs=axis,
            check_vma=False,
        )
        # the same arithmetic whatever the number of devices: products never share threads
        options = compiler_options(2)
        # named, or one device's results would come back as another kind and compile again
        back = NamedSharding(mesh, axis)
        _programs[program, layout] = jax.jit(
            run, donate_argnums=0, out_shardings=back, compiler_options=options
        )
    return _programs[program, layout]


def _block(
    program: Program,
    kind: str,
    states: Any,
    trials: tuple[Trials, Trials],
    hyperparams: dict[str, jax.Array],
    epochs: jax.Array,
    keys: jax.Array,
    active: jax.Array,
) -> Any:
    """One device's members, one after another or side by side."""

    def train(state: Any, values: dict[str, jax.Array], epoch: jax.Array, key: jax.Array) -> Any:
        return one_epoch(program, state, trials, values, epoch, key)

    if kind == "vmap":
        new, result = jax.vmap(train)(states, hyperparams, epochs, keys)
        return _choose(active, new, states), result

    def idle(state: Any, *member: Any) -> Any:
        shapes = jax.eval_shape(train, state, *member)[1]
        return state, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def one(member: Any) -> Any:
        *given, is_active = member
        return lax.cond(is_active, train, idle, *given)

    return lax.map(one, (states, hyperparams, epochs, keys, active))
