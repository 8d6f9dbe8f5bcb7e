"""Parameters of other LFADS implementations: a torch ``state_dict`` becomes ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.lfads.config import Architecture

_DECODER = "decoder.rnn.cell"


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Arrays of a ``.npz`` file (names as they are, or below ``param/``) or a torch checkpoint.

    A checkpoint is read by torch with ``weights_only=True``, so that no code in it can run.

    Raises
    ------
    ImportError : if the file needs torch and there is none.
    ValueError : if the file holds no state dict.
    """
    path = Path(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            named = {name: file[name] for name in file.files}
        below = {n.removeprefix("param/"): v for n, v in named.items() if n.startswith("param/")}
        return below or named
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs torch (pip install torch); or save the state dict as .npz"
        ) from error
    document = torch.load(path, map_location="cpu", weights_only=True)
    state = document.get("state_dict", document) if isinstance(document, dict) else None
    if not isinstance(state, dict) or not all(hasattr(v, "numpy") for v in state.values()):
        raise ValueError(f"{path} holds no state dict of tensors")
    return {name: value.detach().numpy() for name, value in state.items()}


def import_state_dict(
    state: Mapping[str, np.ndarray], *, ci_lag: int = 1, clip: float = 5.0
) -> tuple[Architecture, dict[str, Any]]:
    """Architecture and parameters from an LFADS state dict.

    Sizes are read off the arrays. The recurrent biases, which are redundant, are added to the
    input biases. ``ci_lag`` and ``clip`` are not in a state dict: give them if they differ.

    Raises
    ------
    ValueError : naming the parameter that is missing or has a wrong shape.
    """
    state = _strip_prefix(state)
    has_controller = f"{_DECODER}.co_linear.weight" in state
    params: dict[str, Any] = {
        "ic_encoder": _encoder(state, "ic"),
        "ic_posterior": _linear(state, "encoder.ic_linear"),
        "ic_prior": {
            "mean": _get(state, "ic_prior.mean", 1),
            "log_variance": _get(state, "ic_prior.logvar", 1),
        },
        "generator_initial": _linear(state, "decoder.ic_to_g0"),
        "generator": _gru(state, f"{_DECODER}.gen_cell"),
        "factors": _get(state, f"{_DECODER}.fac_linear.weight", 2).T,
        "readout": _linear(state, "readout.0"),
    }
    if has_controller:
        params |= {
            "ci_encoder": _encoder(state, "ci"),
            "controller": _gru(state, f"{_DECODER}.con_cell"),
            "controller_initial": _get(state, "decoder.con_h0", 2)[0],
            "input_posterior": _linear(state, f"{_DECODER}.co_linear"),
            "input_prior": {
                "log_time_constant": _get(state, "co_prior.logtaus", 1),
                "log_variance": _get(state, "co_prior.lognvars", 1),
            },
        }
    architecture = Architecture(
        generator_size=params["factors"].shape[0],
        n_factors=params["factors"].shape[1],
        ic_encoder_size=params["ic_encoder"]["forward_initial"].size,
        ic_size=params["ic_prior"]["mean"].size,
        n_inferred_inputs=params["input_prior"]["log_variance"].size if has_controller else 0,
        ci_encoder_size=params["ci_encoder"]["forward_initial"].size if has_controller else 0,
        controller_size=params["controller_initial"].size if has_controller else 0,
        ci_lag=ci_lag,
        clip=clip,
    )
    return architecture, params


def _strip_prefix(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names without a wrapper's prefix such as ``model.``."""
    anchor = "decoder.ic_to_g0.weight"
    for name in state:
        if name.endswith(anchor):
            prefix = name.removesuffix(anchor)
            return {n.removeprefix(prefix): v for n, v in state.items()}
    return dict(state)


def _get(state: Mapping[str, np.ndarray], name: str, n_dims: int) -> jax.Array:
    if name not in state:
        known = ", ".join(sorted(state)[:8])
        raise ValueError(f"the state dict has no {name!r}; it has {known}, …")
    value = np.asarray(state[name])
    if value.ndim != n_dims:
        raise ValueError(f"{name} must have {n_dims} dimensions, got shape {value.shape}")
    return jnp.asarray(value)


def _linear(state: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    return {
        "weight": _get(state, f"{name}.weight", 2).T,
        "bias": _get(state, f"{name}.bias", 1),
    }


def _gru(state: Mapping[str, np.ndarray], name: str) -> dict[str, Any]:
    """Stacked [update; reset; candidate] rows become our columns, input rows first."""
    weight = jnp.concatenate(
        [_get(state, f"{name}.weight_ih", 2), _get(state, f"{name}.weight_hh", 2)], axis=1
    ).T
    bias = _get(state, f"{name}.bias_ih", 1) + _get(state, f"{name}.bias_hh", 1)
    size = bias.size // 3
    return {
        "gates": weight[:, : 2 * size],
        "candidate": weight[:, 2 * size :],
        "gates_bias": bias[: 2 * size],
        "candidate_bias": bias[2 * size :],
    }


def _encoder(state: Mapping[str, np.ndarray], kind: str) -> dict[str, Any]:
    initial = _get(state, f"encoder.{kind}_enc_h0", 3)
    return {
        "forward": _gru(state, f"encoder.{kind}_enc.fwd_gru.cell"),
        "backward": _gru(state, f"encoder.{kind}_enc.bwd_gru.cell"),
        "forward_initial": initial[0, 0],
        "backward_initial": initial[1, 0],
    }
