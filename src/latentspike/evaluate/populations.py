"""Which recorded neurons belong together: van Rossum distances and k-means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentspike.evaluate.van_rossum import InnerProducts, Normalize, inner_products
from latentspike.spikes import SpikeData

_N_STARTS = 20  # of k-means


@dataclass(frozen=True, eq=False)
class PopulationLabels:
    """Populations found among recorded neurons.

    Parameters
    ----------
    neuron_ids : array [neurons]
        As in the recording.
    labels : int [neurons]
        0, 1, …; numbered by the first neuron that each has in the recording.
    distance : float [neurons, neurons]
        Van Rossum distances; without normalisation, 1 is the distance of a spike from no spike.
    silhouettes : float [neurons]
        −1 to 1: how much nearer a neuron is to its own population than to the next.
    agreements : float [n_repeats]
        Adjusted Rand index between the populations of two halves of the recording, split at random.
    """

    neuron_ids: np.ndarray
    labels: np.ndarray
    distance: np.ndarray
    silhouettes: np.ndarray
    agreements: np.ndarray

    @property
    def n_populations(self) -> int:
        """How many."""
        return int(self.labels.max()) + 1

    @property
    def stability(self) -> float:
        """Mean of ``agreements``: 1 for the same populations in every half, 0 for chance."""
        return float(self.agreements.mean())

    @property
    def stability_spread(self) -> float:
        """Standard deviation of ``agreements`` (splits share data: no standard error)."""
        return float(self.agreements.std())

    @property
    def silhouette(self) -> float:
        """Mean over neurons."""
        return float(self.silhouettes.mean())

    @property
    def neurons(self) -> dict[str, list[Any]]:
        """Ids of the neurons of each population, as a ``NeuLVM`` takes them."""
        return {
            f"population {label + 1}": self.neuron_ids[self.labels == label].tolist()
            for label in range(self.n_populations)
        }

    def agreement(self, truth: Any) -> float:
        """Adjusted Rand index with known populations, whatever their names; 1 if all are right.

        Parameters
        ----------
        truth : array [neurons]
            Label or name of the population of each neuron.
        """
        return _adjusted_rand(self.labels, np.asarray(truth))


def find_populations(
    data: SpikeData,
    n_populations: int,
    *,
    time_constant: float = 0.4,
    normalize: Normalize = "none",
    n_repeats: int = 20,
    seed: int,
) -> PopulationLabels:
    """Populations of neurons whose filtered spike trains are alike.

    Pairwise van Rossum distances (elephant), then k-means (scikit-learn). K-means needs points,
    not distances; but van Rossum's distance *is* the Euclidean distance of spike trains filtered
    by a decaying exponential, so classical scaling of the distances gives these trains' places
    exactly (``neurons − 1`` dimensions, none left out). Trials follow each other as if far apart.

    Stability: the recording is cut into blocks of time (ten if they can be five time constants
    long, never across trials), which are split into halves at random; neurons are clustered in
    each half by itself. Halves share no spikes, so a partition of noise does not come back.

    Forward bins are not read; held-out neurons are, since a model must know where they belong.
    Bins in which some neuron was not observed are left out for all.

    Parameters
    ----------
    data : SpikeData
        With spike counts; every neuron must have fired.
    n_populations : int
        At least 2, fewer than neurons; see `stability_against_number` for a choice.
    time_constant : float
        Of the filter, in seconds: long against intervals, short against changes of activity.
    normalize : "none" or "rate"
        ``"rate"`` divides each filtered train by the neuron's number of spikes: populations then
        differ in when their neurons fire, no longer in how much. For real neurons of one
        population, whose rates differ; neurons with few spikes become noisy.
    n_repeats : int
        Random splits.
    seed : int

    Raises
    ------
    ImportError
        Without elephant.
    ValueError
        Naming neurons that are silent; or if a number does not fit, the data is continuous, or
        the recording is too short for two blocks.

    References
    ----------
    van Rossum (2001), A novel spike distance, Neural Comput. 13, 751–763.
    Wang, Schmutz, Brea & Gerstner (2022), section 5.2.

    Examples
    --------
    >>> phase = np.arange(500) // 100 % 2 == 0  # two groups of three take turns, 2 s each
    >>> rates = np.where(phase[:, None] == [1, 1, 1, 0, 0, 0], 20, 2)
    >>> counts = np.random.default_rng(0).poisson(rates * 0.02, (4, 500, 6))
    >>> found = find_populations(SpikeData(counts, bin_width=0.02), 2, seed=0)
    >>> found.neurons, found.stability
    ({'population 1': [0, 1, 2], 'population 2': [3, 4, 5]}, 1.0)
    """
    products = inner_products(data, time_constant, normalize)
    return _find(data, products, n_populations, n_repeats, seed)


def stability_against_number(
    data: SpikeData,
    numbers: Sequence[int] = (2, 3, 4, 5, 6),
    *,
    time_constant: float = 0.4,
    normalize: Normalize = "none",
    n_repeats: int = 20,
    seed: int,
) -> list[PopulationLabels]:
    """`find_populations` for several numbers of populations; distances are computed once.

    With too many populations, which noise decides, stability and silhouette fall. With too few
    they may stay high: look at the largest number that is still stable.

    Parameters
    ----------
    data : SpikeData
    numbers : sequence of int
    time_constant, normalize, n_repeats, seed
        As for `find_populations`.

    Raises
    ------
    ImportError, ValueError
        As `find_populations`.
    """
    if not len(numbers):
        raise ValueError("no number of populations to try")
    products = inner_products(data, time_constant, normalize)
    return [_find(data, products, number, n_repeats, seed) for number in numbers]


def _find(
    data: SpikeData, products: InnerProducts, n_populations: int, n_repeats: int, seed: int
) -> PopulationLabels:
    if not 2 <= n_populations < data.n_neurons or n_repeats < 1:
        raise ValueError(
            f"n_populations must lie in [2, {data.n_neurons - 1}] for {data.n_neurons} neurons and "
            f"n_repeats be 1 or more, got {n_populations} and {n_repeats}"
        )
    generator = np.random.default_rng(seed)
    distance = _distances(products.gram())
    labels = _in_order(_k_means(products.gram(), n_populations, generator))
    agreements = [_split_half(products, n_populations, generator) for _ in range(n_repeats)]
    return PopulationLabels(
        data.neuron_ids, labels, distance, _silhouettes(distance, labels), np.array(agreements)
    )


def _split_half(
    products: InnerProducts, n_populations: int, generator: np.random.Generator
) -> float:
    order = generator.permutation(len(products.blocks))
    halves = order[: order.size // 2], order[order.size // 2 :]
    first, second = (_k_means(products.gram(half), n_populations, generator) for half in halves)
    return _adjusted_rand(first, second)


def _k_means(gram: np.ndarray, n_populations: int, generator: np.random.Generator) -> np.ndarray:
    from sklearn.cluster import KMeans  # seconds to import, for few commands
    from threadpoolctl import threadpool_limits

    state = int(generator.integers(2**31))
    settings: Any = {"n_init": _N_STARTS, "random_state": state}
    with threadpool_limits(1):  # so few points take 20 times longer with threads than without
        return KMeans(n_populations, **settings).fit_predict(_places(gram))


def _places(gram: np.ndarray) -> np.ndarray:
    """Points with these inner products, around their mean [neurons, neurons − 1] (Gower 1966)."""
    centered = gram - gram.mean(axis=0)
    centered -= centered.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(centered)
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, 1:]


def _distances(gram: np.ndarray) -> np.ndarray:
    length = np.diag(gram)
    squared = length[:, None] + length - 2 * gram
    np.fill_diagonal(squared, 0)
    return np.sqrt(np.maximum(squared, 0))


def _in_order(labels: np.ndarray) -> np.ndarray:
    """Numbered by first appearance, so that a seed does not change the numbers."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _silhouettes(distance: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from sklearn.metrics import silhouette_samples

    return np.asarray(silhouette_samples(distance, labels, metric="precomputed"))


def _adjusted_rand(first: np.ndarray, second: np.ndarray) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(first, second))
