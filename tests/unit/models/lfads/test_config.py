import math

import pytest

from latentspike.models.lfads import Architecture


@pytest.mark.parametrize(
    "name, value",
    [
        ("generator_size", 0), ("n_factors", -1), ("ic_encoder_size", 0), ("ic_size", 0),
        ("controller_size", 0), ("ci_encoder_size", 0), ("n_inferred_inputs", -1),
        ("ci_lag", -1), ("clip", 0.0), ("clip", math.nan), ("ic_variance_floor", -1e-4),
        ("ic_prior_variance", 0.0), ("input_prior_time_constant", -1.0),
        ("input_prior_variance", 0.0), ("observation", "binomial"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        Architecture(**{name: value})


def test_an_autonomous_model_needs_no_controller():
    autonomous = Architecture(n_inferred_inputs=0, controller_size=0, ci_encoder_size=0)
    assert not autonomous.has_controller and Architecture().has_controller
