"""Which trials, neurons and bins a model may read, and which only grade it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentspike.spikes.data import SpikeData
from latentspike.spikes.validate import as_index, as_whole


@dataclass(frozen=True, eq=False)
class Split:
    """Trials to learn from and trials to grade with.

    Parameters
    ----------
    train, validation : int array
        Trial numbers; stored sorted.

    Raises
    ------
    ValueError
        If one is empty or a trial appears twice.

    Examples
    --------
    >>> Split(train=[2, 0], validation=[1]).train
    array([0, 2])
    """

    train: np.ndarray
    validation: np.ndarray

    def __post_init__(self) -> None:
        for name in ("train", "validation"):
            trials = np.sort(np.asarray(getattr(self, name)))
            if trials.ndim != 1 or not trials.size or trials.dtype.kind not in "iu":
                raise ValueError(f"{name} must be a vector of at least one trial number")
            object.__setattr__(self, name, trials)
        seen, times = np.unique(np.append(self.train, self.validation), return_counts=True)
        if (times > 1).any():
            raise ValueError(f"trial {seen[times > 1][0]} appears more than once in the split")

    def select(self, data: SpikeData) -> tuple[SpikeData, SpikeData]:
        """Training and validation trials of a recording."""
        return data.select_trials(self.train), data.select_trials(self.validation)


def split_trials(
    data: SpikeData, *, validation_fraction: float = 0.2, stratify: bool = True, seed: int
) -> Split:
    """Divide trials at random into training and validation.

    With conditions, each gives its share of the validation trials, rounded down or up such
    that the total is the wanted fraction of all trials. Conditions with a single trial cannot
    be divided; they are pooled and divided as if they were one condition, and if there is only
    one such trial, it goes to training unless no other trial can be spared.

    Parameters
    ----------
    data : SpikeData
        At least two trials.
    validation_fraction : float
        Between 0 and 1, both excluded. At least one trial goes to either side.
    stratify : bool
        Heed conditions, where the data have them.
    seed : int

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If there is only one trial or the fraction is out of range.

    Examples
    --------
    >>> data = SpikeData(np.ones((10, 5, 3), int), 0.01, conditions=["left"] * 5 + ["right"] * 5)
    >>> split = split_trials(data, validation_fraction=0.4, seed=0)
    >>> data.conditions[split.validation].tolist()
    ['left', 'left', 'right', 'right']
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction must lie between 0 and 1, got {validation_fraction}")
    if data.n_trials < 2:
        raise ValueError("one trial cannot be divided; chop it into windows first")
    n_wanted = round(validation_fraction * data.n_trials)
    n_wanted = min(max(n_wanted, 1), data.n_trials - 1)
    rng = np.random.default_rng(seed)
    strata = _strata(data.conditions if stratify else None, data.n_trials)
    shares = _shares([trials.size for trials in strata], validation_fraction, n_wanted, rng)
    shuffled = [rng.permutation(trials) for trials in strata]
    return Split(
        train=np.concatenate([t[n:] for t, n in zip(shuffled, shares, strict=True)]),
        validation=np.concatenate([t[:n] for t, n in zip(shuffled, shares, strict=True)]),
    )


def _strata(conditions: np.ndarray | None, n_trials: int) -> list[np.ndarray]:
    if conditions is None:
        return [np.arange(n_trials)]
    labels = np.unique(conditions, return_inverse=True)[1]
    groups = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    single = [trials for trials in groups if trials.size == 1]
    pooled = [np.concatenate(single)] if single else []
    return [trials for trials in groups if trials.size > 1] + pooled


def _shares(
    sizes: list[int], fraction: float, n_wanted: int, rng: np.random.Generator
) -> np.ndarray:
    """Largest remainders: whole shares within one of ``fraction * size`` that sum to n_wanted."""
    quota = fraction * np.array(sizes)
    shares = np.floor(quota + 1e-9).astype(int)
    remainder = np.maximum(quota - shares, 0.0)
    remainder[np.array(sizes) == 1] = -1.0
    # Equal remainders are common (equal conditions): chance decides which gives one more.
    order = np.lexsort((rng.random(len(sizes)), -remainder))
    shares[order[: n_wanted - shares.sum()]] += 1
    return shares


