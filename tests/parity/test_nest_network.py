"""`lif_network` against the same network of NEST neurons (`gif_psc_exp`).

NEST prints when it is imported and keeps global state, so it runs in a process of its own: this
file is also that program (``python test_nest_network.py <request.json> <result.npz>``).
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

MS = 1e3


def simulate_in_nest(request: dict[str, Any]) -> dict[str, np.ndarray]:
    """Steps and neurons of all spikes, and the seconds that the simulation took."""
    import nest

    nest.ResetKernel()
    step = request["time_step"] * MS
    nest.SetKernelStatus(
        {"resolution": step, "rng_seed": request["seed"], "local_num_threads": request["threads"]}
    )
    table = request["network"]
    groups = {name: _neurons(nest, p) for name, p in table["populations"].items()}
    for sender, row in table["connections"].items():
        source = table["populations"][sender]
        for receiver, strength in row.items():
            # a spike of one neuron must move the voltage by strength / size; capacitance is 1 pF
            weight = strength / source["size"] / (source["synapse_time"] * MS)
            synapse = {"weight": weight, "delay": source["delay"] * MS}
            nest.Connect(groups[sender], groups[receiver], "all_to_all", synapse)
    recorder = nest.Create("spike_recorder", params={"time_in_steps": True})
    for group in groups.values():
        nest.Connect(group, recorder)
    nest.Simulate(request["warm_up"] * MS)
    began = time.perf_counter()
    nest.Simulate(request["duration"] * MS)
    seconds = time.perf_counter() - began
    events = recorder.get("events")
    # NEST stamps a spike with the end of its step
    steps = events["times"].astype(np.int64) - 1 - round(request["warm_up"] / request["time_step"])
    order = np.argsort(steps, kind="stable")
    order = order[steps[order] >= 0]
    neurons = events["senders"][order] - 1
    return {"steps": steps[order], "neurons": neurons, "seconds": np.array(seconds)}


def _neurons(nest: Any, population: dict[str, Any]) -> Any:
    """A population; its senders' synapses are excitatory and inhibitory ones of NEST."""
    synapse = population["synapses"]
    return nest.Create(
        "gif_psc_exp",
        population["size"],
        {
            "C_m": 1.0,
            "g_L": 1 / (population["membrane_time"] * MS),
            "E_L": population["resting"],
            "V_reset": 0.0,
            "V_m": population["threshold"] + 7,  # all fire in the first steps
            "V_T_star": population["threshold"],
            "Delta_V": 1.0,
            "lambda_0": 1.0,
            "t_ref": population["refractory"] * MS,
            "tau_syn_ex": synapse["ex"] * MS,
            "tau_syn_in": synapse["in"] * MS,
        },
    )


if __name__ == "__main__":
    answer = simulate_in_nest(json.loads(Path(sys.argv[1]).read_text()))
    np.savez(sys.argv[2], allow_pickle=False, **answer)
    sys.exit()


import pytest  # noqa: E402  (NEST's own process needs none of these)

from latentspike.dynamics import Network  # noqa: E402
from latentspike.evaluate import find_switches, switch_rate  # noqa: E402
from latentspike.simulate import (  # noqa: E402
    Clusters,
    LIFActivity,
    cluster_network,
    lif_network,
    winner_take_all,
)

needs_nest = pytest.mark.skipif(
    importlib.util.find_spec("nest") is None, reason="NEST is not installed"
)
pytestmark = needs_nest


def nest_network(
    network: Network, duration: float, folder: Path, *, seed: int, time_step: float, **options: Any
) -> LIFActivity:
    """`lif_network` by NEST.

    A spike moves the voltage of `gif_psc_exp` already in the step that ends after its delay, so
    that the shortest delay of NEST, one step, is none of ours.
    """
    populations = network.to_config()["populations"]
    for name, fields in populations.items():
        fields["delay"] += time_step
        fields["synapses"] = {"ex": 1e-3, "in": 1e-3}
        for sender, row in network.connections.items():
            kind = "ex" if row.get(name, 0.0) > 0 else "in"
            if name in row:
                fields["synapses"][kind] = populations[sender]["synapse_time"]
    request = {
        "network": {"populations": populations, "connections": network.to_config()["connections"]},
        "duration": duration,
        "time_step": time_step,
        "seed": seed,
        "warm_up": 1.0,
        "threads": 1,
    } | options
    (folder / "request.json").write_text(json.dumps(request))
    files = [str(folder / "request.json"), str(folder / "result.npz")]
    subprocess.run([sys.executable, __file__, *files], check=True, capture_output=True)
    with np.load(folder / "result.npz", allow_pickle=False) as result:
        sizes = {name: p.size for name, p in network.populations.items()}
        n_steps = round(duration / time_step)
        spikes = (result["steps"],), (result["neurons"],)
        return LIFActivity(sizes, time_step, n_steps, *spikes)


