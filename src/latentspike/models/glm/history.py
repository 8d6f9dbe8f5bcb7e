"""Spike history through raised cosines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def lag_basis(n_lags: int, n_basis: int) -> np.ndarray:
    """Raised cosines over the lags 1, 2, … [n_lags, n_basis], narrow first and then wider.

    The time axis is stretched by ``log(1 + (lag − 1) / n_basis)``: linear over the first few bins,
    so that no function falls between two of them. It is nemos' ``RaisedCosineLogConv`` with
    ``time_scaling = (n_lags − 1) / n_basis``. With no more lags than functions each lag has its
    own, and the rest are zero.

    Examples
    --------
    >>> lag_basis(6, 2).round(2).T
    array([[1.  , 0.52, 0.07, 0.  , 0.  , 0.  ],
           [0.5 , 1.  , 0.75, 0.35, 0.08, 0.  ]])
    """
    if n_lags <= n_basis:
        return np.eye(n_lags, n_basis)
    stretched = np.log1p(np.arange(n_lags) / n_basis) / np.log1p((n_lags - 1) / n_basis)
    spacing = 1 / (n_basis + 1)
    phase = np.pi / 2 * (stretched[:, None] / spacing - np.arange(n_basis))
    return 0.5 * (1 + np.cos(np.clip(phase, -np.pi, np.pi)))


def filtered(past: np.ndarray, basis: np.ndarray) -> Iterator[np.ndarray]:
    """For each neuron its counts before each bin through the basis, [trials, bins, n_basis]."""
    n_lags = len(basis)
    for neuron in range(past.shape[2]):
        padded = np.pad(past[:, :, neuron].astype(np.float64), ((0, 0), (n_lags, 0)))
        yield sliding_window_view(padded, n_lags, axis=1)[:, :-1] @ basis[::-1]