def k_folds(
    data: SpikeData, n_folds: int, *, contiguous: bool = True, seed: int | None = None
) -> list[Split]:
    """Cross-validation: each trial validates in exactly one fold.

    Parameters
    ----------
    data : SpikeData
        At least ``n_folds`` trials.
    n_folds : int
        At least 2. Fold sizes differ by at most one trial.
    contiguous : bool
        Folds are blocks of neighboring trials, so that slow drift (or overlapping windows) does
        not leak from training into validation; otherwise trials are shuffled.
    seed : int, optional
        Needed for shuffling, and only then.

    Returns
    -------
    list of Split

    Raises
    ------
    ValueError
        If there are fewer trials than folds, or shuffling lacks a seed.

    Examples
    --------
    >>> data = SpikeData(np.ones((5, 4, 3), int), bin_width=0.01)
    >>> [fold.validation.tolist() for fold in k_folds(data, 2)]
    [[0, 1, 2], [3, 4]]
    """
    n_folds = as_whole("n_folds", n_folds, 2, data.n_trials)
    if contiguous == (seed is not None):
        raise ValueError(
            "contiguous folds take no seed; shuffled folds (contiguous=False) need one"
        )
    order = np.arange(data.n_trials)
    if not contiguous:
        order = np.random.default_rng(seed).permutation(order)
    blocks = np.array_split(order, n_folds)
    return [Split(np.setdiff1d(order, block), block) for block in blocks]


def hold_out_neurons(
    data: SpikeData, n_heldout: int, *, seed: int, stratify_by_rate: bool = True
) -> SpikeData:
    """Choose neurons that models predict but never read; replaces an earlier choice.

    Parameters
    ----------
    data : SpikeData
        More than ``n_heldout`` neurons.
    n_heldout : int
        At least 1.
    seed : int
        Chooses the neurons.
    stratify_by_rate : bool
        Order neurons by firing rate, cut the order into ``n_heldout`` groups of equal size and
        take one neuron of each, so that quiet and busy neurons are both held out.

    Returns
    -------
    SpikeData

    Raises
    ------
    ValueError
        If no neuron would be left to read.

    References
    ----------
    Pei et al. (2021), Neural Latents Benchmark (co-smoothing).

    Examples
    --------
    >>> data = SpikeData(np.ones((2, 5, 8), int), bin_width=0.01)
    >>> int(hold_out_neurons(data, 2, seed=0).heldout.sum())
    2
    """
    n_heldout = as_whole("n_heldout", n_heldout, 1, data.n_neurons - 1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(data.n_neurons)
    if stratify_by_rate:
        total = np.sum(data.counts, axis=(0, 1), where=data.observed, dtype=np.float64)
        rates = total / np.maximum(data.observed.sum(axis=(0, 1)), 1)
        order = order[np.argsort(rates[order], kind="stable")]
        chosen = [rng.choice(group) for group in np.array_split(order, n_heldout)]
    else:
        chosen = order[:n_heldout]
    return data.replace(heldout=np.isin(np.arange(data.n_neurons), chosen))


def hold_out_forward(data: SpikeData, n_bins: int) -> SpikeData:
    """Hold out the last bins of each trial: models predict but never read them.

    Parameters
    ----------
    data : SpikeData
        More than ``n_bins`` bins per trial.
    n_bins : int
        Replaces an earlier number; 0 takes it back.

    Returns
    -------
    SpikeData

    Raises
    ------
    ValueError
        If no bin would be left to read.

    Examples
    --------
    >>> hold_out_forward(SpikeData(np.ones((2, 5, 3), int), bin_width=0.01), 2).n_read_bins
    3
    """
    return data.replace(n_forward_bins=n_bins)


def mask_bins(
    data: SpikeData, *, bins: Any = None, trials: Any = None, neurons: Any = None
) -> SpikeData:
    """Mark entries as not recorded: the chosen bins of the chosen neurons in the chosen trials.

    Parameters
    ----------
    data : SpikeData
        Entries that are missing already stay missing.
    bins, trials, neurons : index array, slice or bool mask, optional
        All of them where not given; at least one must be.

    Returns
    -------
    SpikeData

    Raises
    ------
    ValueError
        If nothing is chosen, or something that does not exist.

    Examples
    --------
    >>> data = SpikeData(np.ones((2, 5, 3), int), bin_width=0.01)
    >>> int((~mask_bins(data, bins=slice(3, 5), neurons=[0]).observed).sum())
    4
    """
    if bins is None and trials is None and neurons is None:
        raise ValueError("choose bins, trials or neurons to mark as missing")
    chosen = [
        as_index(name, slice(None) if selection is None else selection, length)
        for name, selection, length in (
            ("trials", trials, data.n_trials),
            ("bins", bins, data.n_bins),
            ("neurons", neurons, data.n_neurons),
        )
    ]
    observed = data.observed.copy()
    observed[np.ix_(*chosen)] = False
    return data.replace(observed=observed)
