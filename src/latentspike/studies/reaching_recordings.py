"""Recordings of reaches for the study of few and many trials, and how velocity is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from latentspike.evaluate import Decoding, decode, smooth
from latentspike.simulate import Reaching, reaching
from latentspike.spikes import SpikeData, rebin, split_trials
from latentspike.studies.common import recordings_folder
from latentspike.studies.recordings import MONKEY_BIN_WIDTH, mc_maze, mc_maze_file, monkey_m1

SHARES = (0.05, 0.1, 0.2, 1.0)
NAMES = ("simulated", "mc_maze", "monkey_m1")
# s by which activity leads the hand, as the Neural Latents Benchmark takes it for MC_Maze
LAG = 0.1
_FINE = 0.002  # s: the paper's bins


@dataclass(frozen=True)
class Reaches:
    """A recording with ``behavior["hand_velocity"]``.

    Parameters
    ----------
    data : trials in an order in which neighbors are no more alike than others
    decoder : options of `decode`
    shares : of the trials, from few to all
    unit : of the hand's position
    """

    data: SpikeData
    decoder: dict[str, Any] = field(default_factory=dict)
    shares: tuple[float, ...] = SHARES
    unit: str = "m"

    def divided(self) -> tuple[SpikeData, SpikeData]:
        """Trials to learn from, and the fifth that no model sees."""
        return split_trials(self.data, validation_fraction=0.2, seed=0).select(self.data)

    def velocity(self, features: np.ndarray, test: SpikeData) -> Decoding:
        """Hand velocity of test trials, five folds over them."""
        return decode(
            features, test.behavior["hand_velocity"], bin_width=test.bin_width, **self.decoder
        )

    def smoothed(self, test: SpikeData, width: float) -> np.ndarray:
        """R² of velocity [2] from spikes smoothed with a Gaussian of so many seconds."""
        bins = width / test.bin_width
        return self.velocity(smooth(test.counts, test.observed, width_bins=bins)[0], test).r2


def load(name: str, file: str | None, *, bin_width: float, sizes: dict[str, int]) -> Reaches:
    """One of `NAMES`.

    Parameters
    ----------
    name : "simulated", "mc_maze" or "monkey_m1"
    file : of MC_Maze, if ``LATENTSPIKE_MC_MAZE`` does not name it
    bin_width : seconds, a multiple of 2 ms; monkey_m1 has bins of its own
    sizes : ``n_neurons``; of the simulated task also ``n_trials_per_condition`` and ``seed``

    Raises
    ------
    FileNotFoundError : if the recording is not there, with where to find it.
    """
    if name == "monkey_m1":
        return _monkey(recordings_folder())
    lagged, sizes = {"method": "ole", "lag": LAG}, dict(sizes)
    if name == "mc_maze":
        data = mc_maze(mc_maze_file(file), bin_width=_FINE, n_neurons=sizes["n_neurons"])
        return Reaches(_coarse(data, bin_width), lagged)
    seed = sizes.pop("seed", 0)
    data = reaching(Reaching(bin_width=_finest(bin_width), **sizes), seed=seed)
    order = np.random.default_rng(0).permutation(data.n_trials)  # they come by condition
    return Reaches(_coarse(data.select_trials(order), bin_width), lagged)


def _monkey(folder: Path) -> Reaches:
    """With the bin width and the decoder of `latentspike.studies.monkey_m1`.

    A fifth of the 96 trials is too few for optimal linear estimation, and 5 % too few to train.
    """
    data = monkey_m1(folder)
    data = data.replace(behavior={"hand_velocity": data.behavior["velocity"]})
    assert data.bin_width == MONKEY_BIN_WIDTH
    return Reaches(data, {"method": "ridge", "n_history_bins": 10}, (0.2, 0.5, 1.0), "a.u.")


def _coarse(data: SpikeData, bin_width: float) -> SpikeData:
    factor = round(bin_width / data.bin_width)
    if factor < 1 or abs(factor * data.bin_width - bin_width) > 1e-9:
        raise ValueError(f"bins of {bin_width} s are not a multiple of {data.bin_width} s")
    return rebin(data, factor)


def _finest(bin_width: float) -> float:
    """Bins to simulate in: 10 ms serve where they fill the bins, and need a fifth of the memory."""
    return 0.01 if abs(bin_width / 0.01 - round(bin_width / 0.01)) < 1e-9 else _FINE
