"""The Ray cluster that a search runs on: what is asked of it and how it is joined.

The only module that imports Ray; the others get it from `import_ray`.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from latentspike import devices

_DEVICE_COUNT = "--xla_force_host_platform_device_count"


@dataclass(frozen=True)
class RayOptions:
    """Where and in how many blocks the members train.

    Parameters
    ----------
    address : "auto" or "host:port" of a cluster made with ``ray start``. If absent, the cluster
        that the environment variable RAY_ADDRESS names, else one is started on this machine.
        Where this process is connected to a cluster already, that one is used
    n_blocks : of members, each a process of its own; if absent, as many as the cluster can place
        at once, at most one per member
    cpus_per_block : also the CPU devices of a block without a GPU
    gpus_per_block : if absent, 1 where the cluster has GPUs, else 0
    max_losses : how often in a row a block may be lost before the search gives up
    start_seconds : how long a block may take to find its place and to start, before the other
        blocks train its members

    Raises
    ------
    ValueError : naming the option that is out of range.

    Examples
    --------
    >>> RayOptions(n_blocks=0)
    Traceback (most recent call last):
    ValueError: n_blocks must be a whole number, at least 1, got 0
    """

    address: str | None = None
    n_blocks: int | None = None
    cpus_per_block: float = 1
    gpus_per_block: float | None = None
    max_losses: int = 3
    start_seconds: float = 120.0

    def __post_init__(self) -> None:
        n, gpus = self.n_blocks, self.gpus_per_block
        share = "a part of 1, or whole"
        self._require("n_blocks", n is None or _is_whole(n), "a whole number, at least 1")
        cpus = self.cpus_per_block
        self._require("cpus_per_block", cpus > 0 and _is_share(cpus), f"above 0, and {share}")
        self._require("gpus_per_block", gpus is None or _is_share(gpus), f"0, or {share}")
        self._require("max_losses", self.max_losses >= 0, "0 or more")
        self._require("start_seconds", self.start_seconds > 0, "positive")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {what}, got {getattr(self, name)!r}")


def _is_whole(value: float) -> bool:
    return value >= 1 and value == int(value)


def _is_share(value: float) -> bool:
    """Whether Ray can give a process so many: it counts in ten-thousandths below 1."""
    return value == 0 or 1e-4 <= value <= 1 or _is_whole(value)


def import_ray() -> Any:
    """The library, which only those who want it install.

    Raises
    ------
    ImportError : naming the extra to install.
    """
    try:
        import ray
    except ImportError:
        raise ImportError(
            "training on a Ray cluster needs Ray: pip install 'latentspike[ray]'"
        ) from None
    return ray


def connect(address: str | None) -> bool:
    """Connect this process to a cluster; True if the cluster was started for it.

    Raises
    ------
    ConnectionError : if there is no cluster at the address.
    ValueError : if it is no address.
    """
    ray = import_ray()
    if ray.is_initialized():
        _check_connected(ray.get_runtime_context().gcs_address, address)
        return False
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address not in ("auto", "local"):
        _check_reachable(address)
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    if own:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that it runs
    try:
        with warnings.catch_warnings():
            # of JAX; but what is forked here turns into one of Ray's own programs at once
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConnectionError(f"cannot join a Ray cluster, address {address}: {error}") from error
    return address == "local"


def _check_connected(present: str, address: str | None) -> None:
    """Raise if this process is connected to another cluster than the one that is asked for."""
    # a host has many names; two clusters on one host differ in the port
    if address not in (None, "auto") and str(address).split(":")[-1] != present.split(":")[-1]:
        raise ConnectionError(
            f"this process is connected to the Ray cluster at {present}, not to {address}: call "
            "ray.shutdown() first"
        )


def _check_reachable(address: str) -> None:
    """Raise soon if nobody answers: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise ValueError(f"address must be auto or the host:port of a cluster, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address} ({error}): start one with `ray start --head`, "
            "or leave the address out to use this machine alone"
        ) from error


def live_nodes() -> list[dict[str, float]]:
    """Resources of the cluster's nodes, used or not."""
    return [node["Resources"] for node in import_ray().nodes() if node["Alive"]]


def count_places(nodes: Iterable[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """Blocks that the nodes can hold at once; nodes may differ.

    Examples
    --------
    >>> count_places([{"CPU": 3}, {"CPU": 8, "GPU": 1}], cpus=2, gpus=0)
    5
    """
    wanted = {"CPU": cpus, "GPU": gpus}
    return sum(
        min(int(node.get(name, 0) / amount) for name, amount in wanted.items() if amount)
        for node in nodes
    )


def environment(cpus: float, gpus: float) -> dict[str, str]:
    """Environment variables of a block's process: JAX keeps to its share of the machine."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    flags = [flag for flag in flags if not flag.startswith(_DEVICE_COUNT)]
    env = {"XLA_FLAGS": " ".join([*flags, f"{_DEVICE_COUNT}={max(1, int(cpus))}"])}
    if devices.CACHE_VARIABLE in os.environ:
        env[devices.CACHE_VARIABLE] = os.environ[devices.CACHE_VARIABLE]
    if gpus == 0:
        env["JAX_PLATFORMS"] = "cpu"
    elif gpus < 1:  # blocks share a GPU: none may take its usual three quarters
        env["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.75 * gpus:.3f}"
    return env
