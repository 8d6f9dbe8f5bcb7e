"""How JAX uses this machine: one CPU device per core, compiled programs kept on disk.

A training step of small recurrent networks does not spread over cores by itself; cut into one
share of the batch per core it does. Both settings only apply where the user has not chosen.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax

CACHE_VARIABLE = "LATENTSPIKE_CACHE"
# members of a search spread over all of them; shares of one batch would become too small
_MAX_CPU_DEVICES = 32
_MAX_SHARING_A_BATCH = 8


def prepare() -> None:
    """Ask for one CPU device per core and for the compilation cache, before JAX starts.

    Does nothing once JAX has started, or where the user's own settings say otherwise. Set
    ``LATENTSPIKE_CACHE=off`` to keep no compiled programs, or to a folder to keep them there.
    """
    cache = os.environ.get(CACHE_VARIABLE, str(Path.home() / ".cache" / "latentspike" / "xla"))
    if cache.lower() != "off" and jax.config.jax_compilation_cache_dir is None:  # pyright: ignore
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    if jax.config.jax_num_cpu_devices > 0:  # pyright: ignore
        return
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", min(_usable_cores(), _MAX_CPU_DEVICES))
    except RuntimeError:  # JAX has already started; one device is slower, not wrong
        return


def sharing_a_batch() -> int:
    """Devices that usefully share the batches of one model: CPU cores up to 8, or one GPU."""
    if jax.default_backend() != "cpu":
        return 1  # hardly filled by one model: sharing has to be asked for
    return min(len(jax.local_devices()), _MAX_SHARING_A_BATCH)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compiler_options(n_devices: int) -> dict[str, Any]:
    """With a device per core, the threads of one product would only get in each other's way."""
    if n_devices > 1 and jax.default_backend() == "cpu":
        return {"xla_cpu_multi_thread_eigen": False}
    return {}
