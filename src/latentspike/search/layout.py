"""How members are laid out on a machine: which share of the work is one call of the program."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from latentspike.devices import sharing_a_batch
from latentspike.search.member import Weights
from latentspike.training.memory import estimate_step_bytes, estimate_trials_bytes
from latentspike.training.task import Task

# members per CPU device and call: temporaries are reused from one to the next (measured: a tenth
# faster than one per call), and a call still ends soon enough to show progress or to be stopped
_PER_CPU_DEVICE = 8
# a batch cut into shares does not gain the whole of a device each
_GAIN_OF_SHARING = 0.7
# XLA keeps more than the backward pass needs; the estimate may be off by a factor of 2
_MARGIN = 2.0
_SHARE_OF_MEMORY = 0.7


@dataclass(frozen=True)
class Layout:
    """How a block of members becomes one call of one compiled program.

    Parameters
    ----------
    kind : "map" trains members one after another on each device (CPUs: their caches are small),
        "vmap" side by side (GPUs: one small model leaves the chip idle)
    share : what the devices share: "members", or the "trials" of each batch where there are fewer
        members than devices
    n_devices : devices of this process that are used
    per_device : members per device and call

    Examples
    --------
    >>> print(Layout("map", "members", n_devices=2, per_device=8))
    one after another on each of 2 devices, blocks of 16 members
    """

    kind: Literal["map", "vmap"]
    share: Literal["members", "trials"]
    n_devices: int
    per_device: int

    @property
    def n_slots(self) -> int:
        """Members per call."""
        return self.per_device * (self.n_devices if self.share == "members" else 1)

    def __str__(self) -> str:
        how = "one after another" if self.kind == "map" else "side by side"
        if self.share == "trials" and self.n_devices > 1:
            return f"{how}, {self.n_devices} devices share each batch"
        where = f" on each of {self.n_devices} devices" if self.n_devices > 1 else ""
        return f"{how}{where}, blocks of {self.n_slots} members"

    def slots(self, n_members: int) -> np.ndarray:
        """Slot of each of the block's members: dealt out to the devices in turn.

        Examples
        --------
        >>> Layout("map", "members", n_devices=2, per_device=3).slots(4).tolist()
        [0, 3, 1, 4]
        """
        if self.share == "trials":
            return np.arange(n_members)
        turn, device = np.divmod(np.arange(n_members), self.n_devices)
        return device * self.per_device + turn


def choose_layout(task: Task, like: Weights, n_members: int) -> Layout:
    """The fastest layout that fits this machine's memory, by an estimate from shapes.

    Parameters
    ----------
    task : that the members learn
    like : weights of one member, or their shapes
    n_members : that this process trains

    Raises
    ------
    MemoryError : if not even one member fits.
    """
    devices = jax.local_devices()
    on_cpu = devices[0].platform == "cpu"
    sharing = min(sharing_a_batch(), min(task.settings.batch_size, task.train.n_trials) // 8)
    if on_cpu and n_members < _GAIN_OF_SHARING * sharing:
        return Layout("map", "trials", sharing, n_members)
    n_devices = min(len(devices), n_members)
    copies = n_devices if on_cpu else 1
    room = _memory(devices[0]) * _SHARE_OF_MEMORY
    room -= copies * estimate_trials_bytes(task.train, task.settings)
    kept = 2 * sum(_bytes(leaf) for leaf in jax.tree.leaves(like))
    step = _MARGIN * estimate_step_bytes(task.model, task.train, task.settings)
    if on_cpu:
        fits = (room - n_devices * step) // (n_devices * kept)
        wanted = _PER_CPU_DEVICE
    else:
        fits = room // (step + kept)
        wanted = -(-n_members // n_devices)
    if fits < 1:
        raise MemoryError(
            f"one member needs about {(step + kept) / 2**20:.0f} MiB, more than there is room for "
            f"({room / 2**20:.0f} MiB): lower training.batch_size or the sizes of the model"
        )
    per_device = int(min(fits, wanted))
    if not on_cpu:  # even blocks: side by side, an empty slot costs as much as a member
        n_blocks = -(-n_members // (n_devices * per_device))
        per_device = -(-n_members // (n_devices * n_blocks))
    return Layout("map" if on_cpu else "vmap", "members", n_devices, per_device)


def _memory(device: Any) -> float:
    """Bytes of a device; of a CPU, those of the whole machine."""
    if device.platform == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (device.memory_stats() or {}).get("bytes_limit", 8 * 2**30)


def _bytes(leaf: jax.Array) -> int:
    return int(np.prod(leaf.shape)) * leaf.dtype.itemsize
