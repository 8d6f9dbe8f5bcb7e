"""``latentspike simulate``: a recording with a known answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro import conf

from latentspike.cli.options import Common
from latentspike.cli.outcome import Report, UsageError

if TYPE_CHECKING:
    from latentspike.dynamics import Network
    from latentspike.spikes import SpikeData

World = Literal["chaotic-rnn", "linear-factors", "lorenz", "reaching", "winner-take-all", "cluster"]


@dataclass(frozen=True, kw_only=True)
class Simulate(Common):
    """Simulate a recording whose rates are known, and write it.

    An .h5 file has the layout of LFADS with 80 % of the trials for training and 20 % for
    validation, and carries the true rates; .npz carries them too, .nwb cannot. Sizes that are not
    given are those of the world.

    winner-take-all and cluster are networks of 1000 and 600 spiking neurons, of which a few are
    recorded, the same in every trial; the file also carries the activity of all neurons of each
    population, and all trials are for training.

    Examples:
      latentspike simulate lorenz --out recording.h5 --conditions 30 --seed 1
      latentspike simulate winner-take-all --out network.h5 --fit-config network.toml
      latentspike fit network.h5 --config network.toml --out run
    """

    world: Annotated[World, conf.Positional, conf.arg(metavar="WORLD")]
    """chaotic-rnn (input-driven network), linear-factors, lorenz, reaching (motor cortex and hand,
    from 0.25 s before to 0.45 s after movement onset), winner-take-all or cluster."""
    out: Annotated[str, conf.arg(metavar="FILE")]
    """File to write, ending in .h5, .npz or .nwb."""
    seed: int = 0
    """The same seed gives the same file."""
    conditions: int | None = None
    """Number of conditions."""
    trials: int | None = None
    """Trials per condition; of a spiking network, trials."""
    neurons: int | None = None
    """Number of neurons; of a spiking network, recorded neurons of each population."""
    duration: float | None = None
    """Length of a trial in seconds."""
    bin_width: float | None = None
    """Width of a bin in seconds."""
    mean_rate: float | None = None
    """Hz: mean rate of a neuron (for chaotic-rnn the largest rate)."""
    speed: float | None = None
    """lorenz: how fast the system runs, in Lorenz time units per second."""
    strength: float | None = None
    """cluster: strength of the connection in mV."""
    clusters: int | None = None
    """cluster: number of groups that fire in turn at the start, one second before the recording."""
    fit_config: Annotated[str | None, conf.arg(metavar="FILE.toml")] = None
    """winner-take-all, cluster: also write settings with which `latentspike fit` fits neulvm."""


OPTIONS = Simulate
NETWORKS = ("winner-take-all", "cluster")
_CLUSTERS = 2  # lasts at every strength that the paper studies
_CLUSTER_INTERVAL = 0.014  # s between volleys
# as in the paper; duration, steps and bins in seconds
_NETWORK_DEFAULTS: dict[str, dict[str, Any]] = {
    "winner-take-all": {
        "example": "winner_take_all",
        "duration": 10.0,
        "time_step": 0.0002,
        "bin_width": 0.004,
        "neurons": 3,
        "method": "sampling",
    },
    "cluster": {
        "example": "cluster_network",
        "duration": 10.0,
        "time_step": 0.001,
        "bin_width": 0.001,
        "neurons": 6,
        "method": "particles",  # it fires in volleys
    },
}
_NAMES = {
    "conditions": "n_conditions",
    "trials": "n_trials_per_condition",
    "neurons": "n_neurons",
    "duration": "duration",
    "bin_width": "bin_width",
    "mean_rate": "mean_rate",
    "speed": "speed",
}


def run(options: Simulate) -> Report:
    """Simulate and write; see `Simulate`."""
    from latentspike import simulate
    from latentspike.spikes import split_trials

    write = _writer(options.out)
    _check_sizes(options)
    if options.world in NETWORKS:
        data, split = _network_recording(options), None
    else:
        world = getattr(simulate, options.world.replace("-", "_"))
        data = world(seed=options.seed, **_changes(options))
        split = split_trials(data, validation_fraction=0.2, seed=options.seed)
    write(options.out, data, split)
    document = {
        "file": options.out,
        "world": options.world,
        "seed": options.seed,
        "n_trials": data.n_trials,
        "n_bins": data.n_bins,
        "n_neurons": data.n_neurons,
        "bin_width": data.bin_width,
        "mean_rate": data.mean_rate,
    }
    return Report(document, f"{options.out}: {data}")


def _check_sizes(options: Simulate) -> None:
    if options.seed < 0:
        raise UsageError(f"--seed must be 0 or more, got {options.seed}")
    for name in ("conditions", "trials", "neurons", "clusters"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, got {value}")
    no_network = [n for n in ("conditions", "mean_rate") if options.world in NETWORKS]
    fixed_length = ["duration"] if options.world == "reaching" else []
    owners = {"speed": ("lorenz",), "strength": ("cluster",), "clusters": ("cluster",)}
    owners |= {"fit_config": NETWORKS}
    for name in (*owners, *no_network, *fixed_length):
        if getattr(options, name) is not None and options.world not in owners.get(name, ()):
            flag = f"--{name.replace('_', '-')}"
            whose = f" belongs to {' and '.join(owners[name])};" if name in owners else ":"
            raise UsageError(f"{flag}{whose} {options.world} has none")


def _changes(options: Simulate) -> dict[str, Any]:
    changes = {field: getattr(options, name) for name, field in _NAMES.items()}
    if options.world == "chaotic-rnn":
        changes["max_rate"] = changes.pop("mean_rate")
    if options.world == "chaotic-rnn" and options.bin_width is not None:
        changes["dt"] = min(0.01, options.bin_width)
    return {name: value for name, value in changes.items() if value is not None}


def _network_recording(options: Simulate) -> SpikeData:
    """A few neurons of one of the spiking networks, and settings to fit them."""
    from latentspike import simulate

    defaults = _NETWORK_DEFAULTS[options.world]
    strength = {} if options.strength is None else {"strength": options.strength}
    example = getattr(simulate, defaults["example"])
    start = None
    if options.world == "cluster":  # from an asynchronous state at a low rate it falls silent
        n = options.clusters or _CLUSTERS
        start = simulate.Clusters(n, _CLUSTER_INTERVAL * n, warm_up=1.0)
    activity = simulate.lif_network(
        example(**strength),
        defaults["duration"] if options.duration is None else options.duration,
        seed=options.seed,
        time_step=defaults["time_step"],
        n_trials=options.trials or 1,
        start=start,
    )
    width = defaults["bin_width"] if options.bin_width is None else options.bin_width
    data = activity.record(options.neurons or defaults["neurons"], width, seed=options.seed)
    if options.fit_config is not None:
        _write_fit_config(options.fit_config, example(free=True), data, defaults["method"])
    return data


def _write_fit_config(path: str, network: Network, data: SpikeData, method: Any) -> None:
    from latentspike.cli.toml import to_toml
    from latentspike.files import write_text
    from latentspike.models.neulvm import Estimation, NeuLVM
    from latentspike.models.registry import model_to_config
    from latentspike.simulate import neurons_by_population

    model = NeuLVM(
        network,
        neurons=neurons_by_population(data.neuron_ids),
        estimation=Estimation(method=method),
    )
    write_text(path, to_toml({"model": model_to_config(model)}))


def _writer(path: str) -> Any:
    from latentspike.io import write_hdf5, write_npz, write_nwb

    writers = {
        ".h5": write_hdf5,
        ".hdf5": write_hdf5,
        ".npz": lambda path, data, _: write_npz(path, data),
        ".nwb": lambda path, data, _: write_nwb(path, data),
    }
    suffix = Path(path).suffix.lower()
    if suffix not in writers:
        raise UsageError(f"--out {path}: the name must end in .h5, .npz or .nwb")
    return writers[suffix]
