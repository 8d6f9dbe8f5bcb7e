"""`Fitted`: a model with its parameters, as `fit` returns it and a run folder keeps it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from latentspike.evaluate import Score, score_table
from latentspike.files import load_arrays, save_arrays
from latentspike.models.registry import model_from_config, model_to_config
from latentspike.models.tree import flatten, nest
from latentspike.spikes import Posterior, SpikeData

FORMAT = 1
NAME = "model.npz"


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model.

    Parameters
    ----------
    model : configuration
    params : fitted parameters, nested dicts of arrays
    history : one row of figures per epoch (empty for models estimated in closed form)
    about : what the fit was: hyperparameters, best epoch, why it stopped, data hash
    """

    model: Any
    params: Any
    history: list[dict[str, float]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def infer(self, data: SpikeData, *, key: jax.Array, n_samples: int = 50) -> Posterior:
        """Posterior of each trial of a recording; see the model's own ``infer``."""
        return self.model.infer(self.params, data, n_samples=n_samples, key=key)

    def simulate(self, *, key: jax.Array, **size: Any) -> SpikeData:
        """New trials from the fitted model; see the model's own ``simulate``."""
        return self.model.simulate(self.params, key=key, **size)

    def score(self, data: SpikeData, *, key: jax.Array, n_samples: int = 50) -> list[Score]:
        """How good the inference of a recording is: every score that applies to it.

        Give trials that the fit has not seen; see `latentspike.evaluate.score_table`.
        """
        return score_table(data, self.infer(data, key=key, n_samples=n_samples))

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``model.npz`` into a folder, atomically; returns its path."""
        path = Path(folder) / NAME
        header = {
            "format": FORMAT,
            "kind": "model",
            "model": model_to_config(self.model),
            "history": self.history,
            "about": self.about,
        }
        save_arrays(path, flatten(self.params), header)
        return path

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Fitted:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError : if the folder holds no fitted model.
        ValueError : if the file is damaged or of an unknown format.
        """
        path = Path(folder) / NAME
        if not path.exists():
            raise FileNotFoundError(f"{folder} holds no fitted model ({NAME}); run `fit` first")
        arrays, header = load_arrays(path)
        if header.get("kind") != "model" or header.get("format") != FORMAT:
            raise ValueError(
                f"{path} has format {header.get('format')!r} of {header.get('kind')!r}; this "
                f"version reads format {FORMAT} of 'model'"
            )
        model = model_from_config(header["model"])
        return cls(model, nest(arrays), header["history"], header["about"])

    def replace(self, **changes: Any) -> Fitted:
        """Copy with some fields changed."""
        return dataclasses.replace(self, **changes)
