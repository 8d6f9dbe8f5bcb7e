"""New recordings from fitted linear dynamics."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from latentspike.spikes import SpikeData
from latentspike.spikes.validate import as_whole, check_bin_width

_MOST = 60_000.0  # expected spikes of a neuron in a bin


def simulate_freely(
    params: dict[str, Any],
    shape: tuple[int, int],
    *,
    bin_width: float,
    inputs: Any,
    key: jax.Array,
) -> SpikeData:
    """Trials [trials, bins] of parameters with an axis of states; see `PLDS.simulate`."""
    n_trials, n_bins = (
        as_whole(n, v, 1) for n, v in zip(("n_trials", "n_bins"), shape, strict=True)
    )
    bin_width = check_bin_width(bin_width)
    n_inputs = params["dynamics"]["B"].shape[-1]
    given = _inputs(inputs, (n_trials, n_bins, n_inputs))
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    states, factors = _run(params, given, generator)
    log_rate = factors @ np.asarray(params["readout"]["C"]).T + np.asarray(params["readout"]["d"])
    if not log_rate.max() < np.log(_MOST):
        size = np.abs(np.linalg.eigvals(np.asarray(params["dynamics"]["A"]))).max()
        raise ValueError(
            f"the free run leaves all bounds (A has an eigenvalue of {size:.3g}); simulate fewer "
            "bins, or fit with fewer latents"
        )
    expected = np.exp(log_rate)
    truth = {"rates": expected / bin_width, "factors": factors, "states": states[..., None]}
    return SpikeData(
        generator.poisson(expected),
        bin_width,
        inputs=given if n_inputs else None,
        truth=truth,
    )


def _inputs(inputs: Any, shape: tuple[int, int, int]) -> np.ndarray:
    if inputs is None:
        return np.zeros(shape)
    found = np.asarray(inputs, float)
    if found.shape not in (shape, shape[1:]):
        raise ValueError(
            f"inputs must be [bins, inputs] or [trials, bins, inputs] of {shape}, got {found.shape}"
        )
    return np.broadcast_to(found, shape)


def _run(
    params: dict[str, Any], inputs: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """States [trials, bins] and factors [trials, bins, latents]."""
    A, B, b, Q, start, spread = (np.asarray(params["dynamics"][name]) for name in _NAMES)
    P, first = (np.asarray(params["switching"][name]) for name in ("P", "first"))
    root, first_root = np.linalg.cholesky(Q), np.linalg.cholesky(spread)
    n_trials, n_bins = inputs.shape[:2]
    states = np.zeros((n_trials, n_bins), int)
    factors = np.zeros((n_trials, n_bins, A.shape[-1]))
    for time in range(n_bins):
        chance = np.tile(first, (n_trials, 1)) if time == 0 else P[states[:, time - 1]]
        z = (generator.random((n_trials, 1)) > chance.cumsum(1)[:, :-1]).sum(1)
        noise = generator.standard_normal((n_trials, A.shape[-1]))
        if time == 0:
            x = start[z] + _apply(first_root[z], noise)
        else:
            x = _apply(A[z], x) + _apply(B[z], inputs[:, time]) + b[z] + _apply(root[z], noise)
        states[:, time], factors[:, time] = z, x
    return states, factors


_NAMES = ("A", "B", "b", "Q", "start", "spread")


def _apply(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("nij,nj->ni", matrices, vectors)