def states(activity: LIFActivity) -> list[float]:
    """Rates of winner, loser and inhibition, Hz, where the winner is beyond doubt."""
    rates = activity.counts(0.1) / (0.1 * np.array(list(activity.sizes.values())))
    contrast = (rates[..., 0] - rates[..., 1]) / (rates[..., 0] + rates[..., 1])
    excitatory = rates[np.abs(contrast) > 0.5][:, :2]
    return [excitatory.max(-1).mean(), excitatory.min(-1).mean(), rates[..., 2].mean()]


def variation(*intervals: np.ndarray) -> float:
    pooled = np.concatenate(intervals)
    return pooled.std() / pooled.mean()


def test_winner_take_all_has_the_rates_and_intervals_of_nest(tmp_path):
    network = winner_take_all()
    theirs = nest_network(network, 16.0, tmp_path, seed=1, time_step=0.0002)
    ours = lif_network(network, 16.0, seed=1, n_trials=4)
    np.testing.assert_allclose(states(ours), states(theirs), rtol=0.04)
    assert ours.rates[:, 2].mean() == pytest.approx(theirs.rates[0, 2], rel=0.01)
    total = ours.rates[:, :2].sum(-1).mean()
    assert total == pytest.approx(theirs.rates[0, :2].sum(), rel=0.02)
    inhibitory, excitatory = (
        [[a.intervals(name) for name in names] for a in (ours, theirs)]
        for names in (["I"], ["E1", "E2"])
    )
    assert variation(*inhibitory[0]) == pytest.approx(variation(*inhibitory[1]), rel=0.02)
    # both together, since it does not matter then who wins
    assert variation(*excitatory[0]) == pytest.approx(variation(*excitatory[1]), rel=0.1)
    levels = [0.01, 0.1, 0.5, 0.9, 0.99]
    quantiles = [np.quantile(found[0], levels) for found in inhibitory]
    np.testing.assert_allclose(*quantiles, rtol=0.02)


def test_one_cluster_has_the_period_of_nest(tmp_path):
    # One step more or less of delay would change the rate by 7 %.
    network = cluster_network(64.0)
    theirs = nest_network(network, 2.0, tmp_path, seed=1, time_step=0.001)
    ours = lif_network(network, 2.0, seed=1, time_step=0.001, start=Clusters(1, 0.015, warm_up=1.0))
    assert ours.rates[0, 0] == pytest.approx(theirs.rates[0, 0], rel=0.01)
    spectra = [np.abs(np.fft.rfft(a.counts(0.001)[0, :, 0])) for a in (ours, theirs)]
    assert np.argmax(spectra[0][1:200]) == pytest.approx(np.argmax(spectra[1][1:200]), abs=2)


@pytest.mark.slow
def test_winner_take_all_switches_as_often_as_in_nest(tmp_path):
    network = winner_take_all()
    theirs = nest_network(network, 300.0, tmp_path, seed=2, time_step=0.0002)
    ours = lif_network(network, 200.0, seed=2, n_trials=4)
    found = [
        switch_rate(find_switches(a.counts(0.01), bin_width=0.01, names=a.names, pair=("E1", "E2")))
        for a in (ours, theirs)
    ]
    error = np.hypot(found[0].counting_error, found[1].counting_error)
    assert abs(found[0].value - found[1].value) < 3 * error
    assert found[0].value > 8
    np.testing.assert_allclose(states(ours), states(theirs), rtol=0.02)
