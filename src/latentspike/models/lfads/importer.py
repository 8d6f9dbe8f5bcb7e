"""Parameters of other LFADS implementations: a torch ``state_dict`` becomes ours."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from latentspike.models.lfads.config import Architecture
from latentspike.models.lfads.parameters import init_params
from latentspike.models.protocol import DataSpec

_DECODER = "decoder.rnn.cell"
_GRU_PARTS = {"weight_ih": 2, "weight_hh": 2, "bias_ih": 1, "bias_hh": 1}
_DAMAGE = (ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)


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
        named = _read_npz(path)
        below = {n.removeprefix("param/"): v for n, v in named.items() if n.startswith("param/")}
        return below or named
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs torch (pip install torch); or save the state dict as .npz"
        ) from error
    try:
        document = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # what torch raises on damaged files has no common class
        raise ValueError(f"{path} is damaged or holds more than tensors: {error}") from error
    state = document.get("state_dict", document) if isinstance(document, dict) else None
    if not isinstance(state, dict) or not all(hasattr(v, "numpy") for v in state.values()):
        raise ValueError(f"{path} holds no state dict of tensors")
    return {name: value.detach().numpy() for name, value in state.items()}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{path} is damaged or holds more than arrays: {error!r}") from error


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
    parts = (f"{_DECODER}.co_linear.", f"{_DECODER}.con_cell.", "co_prior.")
    has_controller = any(name.startswith(parts) for name in state)
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
    _check_shapes(architecture, params)
    return architecture, params


def _check_shapes(architecture: Architecture, params: dict[str, Any]) -> None:
    """Raise unless the parameters are those of one network; sizes were read off some of them."""
    spec = DataSpec(
        n_read_neurons=_n_inputs(params["ic_encoder"]["forward"]),
        n_read_bins=1,
        n_neurons=params["readout"]["bias"].size,
        n_bins=1,
        n_inputs=max(0, _n_inputs(params["generator"]) - architecture.n_inferred_inputs),
        mean_counts=np.ones(params["readout"]["bias"].size),
    )
    fresh = jax.eval_shape(lambda key: init_params(architecture, spec, key=key), jax.random.key(0))
    wanted = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(fresh)}
    for path, leaf in jax.tree.leaves_with_path(params):
        name = jax.tree_util.keystr(path)
        if leaf.shape != wanted[name].shape:
            raise ValueError(
                f"the state dict does not fit together: {name} would have shape {leaf.shape}, but "
                f"the other parameters ask for {wanted[name].shape}"
            )


def _n_inputs(gru: dict[str, jax.Array]) -> int:
    return gru["candidate"].shape[0] - gru["candidate"].shape[1]


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
    from_state = _get(state, f"{name}.weight_hh", 2)
    size = from_state.shape[1]
    parts = {n: _get(state, f"{name}.{n}", d) for n, d in _GRU_PARTS.items()}
    for part, value in parts.items():
        if value.shape[0] != 3 * size:
            raise ValueError(
                f"{name}.{part} must have {3 * size} rows for {size} units, got shape {value.shape}"
            )
    weight = jnp.concatenate([parts["weight_ih"], from_state], axis=1).T
    bias = parts["bias_ih"] + parts["bias_hh"]
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
