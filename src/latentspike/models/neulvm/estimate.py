"""The fit as a sequence of resumable steps: which module takes them, by the method's name."""

from __future__ import annotations

from typing import Any, Protocol, cast

import jax
import numpy as np

from latentspike.dynamics.stepping import Mesoscopic
from latentspike.models.neulvm import narrowing, sampling, viterbi
from latentspike.models.neulvm.problem import Problem
from latentspike.models.neulvm.settings import Estimation

State = dict[str, np.ndarray]
Row = dict[str, float]


class Method(Protocol):
    """What a module of a method has; the state's ``is_finished`` says when no step is left."""

    def n_steps(self, settings: Estimation) -> int:
        """Steps of a whole fit."""
        ...

    def begin(
        self,
        system: Mesoscopic,
        problem: Problem,
        settings: Estimation,
        start: np.ndarray,
        key: jax.Array,
    ) -> State:
        """The state before the first step."""
        ...

    def advance(
        self, system: Mesoscopic, problem: Problem, settings: Estimation, state: State
    ) -> tuple[State, Row]:
        """The state after one step, and what is told of it."""
        ...

    def summary(self, settings: Estimation, state: State) -> dict[str, Any]:
        """Parameters and activity that the fit ends with."""
        ...

    def remarks(self, params: dict[str, Any]) -> list[str]:
        """What a reader of these must know of the estimation, in plain language."""
        ...


METHODS = cast(dict[str, Method], {"sampling": sampling, "particles": narrowing, "hard": viterbi})
