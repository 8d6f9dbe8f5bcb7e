import math

import pytest

from latentspike.training.settings import TrainingSettings, check_hyperparams

KNOWN = {"learning_rate": 4e-3, "keep_ratio": 0.7, "dropout": 0.1, "kl_ic": 1.0}


@pytest.mark.parametrize(
    "name, value",
    [
        ("max_epochs", 0), ("batch_size", 0), ("ramp_epochs", -1), ("clip_norm", 0.0),
        ("clip_norm", math.nan), ("sample_validation", 1.0), ("sample_validation", -0.1),
        ("validation_fraction", 0.0), ("validation_fraction", 1.0), ("smoothing", 0.0),
        ("smoothing", 1.1), ("select", "best"), ("patience", 0), ("min_improvement", -1e-3),
        ("decay_factor", 0.0), ("decay_factor", 1.5), ("decay_patience", 0),
        ("min_learning_rate", -1.0), ("checkpoint_seconds", math.nan),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be .*got {value!r}"):
        TrainingSettings(**{name: value})


def test_settings_at_the_edge_of_their_range():
    TrainingSettings(
        max_epochs=1, ramp_epochs=0, smoothing=1.0, decay_factor=1.0, checkpoint_seconds=0.0
    )


@pytest.mark.parametrize(
    "name, value",
    [
        ("learning_rate", 0.0), ("learning_rate", -1.0), ("learning_rate", math.inf),
        ("learning_rate", math.nan), ("keep_ratio", 0.0), ("keep_ratio", 1.01),
        ("dropout", 1.0), ("dropout", -0.1), ("kl_ic", -1e-9), ("kl_ic", math.inf),
        ("kl_ic", math.nan),
    ],
)  # fmt: skip
def test_hyperparameters_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        check_hyperparams({name: value}, KNOWN)


@pytest.mark.parametrize("name, value", [("keep_ratio", 1.0), ("dropout", 0.0), ("kl_ic", 0.0)])
def test_hyperparameters_at_the_edge_of_their_range(name, value):
    assert check_hyperparams({name: value}, KNOWN) == KNOWN | {name: value}


def test_an_unknown_hyperparameter_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'kl_iC'; known: dropout, keep_ratio, kl_ic"):
        check_hyperparams({"kl_iC": 1.0}, KNOWN)
