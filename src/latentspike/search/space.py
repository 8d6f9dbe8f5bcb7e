"""What a search may vary, and how far: ranges of hyperparameters and values held fixed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np

from latentspike.models.lfads import LFADS
from latentspike.models.protocol import GradientModel
from latentspike.training.settings import TRAINING_HYPERPARAMS, check_hyperparams

USUAL_PERTURBATION = {"log": 0.8, "linear": 0.1}
# hyperparameters end up in single precision, where anything larger is infinite
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Range:
    """Values that one hyperparameter may take.

    Parameters
    ----------
    low, high : bounds, both included
    scale : "log" or "linear"; draws and perturbations are uniform on this scale
    start : value that every member starts from; None draws one for each
    perturbation : reach of one perturbation. On a log scale a factor between ``1 / (1 + p)`` and
        ``1 + p``, on a linear one a shift of at most ``p * (high - low)``. None: 0.8 and 0.1

    Raises
    ------
    ValueError
        Naming the field that is wrong.

    References
    ----------
    Jaderberg et al. (2017), section 4 (explore). Unlike there the factor is uniform in its
    logarithm, so that exploration does not drift.

    Examples
    --------
    >>> Range(5, 5e4, "log").sample(0.5)
    500.0...
    >>> Range(0, 0.7, "linear").perturb(0.7, np.random.default_rng(0)) <= 0.7
    True
    """

    low: float
    high: float
    scale: Literal["log", "linear"]
    start: float | None = None
    perturbation: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "start", "perturbation"):
            given = getattr(self, name)
            if given is not None or name in ("low", "high"):
                object.__setattr__(self, name, _number(given, name))
        if self.scale not in ("log", "linear"):
            raise ValueError(f"scale must be 'log' or 'linear', got {self.scale!r}")
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got low {self.low} and high {self.high}")
        if self.scale == "log" and not self.low > 0:
            raise ValueError(f"low must be positive on a log scale, got {self.low}")
        if self.start is not None and not self.low <= self.start <= self.high:
            raise ValueError(
                f"start {self.start} lies outside [{self.low}, {self.high}]; "
                "give a start inside, or 'random' to draw one for each member"
            )
        if self.perturbation is not None and not self.perturbation >= 0:
            raise ValueError(f"perturbation must be 0 or more, got {self.perturbation}")

    @property
    def reach(self) -> float:
        """Longest step of a perturbation, on the range's scale."""
        p = USUAL_PERTURBATION[self.scale] if self.perturbation is None else self.perturbation
        return math.log1p(p) if self.scale == "log" else p * (self.high - self.low)

    def sample(self, u: float) -> float:
        """Quantile ``u`` in [0, 1] of the uniform distribution on the scale; ignores ``start``."""
        if not 0 <= u <= 1:
            raise ValueError(f"a quantile lies in [0, 1], got {u}")
        low, high = self._on_scale(self.low), self._on_scale(self.high)
        return self._off_scale(low + u * (high - low))

    def perturb(self, value: float, rng: np.random.Generator) -> float:
        """A value near the given one: a uniform step on the scale, reflected at the bounds.

        Parameters
        ----------
        value : inside the range
        rng : generator; one number is drawn
        """
        if not self.low <= value <= self.high:
            raise ValueError(f"{value} lies outside [{self.low}, {self.high}]")
        step = rng.uniform(-self.reach, self.reach)
        low, high = self._on_scale(self.low), self._on_scale(self.high)
        return self._off_scale(_reflect(self._on_scale(value) + step, low, high))

    def _on_scale(self, value: float) -> float:
        return math.log(value) if self.scale == "log" else value

    def _off_scale(self, position: float) -> float:
        # the exponential of a logarithm may miss a bound by its last digit
        value = math.exp(position) if self.scale == "log" else position
        return float(min(max(value, self.low), self.high))


