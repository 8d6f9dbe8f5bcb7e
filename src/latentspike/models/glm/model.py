"""Poisson GLM: each neuron from the spike history of its own and of the others."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from latentspike.models.glm.history import filtered, lag_basis
from latentspike.models.glm.weights import fit_weights
from latentspike.models.protocol import DataSpec
from latentspike.spikes import Posterior, SpikeData

Params = dict[str, np.ndarray]


@dataclass(frozen=True)
class GLM:
    """Spikes given spikes: no latent variable, only filters from neuron to neuron.

    The log of the expected count in a bin is a constant plus, for each neuron that may be read,
    its counts in the bins before, filtered. Filters are weighted sums of raised cosines that widen
    with the lag; where the history has no more bins than there are functions, every bin has a
    weight of its own. nemos finds the weights: penalised maximum likelihood.

    Held-out neurons are predicted from the history of the held-in ones; their own spikes are
    targets, never regressors. No filter reaches over the edge of a trial: before it there are no
    spikes. When rates are inferred, entries that may not be read (missing, or in forward bins)
    stand at the neuron's mean, so that forward bins follow from what was read before them and fall
    back to the mean rate. Measured inputs are not used.

    Parameters
    ----------
    history : float
        Reach of the filters in seconds, one bin at least.
    n_basis : int
        Raised cosines of each filter.
    is_coupled : bool
        Whether neurons drive each other, or only themselves (held-out neurons: constant rates).
    ridge : float
        Half of this times the squared weights is added to the total negative log-likelihood in
        nats: a Gaussian prior of variance ``1 / ridge`` on the log gain that a spike brings.
    max_rows : int
        Bins of all fitted trials at most; of a longer recording, whole trials at even distances.

    Raises
    ------
    ValueError
        Naming the setting that is out of range.

    References
    ----------
    Pillow et al. (2008), Spatio-temporal correlations and visual signalling in a complete neuronal
    population, Nature 454, 995–999.

    Examples
    --------
    >>> import jax
    >>> from latentspike.simulate import chaotic_rnn
    >>> data = chaotic_rnn(n_conditions=2, n_trials_per_condition=3, n_neurons=5, seed=0)
    >>> model, key = GLM(history=0.1), jax.random.key(0)
    >>> params = model.estimate(model.init(DataSpec.of(data), key=key), data, key=key)
    >>> model.filters(params).shape  # bins, from neuron, to neuron
    (10, 5, 5)
    """

    history: float = 0.2
    n_basis: int = 5
    is_coupled: bool = True
    ridge: float = 10.0
    max_rows: int = 100_000

    def __post_init__(self) -> None:
        if not (np.isfinite(self.history) and self.history > 0):
            raise ValueError(f"history must be a positive number of seconds, got {self.history}")
        if not (np.isfinite(self.ridge) and self.ridge > 0):
            raise ValueError(f"ridge must be positive, got {self.ridge}")
        for name in ("n_basis", "max_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def init(self, spec: DataSpec, *, key: jax.Array | None = None) -> Params:
        """Parameters before any fit: constant rates, no filters. ``key`` is not used.

        Returns
        -------
        ``intercept`` [neurons], log of the expected count per bin; ``weights`` [n_basis, from, to],
        log gain per spike; ``mean_counts`` [neurons], what stands for unread entries; ``ceiling``
        [neurons], greatest expected count; ``n_lags``, bins of the history.
        """
        n = spec.n_neurons
        mean = np.asarray(spec.mean_counts, np.float64)
        return {
            "intercept": np.log(np.maximum(mean, 1e-9)),
            "weights": np.zeros((self.n_basis, n, n)),
            "mean_counts": mean,
            "ceiling": np.full(n, np.inf),
            "n_lags": np.ones(()),
        }

    def estimate(self, params: Params, data: SpikeData, *, key: jax.Array | None = None) -> Params:
        """Filters by penalised maximum likelihood, all neurons at once; ``key`` is not used.

        Entries that were not observed are no targets, and stand at the mean where they are read.
        Expected counts are capped at the greatest count seen, since an exponential that feeds
        itself may explode in a free run. A neuron without a spike gets no filters and the rate of
        half a spike in all its bins.

        Raises
        ------
        ImportError
            Without nemos.
        ValueError
            If the recording is continuous, does not fit the parameters, or has a neuron that was
            never observed.
        """
        _check(params, data)
        data = _thinned(data, self.max_rows)
        n_seen = data.observed.sum(axis=(0, 1))
        if not n_seen.all():
            neuron = data.neuron_ids[np.argmin(n_seen)]
            raise ValueError(f"neuron {neuron} was never observed in these trials; leave it out")
        mean = DataSpec.of(data).mean_counts
        n_lags = max(1, round(self.history / data.bin_width))
        read = np.flatnonzero(~data.heldout)
        past = np.where(data.observed, data.counts, mean)[:, :, read]
        design = np.concatenate(list(filtered(past, lag_basis(n_lags, self.n_basis))), axis=2)
        own = np.ones((design.shape[2], data.n_neurons), bool)
        if not self.is_coupled:
            own = np.repeat(np.eye(data.n_neurons, dtype=bool)[read], self.n_basis, axis=0)
        intercept, coefficients = fit_weights(
            design.reshape(-1, design.shape[2]),
            np.where(data.observed, data.counts, np.nan).reshape(-1, data.n_neurons),
            np.log(np.maximum(mean, 0.5 / n_seen)),
            ridge=self.ridge,
            own=own,
        )
        silent = mean == 0
        weights = np.zeros(params["weights"].shape)
        weights[:, read] = coefficients.reshape(len(read), self.n_basis, -1).swapaxes(0, 1)
        weights[:, silent] = weights[:, :, silent] = 0.0
        return {
            "intercept": np.where(silent, np.log(0.5 / n_seen), intercept),
            "weights": weights,
            "mean_counts": mean,
            "ceiling": np.max(data.counts, axis=(0, 1), where=data.observed, initial=1).astype(
                float
            ),
            "n_lags": np.array(float(n_lags)),
        }

    def infer(
        self,
        params: Params,
        data: SpikeData,
        *,
        n_samples: int = 0,
        key: jax.Array | None = None,
    ) -> Posterior:
        """Rates in Hz given the bins before; there is no spread.

        ``n_samples`` and ``key`` are part of the protocol and change nothing here.

        Raises
        ------
        ValueError
            If the recording is continuous or does not fit the parameters.
        """
        _check(params, data)
        weights, basis = np.asarray(params["weights"]), self._basis(params)
        seen = data.observed & data.readable
        past = np.where(seen, data.counts, np.asarray(params["mean_counts"]))
        log_counts = np.broadcast_to(np.asarray(params["intercept"]), past.shape).copy()
        for source, features in enumerate(filtered(past, basis)):
            if weights[:, source].any():
                log_counts += features @ weights[:, source]
        return Posterior(
            _expected(log_counts, params) / data.bin_width,
            data.bin_width,
            data.trial_ids,
            data.neuron_ids,
            t_start=data.t_start,
        )

    def simulate(
        self, params: Params, *, n_trials: int, n_bins: int, bin_width: float, key: jax.Array
    ) -> SpikeData:
        """Free run, bin by bin, from silence: every spike drawn is fed back.

        Parameters
        ----------
        params : fitted
        n_trials, n_bins : size
        bin_width : seconds; that of the fit
        key : PRNG key

        Returns
        -------
        SpikeData
            With ``truth["rates"]``: in Hz, given the spikes of the bins before.
        """
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
        filters = self.filters(params)[::-1]  # the oldest bin first
        n_lags, _, n_neurons = filters.shape
        counts = np.zeros((n_trials, n_lags + n_bins, n_neurons), np.int64)
        expected = np.zeros((n_trials, n_bins, n_neurons))
        for t in range(n_bins):
            drive = np.tensordot(counts[:, t : t + n_lags], filters, axes=2)
            expected[:, t] = _expected(np.asarray(params["intercept"]) + drive, params)
            counts[:, t + n_lags] = rng.poisson(expected[:, t])
        return SpikeData(
            counts[:, n_lags:], bin_width=bin_width, truth={"rates": expected / bin_width}
        )

    def filters(self, params: Params) -> np.ndarray:
        """Log gain [lags, from neuron, to neuron] of one spike, 1, 2, … bins after it."""
        return np.tensordot(self._basis(params), np.asarray(params["weights"]), axes=1)

    def _basis(self, params: Params) -> np.ndarray:
        return lag_basis(int(params["n_lags"]), np.shape(params["weights"])[0])


def _expected(log_counts: np.ndarray, params: Params) -> np.ndarray:
    """Expected counts per bin, capped."""
    ceiling = np.asarray(params["ceiling"])
    return np.exp(np.minimum(log_counts, np.log(ceiling)))


def _thinned(data: SpikeData, max_rows: int) -> SpikeData:
    n_trials = max(1, min(data.n_trials, max_rows // data.n_bins))
    if n_trials == data.n_trials:
        return data
    return data.select_trials(np.linspace(0, data.n_trials - 1, n_trials).astype(int))


def _check(params: Params, data: SpikeData) -> None:
    if data.kind != "counts":
        raise ValueError("a GLM needs spike counts, but the recording is continuous")
    if len(params["intercept"]) != data.n_neurons:
        raise ValueError(
            f"parameters are for {len(params['intercept'])} neurons, the data has {data.n_neurons}"
        )
