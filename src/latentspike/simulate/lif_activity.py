"""`LIFActivity`: every spike of a simulated network, and what an experimenter would see of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from latentspike.simulate.observe import whole_steps
from latentspike.spikes import SpikeData
from latentspike.spikes.validate import as_whole

Several = Literal["error", "keep", "one"]


@dataclass(frozen=True, eq=False, repr=False)
class LIFActivity:
    """Every spike of all neurons of a network.

    Parameters
    ----------
    sizes : neurons per population, by name
    time_step : s
    n_steps : steps per trial
    spike_steps : per trial, the step of every spike, in order
    spike_neurons : per trial, the neuron of every spike, counted over all populations in their
        order

    Examples
    --------
    >>> from latentspike.simulate import lif_network, winner_take_all
    >>> activity = lif_network(winner_take_all(), 0.2, seed=0)
    >>> activity
    LIFActivity(1 trial × 0.2 s, E1 400, E2 400, I 200 neurons)
    >>> data = activity.record({"E1": 2, "I": 1}, 0.004, seed=1)
    >>> data.counts.shape, data.truth["population_counts"].shape
    ((1, 50, 3), (1, 50, 3))
    """

    sizes: Mapping[str, int]
    time_step: float
    n_steps: int
    spike_steps: tuple[np.ndarray, ...]
    spike_neurons: tuple[np.ndarray, ...]

    def __repr__(self) -> str:
        trials = "1 trial" if self.n_trials == 1 else f"{self.n_trials} trials"
        sizes = ", ".join(f"{name} {size}" for name, size in self.sizes.items())
        return f"LIFActivity({trials} × {self.duration:g} s, {sizes} neurons)"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the populations, in order."""
        return tuple(self.sizes)

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.spike_steps)

    @property
    def duration(self) -> float:
        """Of a trial, in seconds."""
        return self.n_steps * self.time_step

    @property
    def rates(self) -> np.ndarray:
        """Mean rate of the neurons of each population, Hz, [trials, K]."""
        edges = self._edges()
        counts = [np.histogram(neurons, edges)[0] for neurons in self.spike_neurons]
        return np.array(counts) / (np.diff(edges) * self.duration)

    def _edges(self) -> np.ndarray:
        """First neuron of each population, and the number of all."""
        return np.concatenate([[0], np.cumsum(list(self.sizes.values()))])

    def _range(self, population: str) -> tuple[int, int]:
        if population not in self.sizes:
            raise ValueError(f"no population {population!r}; there are {', '.join(self.names)}")
        k = self.names.index(population)
        low, high = self._edges()[k : k + 2]
        return int(low), int(high)

    def spikes(self, population: str, trial: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Step and neuron (counted within the population) of each spike, in order of time.

        Raises
        ------
        ValueError : for a population or trial that does not exist.
        """
        trial = as_whole("trial", trial, 0, self.n_trials - 1)
        low, high = self._range(population)
        neurons = self.spike_neurons[trial]
        chosen = (neurons >= low) & (neurons < high)
        return self.spike_steps[trial][chosen], neurons[chosen] - neurons.dtype.type(low)

    def intervals(self, population: str) -> np.ndarray:
        """All intervals between two successive spikes of a neuron, in s, over all trials."""
        found = []
        for trial in range(self.n_trials):
            steps, neurons = self.spikes(population, trial)
            order = np.argsort(neurons, kind="stable")  # steps stay sorted within a neuron
            steps, neurons = steps[order].astype(np.int64), neurons[order]
            found.append(np.diff(steps)[neurons[1:] == neurons[:-1]])
        return np.concatenate(found) * self.time_step

    def _bins(self, bin_width: float) -> tuple[int, int]:
        """Steps per bin and bins per trial."""
        per_bin = whole_steps("bin_width in time steps", bin_width, self.time_step)
        if self.n_steps % per_bin:
            raise ValueError(
                f"{self.duration:g} s of activity are not a whole number of bins of {bin_width} s"
            )
        return per_bin, self.n_steps // per_bin

    def counts(self, bin_width: float) -> np.ndarray:
        """Spikes of each population per bin, int [trials, bins, K].

        Raises
        ------
        ValueError : if the bins (s) are no whole number of steps, or do not fill the duration.
        """
        per_bin, n_bins = self._bins(bin_width)
        of_neuron = np.repeat(np.arange(len(self.sizes)), list(self.sizes.values()))
        return np.stack(
            [
                _count(steps // per_bin, of_neuron[neurons], (n_bins, len(self.sizes)))
                for steps, neurons in zip(self.spike_steps, self.spike_neurons, strict=True)
            ]
        )

    def record(
        self,
        n_per_population: int | Mapping[str, int],
        bin_width: float,
        *,
        seed: int,
        several: Several = "error",
    ) -> SpikeData:
        """Spikes of a few randomly drawn neurons, the same in every trial.

        Parameters
        ----------
        n_per_population : how many neurons of each; a mapping may leave populations out
        bin_width : s, a whole number of steps
        seed : of the draw
        several : what to do when a neuron fires more than once in a bin: "error", "keep" the
            count, or count it as "one"

        Returns
        -------
        SpikeData
            Neuron ids such as ``E1-017`` (see `neurons_by_population`), and ``truth`` with
            ``population_counts`` and ``population_rate`` (Hz) of all neurons,
            [trials, bins, K populations] in the order of `names`.

        Raises
        ------
        ValueError : for numbers that do not fit, or for several spikes of a neuron in a bin.
        """
        if several not in ("error", "keep", "one"):
            raise ValueError(f"several must be 'error', 'keep' or 'one', got {several!r}")
        chosen = self._draw(n_per_population, np.random.default_rng(seed))
        ids = [
            f"{name}-{neuron:0{len(str(self.sizes[name] - 1))}d}"
            for name, neurons in chosen.items()
            for neuron in neurons
        ]
        index = np.concatenate([self._range(name)[0] + drawn for name, drawn in chosen.items()])
        counts = self._recorded(index, bin_width)
        if several != "keep" and counts.max(initial=0) > 1:
            if several == "error":
                self._complain(counts, ids, bin_width)
            counts = np.minimum(counts, 1)
        total = self.counts(bin_width)
        rate = total / (np.array(list(self.sizes.values())) * bin_width)
        truth = {"population_counts": total, "population_rate": rate}
        return SpikeData(counts, bin_width, neuron_ids=np.array(ids), truth=truth)

    def _draw(self, n: int | Mapping[str, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
        wanted: Mapping[str, Any] = n if isinstance(n, Mapping) else dict.fromkeys(self.names, n)
        if unknown := set(wanted) - set(self.names):
            raise ValueError(f"no population {sorted(unknown)[0]!r}: {', '.join(self.names)}")
        drawn = {}
        for name, size in self.sizes.items():
            order = rng.permutation(size)  # drawn for all, so that others do not change with one
            if name in wanted:
                number = as_whole(f"recorded neurons of {name}", wanted[name], 0, size)
                drawn[name] = np.sort(order[:number])
        if not sum(map(len, drawn.values())):
            raise ValueError("record at least one neuron")
        return drawn

    def _recorded(self, index: np.ndarray, bin_width: float) -> np.ndarray:
        """Spikes per bin of chosen neurons, [trials, bins, neurons]."""
        per_bin, n_bins = self._bins(bin_width)
        column = np.full(self._edges()[-1], -1)
        column[index] = np.arange(len(index))
        counts = np.zeros((self.n_trials, n_bins, len(index)), np.int64)
        for trial, (steps, neurons) in enumerate(
            zip(self.spike_steps, self.spike_neurons, strict=True)
        ):
            where = column[neurons]
            seen = where >= 0
            counts[trial] = _count(steps[seen] // per_bin, where[seen], counts.shape[1:])
        return counts

    def _complain(self, counts: np.ndarray, ids: list[str], bin_width: float) -> None:
        trial, time_bin, neuron = (int(i) for i in np.argwhere(counts > 1)[0])
        raise ValueError(
            f"{int((counts > 1).sum())} bins of {bin_width} s hold several spikes of a neuron, the "
            f"first in trial {trial}, bin {time_bin}, neuron {ids[neuron]}: choose narrower bins, "
            "several='keep' or several='one'"
        )


def _count(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """How often each (row, column) occurs, int64 of the given shape."""
    flat = rows.astype(np.int64) * shape[1] + columns
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


def neurons_by_population(neuron_ids: Any) -> dict[str, list[str]]:
    """Which recorded neurons belong to which population, from ids such as ``E1-017``.

    Raises
    ------
    ValueError : for an id without a population.

    Examples
    --------
    >>> neurons_by_population(["E1-017", "E1-203", "I-004"])
    {'E1': ['E1-017', 'E1-203'], 'I': ['I-004']}
    """
    found: dict[str, list[str]] = {}
    for neuron in map(str, np.asarray(neuron_ids).tolist()):
        population, dash, number = neuron.rpartition("-")
        if not dash or not population or not number.isdigit():
            raise ValueError(f"neuron id {neuron!r} does not name a population, as E1-017 does")
        found.setdefault(population, []).append(neuron)
    return found