@dataclass(frozen=True)
class Space:
    """Hyperparameters that a search varies, and those it holds fixed.

    Any other hyperparameter of a model keeps the model's default.

    Parameters
    ----------
    ranges : searched hyperparameters by name
    fixed : values that every member keeps

    Raises
    ------
    ValueError
        Naming the hyperparameter and the value that is out of range, or that is in both.

    Examples
    --------
    >>> space = Space.table_1().updated({"keep_ratio": 0.7, "kl_ic": {"high": 1}})
    >>> space.fixed, space.ranges["kl_ic"].high
    ({'keep_ratio': 0.7}, 1.0)
    """

    ranges: dict[str, Range] = field(default_factory=dict)
    fixed: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranges", dict(self.ranges))
        fixed = {name: _number(v, f"hyperparameter {name}") for name, v in self.fixed.items()}
        object.__setattr__(self, "fixed", fixed)
        if both := sorted(set(self.ranges) & set(fixed)):
            name = both[0]
            raise ValueError(f"hyperparameter {name} has a range and a fixed value {fixed[name]}")
        check_hyperparams(fixed, fixed)
        for bound in ("low", "high"):
            ends = {name: getattr(found, bound) for name, found in self.ranges.items()}
            check_hyperparams(ends, ends)

    @classmethod
    def table_1(cls) -> Space:
        """The seven hyperparameters of Keshtkaran & Pandarinath (2019), Table 1."""
        return cls(_table_1())

    @classmethod
    def for_model(cls, model: Any) -> Space:
        """The part of Table 1 that a model has.

        Raises
        ------
        ValueError : if the model is not learned by gradient.

        Examples
        --------
        >>> from latentspike.models import LFADS, Architecture
        >>> list(Space.for_model(LFADS(Architecture(n_inferred_inputs=0))).ranges)
        ['l2_gen', 'kl_ic', 'dropout', 'keep_ratio', 'learning_rate']
        """
        if not isinstance(model, GradientModel):
            name = type(model).__name__
            raise ValueError(
                f"{name} is not learned by gradient: it has no hyperparameters to search"
            )
        known = set(TRAINING_HYPERPARAMS | model.default_hyperparams())
        if isinstance(model, LFADS) and not model.architecture.has_controller:
            known -= {"kl_co", "l2_con"}  # accepted there, but without any effect
        return cls({name: found for name, found in _table_1().items() if name in known})

    @property
    def names(self) -> tuple[str, ...]:
        """All hyperparameters, searched and fixed."""
        return (*self.ranges, *self.fixed)

    @property
    def drawn(self) -> tuple[str, ...]:
        """Searched hyperparameters without a start, in the order that draws are made in."""
        return tuple(sorted(name for name, found in self.ranges.items() if found.start is None))

    def updated(self, changes: Mapping[str, Any]) -> Space:
        """A space with some hyperparameters added, fixed or narrowed.

        Parameters
        ----------
        changes : plain values by name, as TOML gives them. A number fixes a hyperparameter; a
            table with ``low``, ``high``, ``scale``, ``start`` and ``perturbation`` adds one, or
            changes those fields of its present range. ``start = "random"`` takes a start away.

        Raises
        ------
        ValueError
            Naming the hyperparameter and what is wrong with it.
        """
        ranges, fixed = dict(self.ranges), dict(self.fixed)
        for name, change in changes.items():
            present = ranges.pop(name, None)
            fixed.pop(name, None)
            try:
                if isinstance(change, Mapping):
                    ranges[name] = _changed(present, change)
                else:
                    fixed[name] = _number(change, "a fixed value")
            except ValueError as problem:
                raise ValueError(f"hyperparameter {name}: {problem}") from None
        return Space(ranges, fixed)

    def check(self, known: Mapping[str, float]) -> None:
        """Raise unless every name is among the known hyperparameters of a model."""
        if unknown := sorted(set(self.names) - set(known)):
            names = ", ".join(sorted(known))
            raise ValueError(f"unknown hyperparameter {unknown[0]!r}; known: {names}")

    def place(self, quantiles: Sequence[float] | np.ndarray) -> dict[str, float]:
        """Hyperparameters of a new member, from one quantile for each name in `drawn`."""
        by_name = dict(zip(self.drawn, quantiles, strict=True))
        values = {
            name: found.sample(by_name[name]) if found.start is None else found.start
            for name, found in self.ranges.items()
        }
        return values | self.fixed

    def explore(self, member: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
        """Perturb every searched hyperparameter of a member; fixed ones keep their value.

        Raises
        ------
        ValueError : if the member lies outside the space.
        """
        if set(member) != set(self.names):
            raise ValueError(f"a member has {sorted(member)}, but the space {sorted(self.names)}")
        values = dict(member) | self.fixed
        for name in sorted(self.ranges):  # not in the order of a file that may be sorted anew
            try:
                values[name] = self.ranges[name].perturb(member[name], rng)
            except ValueError as problem:
                raise ValueError(f"hyperparameter {name}: {problem}") from None
        return values

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name, as `updated` takes them; for TOML and JSON."""
        given = {name: asdict(found).items() for name, found in self.ranges.items()}
        tables = {name: {k: v for k, v in items if v is not None} for name, items in given.items()}
        return tables | self.fixed

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Space:
        """Inverse of `to_dict`."""
        return cls().updated(values)


def _table_1() -> dict[str, Range]:
    l2, kl = Range(5, 5e4, "log", perturbation=0.8), Range(0.05, 5, "log", perturbation=0.8)
    return {
        **{"l2_gen": l2, "l2_con": l2, "kl_ic": kl, "kl_co": kl},
        "dropout": Range(0, 0.7, "linear", perturbation=0.1),
        "keep_ratio": Range(0.3, 0.99, "linear", start=0.5, perturbation=0.1),
        "learning_rate": Range(1e-5, 0.02, "log", start=0.01, perturbation=0.5),
    }


def _number(value: Any, what: str) -> float:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if isinstance(value, bool) or not is_number or not -LARGEST <= value <= LARGEST:
        raise ValueError(f"{what} must be a finite number, got {value!r}")
    return float(value)


def _changed(present: Range | None, change: Mapping[str, Any]) -> Range:
    known = [item.name for item in fields(Range)]
    if unknown := sorted(set(change) - set(known)):
        name = unknown[0]
        raise ValueError(f"unknown field {name} = {change[name]!r}; known: {', '.join(known)}")
    values = {} if present is None else asdict(present)
    if change.get("scale", values.get("scale")) != values.get("scale"):
        values.pop("perturbation", None)  # a factor means nothing on the other scale
    values |= change
    if missing := [name for name in known[:3] if name not in values]:
        raise ValueError(f"a new range needs low, high and scale; {missing[0]} is missing")
    if values.get("start") == "random":
        values["start"] = None
    return Range(**values)


def _reflect(position: float, low: float, high: float) -> float:
    """Fold a position back into [low, high], however far outside it lies."""
    length = high - low
    if length == 0:  # bounds so close that their logarithms are equal
        return low
    distance = (position - low) % (2 * length)
    return low + min(distance, 2 * length - distance)
