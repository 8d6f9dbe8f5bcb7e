"""What every simulation shares: independent random streams, and rates that become spikes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from latentspike.spikes import SpikeData

_CHUNK_TRIALS = 256


def random_streams(seed: int, *names: str) -> dict[str, np.random.Generator]:
    """One independent generator per purpose, so that drawing more of one changes no other.

    Examples
    --------
    >>> streams = random_streams(0, "network", "spikes")
    >>> sorted(streams)
    ['network', 'spikes']
    """
    children = np.random.SeedSequence(seed).spawn(len(names))
    return {name: np.random.default_rng(child) for name, child in zip(names, children, strict=True)}


def whole_steps(name: str, length: float, step: float) -> int:
    """How many steps fill a length, both in seconds; ValueError unless a whole number ≥ 1."""
    if not (np.isfinite(length) and np.isfinite(step) and step > 0 and length > 0):
        raise ValueError(f"{name}: {length} s and {step} s must both be positive")
    n_steps = round(length / step)
    if n_steps < 1 or abs(n_steps * step - length) > 1e-6 * length:
        raise ValueError(f"{name}: {length} s is not a whole number of steps of {step} s")
    return n_steps


def check_positive(**values: float) -> None:
    """Raise ValueError naming the first setting that is not a positive finite number."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive, got {value}")


def poisson_counts(
    rates: np.ndarray, bin_width: float, generator: np.random.Generator
) -> np.ndarray:
    """Poisson spikes per bin, [trials, bins, neurons], for rates in Hz.

    Drawn in chunks of trials: numpy's Poisson returns 8 bytes per entry, of which 2 are kept.
    """
    counts = np.empty(rates.shape, np.uint16)
    for start in range(0, rates.shape[0], _CHUNK_TRIALS):
        chunk = slice(start, start + _CHUNK_TRIALS)
        drawn = generator.poisson(rates[chunk].astype(np.float64) * bin_width)
        if drawn.size and drawn.max() > np.iinfo(np.uint16).max:
            raise ValueError(
                f"a rate of {float(rates[chunk].max()):.3g} Hz is no firing rate: "
                "lower the mean rate or the modulation"
            )
        counts[chunk] = drawn
    return counts


def observe(
    truth: Mapping[str, np.ndarray],
    conditions: np.ndarray,
    *,
    bin_width: float,
    generator: np.random.Generator,
) -> SpikeData:
    """Poisson spikes from ``truth["rates"]`` (Hz), with the truth and the conditions attached."""
    counts = poisson_counts(truth["rates"], bin_width, generator)
    return SpikeData(counts, bin_width=bin_width, conditions=conditions, truth=truth)
