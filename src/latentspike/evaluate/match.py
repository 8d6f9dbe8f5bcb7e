"""Is this posterior about these trials and neurons?"""

from __future__ import annotations

import numpy as np

from latentspike.spikes import Posterior, SpikeData


def check_match(data: SpikeData, posterior: Posterior) -> None:
    """Raise ValueError unless the posterior covers exactly the data's trials, bins and neurons.

    Examples
    --------
    >>> import numpy as np
    >>> data = SpikeData(np.ones((2, 5, 3), int), bin_width=0.01)
    >>> check_match(data, Posterior(np.ones((2, 5, 3)), 0.01, data.trial_ids, data.neuron_ids))
    """
    if posterior.rates.shape != data.counts.shape:
        raise ValueError(
            f"the posterior's rates have shape {posterior.rates.shape}, the data "
            f"{data.counts.shape} [trials, bins, neurons]: infer on the data that you grade"
        )
    if not np.isclose(posterior.bin_width, data.bin_width, rtol=1e-6):
        raise ValueError(
            f"bin widths differ: posterior {posterior.bin_width} s, data {data.bin_width} s"
        )
    _check_ids("trial", data.trial_ids, posterior.trial_ids)
    _check_ids("neuron", data.neuron_ids, posterior.neuron_ids)
    if not np.isfinite(posterior.rates).all():
        trial, time_bin, neuron = (int(i) for i in np.argwhere(~np.isfinite(posterior.rates))[0])
        raise ValueError(
            f"inferred rate [trial {trial}, bin {time_bin}, neuron {neuron}] is "
            f"{posterior.rates[trial, time_bin, neuron]}: did training diverge?"
        )


def _check_ids(what: str, expected: np.ndarray, found: np.ndarray) -> None:
    found = np.asarray(found)
    different = np.flatnonzero(found != expected)
    if different.size:
        first = int(different[0])
        raise ValueError(
            f"{what} {first} is {expected[first]!r} in the data but {found[first]!r} in the "
            "posterior: are they in the same order?"
        )
