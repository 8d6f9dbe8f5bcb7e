"""An epoch compiles once: not again for its second call, other values, or another seed."""

import jax
import numpy as np

from latentspike import SpikeData
from latentspike.models import LFADS, Architecture
from latentspike.training import RunOptions, TrainingSettings, epoch, fit


def test_one_program_for_all_epochs_values_and_seeds():
    counts = np.random.default_rng(0).poisson(0.3, (24, 12, 6))
    sizes = {"generator_size": 8, "n_factors": 3, "ic_encoder_size": 6, "ic_size": 4}
    # no other test has this model; without a controller it compiles sooner
    model = LFADS(Architecture(**sizes, n_inferred_inputs=0, clip=4.875))
    settings = TrainingSettings(max_epochs=3, batch_size=8)
    for seed, values in enumerate(
        (
            {},
            {"learning_rate": 1e-3, "keep_ratio": 1.0},
            {"dropout": 0.4, "kl_ic": 2.0, "l2_gen": 7.0},
        )
    ):
        fit(
            model,
            SpikeData(counts, 0.01),
            hyperparams=values,
            settings=settings,
            options=RunOptions(show=False),
            key=jax.random.key(seed),
        )
    programs = [run for program, run in epoch._programs.items() if program.model == model]
    assert len(programs) == 1
    assert programs[0]._cache_size() == 1
