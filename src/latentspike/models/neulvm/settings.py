"""How the mesoscopic model is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Estimation:
    """How parameters and activity are found.

    Parameters
    ----------
    method : "sampling" (parameters and activity are sampled together, so parameters answer to all
        activities that the spikes allow), "particles" (a swarm of networks that run freely and
        are selected by the spikes; for synchronous activity and few unknown parameters) or "hard"
        (Baum–Viterbi, the 2022 paper: the most probable activity; biased, and its fits hardly
        switch)
    n_starts : starts in the prior boxes; of method "sampling" chains, of which those count that
        explain the spikes no worse than the best
    smoothing : s; width of the first guess of the activity, chosen on the data if 0
    n_warmup : samples of a chain that find the bulk of the posterior and tune the sampler
    n_draws : samples after them, of all chains together
    n_particles : networks in a swarm
    n_passes : of method "particles", runs over the recording; each begins where the one before was
        found
    n_leapfrog : gradients per sample (the steps of one trajectory)
    n_iterations : of method "hard", at most
    e_step : of method "hard": "lbfgs", or "adam" as published
    tolerance : relative gain below which method "hard" stops

    References
    ----------
    Wang, Schmutz, Brea & Gerstner (2022), Appendix C; of the swarm: Gordon, Salmond & Smith (1993),
    Ionides, Nguyen, Atchadé, Stoev & King (2015).
    """

    method: Literal["sampling", "particles", "hard"] = "sampling"
    n_starts: int = 6
    smoothing: float = 0.0
    n_warmup: int = 50
    n_draws: int = 120
    n_leapfrog: int = 50
    n_particles: int = 1000
    n_passes: int = 10
    n_iterations: int = 30
    e_step: Literal["lbfgs", "adam"] = "lbfgs"
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        known = {"method": ("sampling", "particles", "hard"), "e_step": ("lbfgs", "adam")}
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"estimation.{name} must be {' or '.join(choices)}, got {getattr(self, name)!r}"
                )
        whole = ("n_starts", "n_iterations", "n_leapfrog", "n_warmup", "n_draws", "n_passes")
        for name in (*whole, "n_particles"):
            if getattr(self, name) < 1:
                raise ValueError(f"estimation.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("smoothing", "tolerance"):
            if getattr(self, name) < 0:
                raise ValueError(f"estimation.{name} must be 0 or more, got {getattr(self, name)}")
