"""`Posterior`: what every model returns from `infer`."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Posterior:
    """What a model infers about a recording, with its spread.

    Evaluation and plots know this class and no model. Arrays that a model does not have are None.

    Parameters
    ----------
    rates : float [trials, bins, neurons]
        Firing rates in Hz (for continuous data: the expected value). Held-out neurons and
        forward bins are included.
    bin_width : float
        Seconds.
    t_start : float
        Time of the left edge of bin 0 relative to the alignment event, in seconds.
    rates_std, factors_std, initial_condition_std, inferred_inputs_std, population_activity_std
        Posterior standard deviations, same shapes and units.
    factors : float [trials, bins, n_factors]
    initial_condition : float [trials, dims]
    inferred_inputs : float [trials, bins, dims]
    population_activity : float [trials, bins, populations], Hz
    trial_ids, neuron_ids : arrays
        As in the `SpikeData` that was read.
    n_samples : int
        Posterior draws averaged; 0 when the posterior mean was passed through the model.

    Raises
    ------
    ValueError
        If an array does not have the shape that goes with ``rates``.

    Examples
    --------
    >>> import numpy as np
    >>> rates = np.full((2, 5, 3), 10.0)
    >>> posterior = Posterior(rates, 0.01, trial_ids=np.arange(2), neuron_ids=np.arange(3))
    >>> posterior
    Posterior(2 trials × 5 bins × 3 neurons)
    >>> sorted(posterior.arrays())
    ['rates']
    """

    rates: np.ndarray
    bin_width: float
    trial_ids: np.ndarray
    neuron_ids: np.ndarray
    t_start: float = 0.0
    rates_std: np.ndarray | None = None
    factors: np.ndarray | None = None
    factors_std: np.ndarray | None = None
    initial_condition: np.ndarray | None = None
    initial_condition_std: np.ndarray | None = None
    inferred_inputs: np.ndarray | None = None
    inferred_inputs_std: np.ndarray | None = None
    population_activity: np.ndarray | None = None
    population_activity_std: np.ndarray | None = None
    n_samples: int = 0

    def __post_init__(self) -> None:
        if self.rates.ndim != 3:
            raise ValueError(
                f"rates must have shape [trials, bins, neurons], got {self.rates.shape}"
            )
        trials, bins, neurons = self.rates.shape
        if len(self.trial_ids) != trials or len(self.neuron_ids) != neurons:
            raise ValueError(
                f"rates have {trials} trials and {neurons} neurons, but there are "
                f"{len(self.trial_ids)} trial_ids and {len(self.neuron_ids)} neuron_ids"
            )
        for name, value in self.arrays().items():
            mean = getattr(self, name.removesuffix("_std"))
            if mean is None or value.shape != mean.shape:
                raise ValueError(f"{name} needs {name.removesuffix('_std')} of the same shape")
            leading = (trials,) if name.startswith("initial_condition") else (trials, bins)
            if value.shape[:-1] != leading:
                raise ValueError(f"{name} must have leading shape {leading}, got {value.shape}")

    def __repr__(self) -> str:
        trials, bins, neurons = self.rates.shape
        have = [name for name in self.arrays() if name != "rates"]
        more = f", with {', '.join(have)}" if have else ""
        return f"Posterior({trials} trials × {bins} bins × {neurons} neurons{more})"

    def arrays(self) -> dict[str, np.ndarray]:
        """The inferred arrays that are present, by field name."""
        skip = {"bin_width", "t_start", "trial_ids", "neuron_ids", "n_samples"}
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skip}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def times(self) -> np.ndarray:
        """Centre of each bin relative to the alignment event, in seconds."""
        return self.t_start + (np.arange(self.rates.shape[1]) + 0.5) * self.bin_width
