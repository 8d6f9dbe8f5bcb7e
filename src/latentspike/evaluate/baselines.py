"""What any model of held-out neurons should beat: PSTHs and Poisson regressions on spikes."""

from __future__ import annotations

import numpy as np

from latentspike.evaluate.kernel import smooth
from latentspike.evaluate.poisson_regression import fit_poisson
from latentspike.spikes import Posterior, SpikeData


def psth_rates(train: SpikeData, test: SpikeData) -> Posterior:
    """Every neuron's time course averaged over the training trials, the same for each test trial.

    One imaginary trial at the neuron's mean rate is averaged in, so that a bin without a spike does
    not get a rate of zero.

    Parameters
    ----------
    train, test : SpikeData
        With the same bins and neurons; conditions are not used.

    Returns
    -------
    Posterior
        ``rates`` in Hz for the trials of ``test``.

    Examples
    --------
    >>> import numpy as np
    >>> train = SpikeData(np.eye(4, dtype=int)[None].repeat(3, axis=0), bin_width=0.1)
    >>> psth_rates(train, train).rates[0, 0].round(3).tolist()
    [8.125, 0.625, 0.625, 0.625]
    """
    _check_pair(train, test)
    rates = _psth(train) / train.bin_width
    return _posterior(test, np.broadcast_to(rates, test.counts.shape).copy())


def smoothed_plus_psth(
    train: SpikeData, test: SpikeData, *, width: float = 0.06, penalty: float = 10.0
) -> Posterior:
    """Held-out neurons by Poisson regression on smoothed held-in spikes, on top of their PSTH.

    Parameters
    ----------
    train, test : SpikeData
        With ``heldout`` neurons, the same in both.
    width : float
        Standard deviation of the Gaussian in seconds.
    penalty : float
        Ridge penalty, see `fit_poisson`.

    Returns
    -------
    Posterior
        ``rates`` in Hz; the PSTH for held-in neurons and forward bins.
    """

    def features(data: SpikeData) -> np.ndarray:
        counts, observed = _readable(data)
        return smooth(counts, observed, width_bins=width / data.bin_width)[0]

    return _regressed(train, test, features, penalty)


def multi_lag_glm(
    train: SpikeData, test: SpikeData, *, max_lag: float = 0.12, penalty: float = 300.0
) -> Posterior:
    """Held-out neurons by Poisson regression on held-in counts at many lags, on top of their PSTH.

    Parameters
    ----------
    train, test : SpikeData
        With ``heldout`` neurons, the same in both. Missing bins, and those beyond the trial, are
        read as zero counts.
    max_lag : float
        Counts from this many seconds before to as many after a bin predict it.
    penalty : float
        Ridge penalty, see `fit_poisson`.

    Returns
    -------
    Posterior
        ``rates`` in Hz; the PSTH for held-in neurons and forward bins.
    """
    n_lags = round(max_lag / train.bin_width)
    return _regressed(train, test, lambda data: lagged_counts(data, n_lags), penalty)


def lagged_counts(data: SpikeData, n_lags: int) -> np.ndarray:
    """Held-in counts at lags −n_lags … n_lags: float32 [trials, read bins, lags × neurons]."""
    counts, observed = _readable(data)
    counts = np.where(observed, counts, 0)
    padded = np.pad(counts, ((0, 0), (n_lags, n_lags), (0, 0)))
    shifted = [padded[:, lag : lag + counts.shape[1]] for lag in range(2 * n_lags + 1)]
    return np.concatenate(shifted, axis=2, dtype=np.float32, casting="unsafe")


def _regressed(train: SpikeData, test: SpikeData, features, penalty: float) -> Posterior:
    _check_pair(train, test)
    if not train.heldout.any():
        raise ValueError("no neuron is held out: there is nothing to predict")
    psth, heldout = _psth(train), train.heldout
    bins = slice(0, train.n_read_bins)
    x = features(train)
    exposure = np.broadcast_to(psth[bins, heldout], (*x.shape[:2], int(heldout.sum())))
    regression = fit_poisson(
        x.reshape(-1, x.shape[2]),
        train.counts[:, bins, heldout].reshape(-1, exposure.shape[2]),
        train.observed[:, bins, heldout].reshape(-1, exposure.shape[2]),
        penalty=penalty,
        exposure=exposure.reshape(-1, exposure.shape[2]),
    )
    expected = np.broadcast_to(psth, test.counts.shape).copy()
    expected[:, bins, heldout] *= regression.predict(features(test))
    return _posterior(test, expected / test.bin_width)


def _readable(data: SpikeData) -> tuple[np.ndarray, np.ndarray]:
    bins = slice(0, data.n_read_bins)
    return data.counts[:, bins, ~data.heldout], data.observed[:, bins, ~data.heldout]


def _psth(train: SpikeData) -> np.ndarray:
    """Mean count per bin [bins, neurons], with one imaginary trial at the neuron's mean."""
    total = np.sum(train.counts, axis=0, where=train.observed, dtype=np.float64)
    n_trials = train.observed.sum(axis=0)
    spikes, bins = total.sum(axis=0), n_trials.sum(axis=0)
    mean = np.maximum(spikes, 0.5) / np.maximum(bins, 1)
    return (total + mean) / (n_trials + 1)


def _check_pair(train: SpikeData, test: SpikeData) -> None:
    if train.kind != "counts" or test.kind != "counts":
        raise ValueError("these baselines need spike counts, but the data is continuous")
    if train.counts.shape[1:] != test.counts.shape[1:]:
        raise ValueError(
            f"train and test differ in bins or neurons: {train.counts.shape[1:]} and "
            f"{test.counts.shape[1:]}"
        )
    same = np.array_equal(train.heldout, test.heldout)
    if not same or train.n_forward_bins != test.n_forward_bins:
        raise ValueError("train and test hold out different neurons or forward bins")
    if not np.isclose(train.bin_width, test.bin_width):
        raise ValueError(f"bin widths differ: {train.bin_width} and {test.bin_width} s")


def _posterior(data: SpikeData, rates: np.ndarray) -> Posterior:
    return Posterior(rates, data.bin_width, data.trial_ids, data.neuron_ids, t_start=data.t_start)
