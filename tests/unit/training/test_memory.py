"""The estimate against what XLA says of the compiled epoch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.protocol import DataSpec
from latentspike.models.smoothing import GaussianSmoothing
from latentspike.training import TrainingSettings, draw_sample_mask
from latentspike.training.epoch import Program, train_epoch
from latentspike.training.memory import estimate_memory
from latentspike.training.settings import TRAINING_HYPERPARAMS
from latentspike.training.trials import Reading, put_trials

SMALL = Architecture(
    generator_size=8, n_factors=4, ic_encoder_size=8, ic_size=8, n_inferred_inputs=0
)
LARGER = Architecture(
    generator_size=48, n_factors=8, ic_encoder_size=24, ic_size=16, n_inferred_inputs=0
)
CASES = {
    "small": (LFADS(SMALL), (20, 20, 6), TrainingSettings(batch_size=16)),
    "larger, sample validation": (
        LFADS(LARGER),
        (80, 40, 30),
        TrainingSettings(batch_size=32, sample_validation=0.2),
    ),
    "linear": (LinearAutoencoder(), (60, 30, 20), TrainingSettings(batch_size=64)),
}


def recording(shape: tuple[int, int, int]) -> SpikeData:
    return SpikeData(np.random.default_rng(0).poisson(0.3, shape), bin_width=0.01)


def compiled_bytes(model, data: SpikeData, settings: TrainingSettings) -> int:
    """Arguments, results and scratch of the epoch as `fit` compiles it."""
    n_train = round(0.8 * data.n_trials)
    train, validation = data.select_trials(slice(n_train)), data.select_trials(slice(n_train, None))
    share = settings.sample_validation
    mask = draw_sample_mask(train, share, seed=0) if share else None
    program = Program(model, Reading.of(data, share), settings.batch_size, 200.0, 1)
    state = program.start(model.init(DataSpec.of(train), key=jax.random.key(0)))
    values = TRAINING_HYPERPARAMS | model.default_hyperparams() | {"ramp": 1.0}
    hyperparams = {name: jnp.asarray(value) for name, value in values.items()}
    trials = (put_trials(train, mask), put_trials(validation))

    def epoch(state, trials, hyperparams, number, key):
        return train_epoch(program, state, trials, hyperparams, number, key=key)

    lowered = jax.jit(epoch).lower(state, trials, hyperparams, jnp.asarray(0), jax.random.key(1))
    found = lowered.compile().memory_analysis()
    return found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes


@pytest.mark.parametrize("case", CASES)
def test_within_a_factor_of_two_of_the_compiled_epoch(case):
    model, shape, settings = CASES[case]
    data = recording(shape)
    estimate = estimate_memory(model, data, settings)
    assert 0.5 < estimate.total_bytes / compiled_bytes(model, data, settings) < 2


def test_parts_add_up_and_devices_hold_copies():
    model, shape, settings = CASES["linear"]
    one = estimate_memory(model, recording(shape), settings)
    two = estimate_memory(model, recording(shape), settings, n_devices=2)
    assert one.total_bytes == one.data_bytes + one.parameter_bytes + one.step_bytes
    assert two.data_bytes == 2 * one.data_bytes
    assert two.parameter_bytes == 2 * one.parameter_bytes
    assert two.step_bytes == pytest.approx(one.step_bytes, rel=0.1)


def test_a_step_grows_with_its_batch_and_not_with_the_recording():
    model = CASES["linear"][0]
    few, many = recording((50, 10, 5)), recording((500, 10, 5))
    small, big = TrainingSettings(batch_size=10), TrainingSettings(batch_size=40)
    step = lambda data, settings: estimate_memory(model, data, settings).step_bytes  # noqa: E731
    assert step(few, small) == step(many, small)
    assert step(few, big) > 3 * step(few, small)


def test_models_not_learned_by_gradient_need_the_recording_only():
    found = estimate_memory(GaussianSmoothing(), recording((5, 10, 4)), TrainingSettings())
    assert found.parameter_bytes == found.step_bytes == 0
    assert found.total_bytes == found.data_bytes > 0
