"""A posterior of the parameters without a chain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.special import expit, logit

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm.metric import metric_at, to_place
from latentspike.models.neulvm.problem import Problem

_EDGE = 0.01  # of a box
_N_MOMENTS = 4000  # draws for the moments in the boxes


class Laplace(NamedTuple):
    """Gaussian posterior of the parameters in logits, and what it means in the boxes."""

    logit: np.ndarray  # [free], mean
    logit_covariance: np.ndarray  # [free, free]
    share: np.ndarray  # [free], mean as a share of the box
    share_covariance: np.ndarray  # [free, free]

    def draw(self, problem: Problem, n_draws: int, *, seed: int) -> np.ndarray:
        """Parameters drawn from it, [n_draws, free], for `identifiability`."""
        shares = expit(_normal(self.logit, self.logit_covariance, n_draws, seed))
        low, high = np.asarray(problem.low), np.asarray(problem.high)
        return low + (high - low) * shares


def laplace(system: Mesoscopic, problem: Problem, counts: np.ndarray, free: np.ndarray) -> Laplace:
    """A cheap posterior: Gaussian around given parameters, with the activity integrated out.

    Its information is that of `latentspike.models.neulvm.metric.metric_at`: the Gauss–Newton matrix
    of the one-bin errors in activity and parameters, the activity eliminated, and at least that of
    the prior. It costs a metric, not a chain. It takes the given point for the mode, so that a
    point from hard estimation passes its bias on; it knows no skewness; and it is local: of two
    explanations it sees one. Use it for a first look, or where a chain is too dear.

    Parameters
    ----------
    system, problem : network and recording
    counts : [trials, bins, K], activity: spikes of each population per bin
    free : [free], parameters; those at the edge of their box are moved inside a little

    Raises
    ------
    ValueError : if nothing is free.
    """
    if not np.size(free):
        raise ValueError("no parameter is free: there is no posterior")
    low, high = np.asarray(problem.low), np.asarray(problem.high)
    mode = logit(np.clip((free - low) / (high - low), _EDGE, 1 - _EDGE))
    factor = metric_at(system, problem, to_place(counts), mode).corner
    inverse = scipy.linalg.solve_triangular(factor, np.eye(len(factor)), lower=True)
    covariance = inverse.T @ inverse
    shares = expit(_normal(mode, covariance, _N_MOMENTS, 0))
    return Laplace(mode, covariance, shares.mean(0), np.atleast_2d(np.cov(shares, rowvar=False)))


def _normal(mean: np.ndarray, covariance: np.ndarray, n_draws: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    factor = np.linalg.cholesky(covariance)
    return mean + generator.standard_normal((n_draws, len(mean))) @ factor.T
