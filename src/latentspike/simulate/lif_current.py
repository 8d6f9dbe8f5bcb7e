"""External currents of a network: arrays or pulses by population, in blocks of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from latentspike.spikes.validate import steps_of


@dataclass(frozen=True)
class Pulse:
    """A constant current for a while.

    Parameters
    ----------
    start, duration : s; 0 is the start of the recording
    amplitude : R·I, mV: how far the voltage would move in the end
    trials : which get it; all by default

    Raises
    ------
    ValueError : if a number is not finite, or the duration is not positive.
    """

    start: float
    duration: float
    amplitude: float
    trials: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if not np.isfinite([self.start, self.duration, self.amplitude]).all():
            raise ValueError(f"a pulse needs finite numbers, got {self}")
        if self.start < 0 or self.duration <= 0:
            raise ValueError(f"a pulse starts at 0 or later and lasts more than 0 s, got {self}")


class _Given(NamedTuple):
    """A current of population ``k``, [trials or 1, steps], from step ``first`` on."""

    k: int
    first: int
    values: np.ndarray
    trials: Any  # index


class Currents:
    """All external currents of a run; nothing longer than a pulse or a given array is kept."""

    def __init__(
        self,
        current: Mapping[str, Any] | None,
        names: tuple[str, ...],
        shape: tuple[int, int],
        time_step: float,
    ) -> None:
        self._n_trials, self._n_steps = shape
        self._n_populations = len(names)
        self._given: list[_Given] = []
        for name, value in (current or {}).items():
            if name not in names:
                raise ValueError(f"current of {name!r}; populations: {', '.join(names)}")
            self._add(name, names.index(name), value, time_step)
        self._differ = any(len(g.values) > 1 or g.trials != slice(None) for g in self._given)

    def _add(self, name: str, k: int, value: Any, time_step: float) -> None:
        if isinstance(value, Pulse):
            value = [value]
        if isinstance(value, list | tuple) and all(isinstance(p, Pulse) for p in value):
            self._given += [self._pulse(name, k, pulse, time_step) for pulse in value]
            return
        array = np.asarray(value, float)
        array = array[None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape not in (
            (1, self._n_steps),
            (self._n_trials, self._n_steps),
        ):
            raise ValueError(
                f"current of {name} must be [{self._n_steps} steps], [{self._n_trials} trials, "
                f"{self._n_steps} steps] or pulses, got shape {np.shape(value)}"
            )
        if not np.isfinite(array).all():
            trial, step = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"current of {name}, trial {trial}, step {step} is not finite")
        self._given.append(_Given(k, 0, array, slice(None)))

    def _pulse(self, name: str, k: int, pulse: Pulse, time_step: float) -> _Given:
        first = steps_of(f"current of {name}: a start", pulse.start, time_step)
        length = steps_of(f"current of {name}: a duration", pulse.duration, time_step)
        if first + length > self._n_steps:
            raise ValueError(
                f"current of {name}: {pulse} ends after the {self._n_steps * time_step:g} s of "
                "the recording"
            )
        trials: Any = slice(None)
        if pulse.trials is not None:
            trials = np.asarray(pulse.trials, int).tolist()
            if not trials or min(trials) < 0 or max(trials) >= self._n_trials:
                raise ValueError(f"current of {name}: trials {pulse.trials} of {self._n_trials}")
        return _Given(k, first, np.full((1, length), pulse.amplitude), trials)

    def block(self, first: int, n_steps: int) -> np.ndarray:
        """Float32 [steps, trials or 1, K] in mV; 0 outside of the recording."""
        width = self._n_trials if self._differ else 1
        block = np.zeros((n_steps, width, self._n_populations), np.float32)
        for k, start, values, trials in self._given:
            low, high = max(start, first), min(start + values.shape[1], first + n_steps)
            if low < high:
                part = values[:, low - start : high - start].T
                block[low - first : high - first, trials, k] += part
        return block
