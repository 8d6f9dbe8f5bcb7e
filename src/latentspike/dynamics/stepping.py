"""How the mesoscopic equations are cut into bins: settings, and the sizes that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from latentspike.dynamics.network import Free, Network

_MEMBRANE_TIMES = 4  # of memory; three of them let example 5.2 switch a quarter more often


@dataclass(frozen=True)
class Stepping:
    """How a bin is computed.

    Parameters
    ----------
    membrane : "exact" (exponential membrane, averages over bins, spikes act in their own bin) or
        "euler" (the published scheme)
    variance : of the activity of a bin: "refined" (sum of the age classes' binomial variances),
        "binomial" or "poisson" (the published one)
    has_old : keep the neurons that are older than ``max_age`` as one class of their own
    max_age : s; memory of the model, by default four membrane times
    start : what is known of the network before a trial: it was "stationary", or nothing ("free"),
        so that the activity of the first bins is whatever suits the bins after them. For trials
        cut out of synchronous activity, which no stationary past explains.

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), Eq. 6; Schwalger, Deger & Gerstner (2017).
    """

    membrane: Literal["exact", "euler"] = "exact"
    variance: Literal["refined", "binomial", "poisson"] = "refined"
    has_old: bool = True
    max_age: float | None = None
    start: Literal["stationary", "free"] = "stationary"

    def __post_init__(self) -> None:
        known = {
            "membrane": ("exact", "euler"),
            "variance": ("refined", "binomial", "poisson"),
            "start": ("stationary", "free"),
        }
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be {' or '.join(choices)}, got {getattr(self, name)!r}"
                )
        if self.max_age is not None and not 0 < self.max_age < math.inf:
            raise ValueError(f"max_age must be seconds above 0, got {self.max_age!r}")


PUBLISHED = Stepping("euler", "poisson", has_old=False)
"""The stepping of the 2022 paper's code, for comparison."""


@dataclass(frozen=True)
class Mesoscopic:
    """What is static of the mesoscopic equations of one network at one bin width.

    Parameters
    ----------
    sizes : neurons per population
    bin_width : s
    refractory_bins, delay_bins : whole bins per population
    n_ages : age classes, the class of old neurons not counted
    stepping : how a bin is computed
    """

    sizes: tuple[float, ...]
    bin_width: float
    refractory_bins: tuple[int, ...]
    delay_bins: tuple[int, ...]
    n_ages: int
    stepping: Stepping = Stepping()

    @classmethod
    def of(cls, network: Network, bin_width: float, stepping: Stepping | None = None) -> Mesoscopic:
        """The equations of a network; refractory periods and delays are rounded to whole bins."""
        stepping = stepping or Stepping()
        populations = network.populations.values()
        refractory = tuple(round(p.refractory / bin_width) for p in populations)
        delay = tuple(round(p.delay / bin_width) for p in populations)
        boxes = [
            network.parameters[p.membrane_time]
            if isinstance(p.membrane_time, str)
            else p.membrane_time
            for p in populations
        ]
        longest = max(box.high if isinstance(box, Free) else box for box in boxes)
        memory = stepping.max_age or _MEMBRANE_TIMES * longest + max(refractory) * bin_width
        n_ages = max(round(memory / bin_width), max(refractory) + 1, 2)
        return cls(tuple(network.sizes), bin_width, refractory, delay, n_ages, stepping)

    @property
    def n_populations(self) -> int:
        """K."""
        return len(self.sizes)

    def n_free_bins(self, n_bins: int) -> int:
        """First bins of a trial whose activity no earlier one predicts.

        Half of the memory, after which most of what matters is in the trial itself; a quarter of
        the trial at most.
        """
        return 0 if self.stepping.start == "stationary" else min(self.n_ages // 2, n_bins // 4)
