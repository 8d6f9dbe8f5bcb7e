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
