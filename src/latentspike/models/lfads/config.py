"""What fixes the shape of an LFADS network."""

from __future__ import annotations

from dataclasses import dataclass

from latentspike.models.observations import Observation

# scalars of the objective; the names and ranges of the 2019 paper's Table 1
HYPERPARAMS: dict[str, float] = {
    "dropout": 0.1,
    "kl_ic": 0.1,
    "kl_co": 0.1,
    "l2_gen": 100.0,
    "l2_con": 100.0,
    "l2_ic_encoder": 0.0,
    "l2_ci_encoder": 0.0,
}


@dataclass(frozen=True)
class Architecture:
    """Sizes of an LFADS network; anything here changes shapes and is never searched by value.

    Parameters
    ----------
    generator_size, n_factors : units of the generator and latent factors
    ic_encoder_size, ic_size : units per direction of the encoder of the initial condition; its code
    n_inferred_inputs : dimensions of the inferred input; 0 makes the model autonomous
    ci_encoder_size, controller_size : units of the controller's encoder and of the controller
    ci_lag : bins by which the controller's view skips its own bin
    clip : bound on every recurrent state
    ic_variance_floor, ic_prior_variance : of the initial condition's posterior and prior
    input_prior_time_constant : initial time constant of the inferred inputs' prior, in bins
    input_prior_variance : initial innovation variance of that prior
    observation : "poisson" counts or "gaussian" values

    Raises
    ------
    ValueError
        Naming the field that is out of range.
    """

    generator_size: int = 100
    n_factors: int = 20
    ic_encoder_size: int = 64
    ic_size: int = 64
    n_inferred_inputs: int = 4
    ci_encoder_size: int = 64
    controller_size: int = 64
    ci_lag: int = 1
    clip: float = 5.0
    ic_variance_floor: float = 1e-4
    ic_prior_variance: float = 0.1
    input_prior_time_constant: float = 10.0
    input_prior_variance: float = 0.1
    observation: Observation = "poisson"

    def __post_init__(self) -> None:
        sizes = ["generator_size", "n_factors", "ic_encoder_size", "ic_size"]
        if self.has_controller:
            sizes += ["ci_encoder_size", "controller_size"]
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("n_inferred_inputs", "ci_lag"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.ic_variance_floor >= 0:
            raise ValueError(f"ic_variance_floor must be 0 or more, got {self.ic_variance_floor}")
        positive = "clip", "ic_prior_variance", "input_prior_time_constant", "input_prior_variance"
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.observation not in ("poisson", "gaussian"):
            raise ValueError(
                f"observation must be 'poisson' or 'gaussian', got {self.observation!r}"
            )

    @property
    def has_controller(self) -> bool:
        """True for the input-driven model."""
        return self.n_inferred_inputs > 0
