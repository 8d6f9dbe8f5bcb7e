"""A network as a program for NEST, to be run and changed without this package."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from latentspike.dynamics import Network
from latentspike.files import write_text
from latentspike.spikes.validate import check_bin_width, steps_of

_PROGRAM = '''"""Spiking network of {names}, written by latentspike for NEST 3.

    python {file} [--duration 10] [--seed 1] [--threads 1] [--spikes spikes.csv]

Neurons are `gif_psc_exp` (Mensi et al. 2012; Pozzorini et al. 2015) without adaptation: leaky
integrators with escape noise. Voltages are in mV above reset; a neuron at voltage V fires
exp(V - threshold) times per second. Prints the mean rate of each population.
"""

import argparse
import json

import nest

NETWORK = json.loads("""
{network}
""")
RESOLUTION = {resolution!r}  # ms
WARM_UP = 1000.0  # ms, not counted


def build():
    """Neurons and synapses; returns the populations by name."""
    populations = {{}}
    for name, p in NETWORK["populations"].items():
        populations[name] = nest.Create(
            "gif_psc_exp",
            p["size"],
            {{
                "C_m": 1.0,  # pF; with it, currents in pA are voltages per ms
                "g_L": 1.0 / p["membrane_time"],
                "E_L": p["resting"],
                "V_reset": 0.0,
                "V_m": 0.0,
                "V_T_star": p["threshold"],
                "Delta_V": 1.0,
                "lambda_0": 1.0,
                "t_ref": p["refractory"],
                "tau_syn_ex": p["synapse_time_ex"],
                "tau_syn_in": p["synapse_time_in"],
            }},
        )
    for c in NETWORK["connections"]:
        nest.Connect(
            populations[c["sender"]],
            populations[c["receiver"]],
            "all_to_all",
            {{"weight": c["weight"], "delay": c["delay"]}},
        )
    for name, amplitudes in NETWORK["current"].items():
        # R·I in mV is a current of as many pA as mV per membrane time, of a capacitance of 1 pF
        per_mv = 1.0 / NETWORK["populations"][name]["membrane_time"]
        width = NETWORK["bin_width"]
        generator = nest.Create(
            "step_current_generator",
            params={{
                # it arrives two steps after it is switched on
                "amplitude_times": [
                    WARM_UP - 2 * RESOLUTION + width * i for i in range(len(amplitudes) + 1)
                ],
                "amplitude_values": [per_mv * mv for mv in amplitudes] + [0.0],
            }},
        )
        nest.Connect(generator, populations[name], syn_spec={{"delay": RESOLUTION}})
    return populations


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--duration", type=float, default=10.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--spikes", help="write senders and times (ms) of all spikes to this file")
    options = parser.parse_args()
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.SetKernelStatus(
        {{
            "resolution": RESOLUTION,
            "rng_seed": options.seed,
            "local_num_threads": options.threads,
        }}
    )
    populations = build()
    recorders = {{}}
    for name, population in populations.items():
        recorders[name] = nest.Create("spike_recorder", params={{"start": WARM_UP}})
        nest.Connect(population, recorders[name])
    nest.Simulate(WARM_UP + 1000.0 * options.duration)
    for name, population in populations.items():
        rate = recorders[name].n_events / len(population) / options.duration
        print(f"{{name}}: {{rate:.3f}} Hz")
    if options.spikes:
        with open(options.spikes, "w") as file:
            file.write("population,sender,time_ms\\n")
            for name, recorder in recorders.items():
                events = recorder.get("events")
                for sender, time in zip(events["senders"], events["times"]):
                    file.write(f"{{name}},{{sender}},{{time - WARM_UP:.4f}}\\n")


if __name__ == "__main__":
    main()
'''

MS = 1e3


def write_nest_script(
    network: Network,
    path: str | os.PathLike[str],
    *,
    time_step: float = 0.0002,
    current: Mapping[str, Any] | None = None,
    bin_width: float | None = None,
) -> None:
    """Write a network as a stand-alone Python program for NEST.

    The program needs NEST 3 and nothing else; it prints the rate of each population and, on
    request, writes every spike. In `gif_psc_exp` a spike acts in the step in which its delay ends,
    so NEST's delays are ours and one step more, as its shortest is one step. It resets a neuron
    only while it is refractory, which therefore lasts one step at least.

    Parameters
    ----------
    network : without free parameters, such as a fitted one (`Network.with_values`)
    path : of the program; replaced if it exists
    time_step : s
    current : [bins] by population, R·I in mV, from the first counted moment on; 0 after its end. A
        network with measured inputs needs it: the program cannot know them ({} for none)
    bin_width : s, of ``current``; a whole number of steps

    Raises
    ------
    ValueError : if the network has free parameters, or measured inputs without a current; if a
        current does not suit; or if a population receives two excitatory or two inhibitory time
        constants, which `gif_psc_exp` does not have.

    References
    ----------
    Schwalger, Deger & Gerstner (2017), the model of NEST's `gif_psc_exp`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from latentspike.dynamics import Network, Population
    >>> network = Network({"E": Population(100, 0.02, resting=14.4, threshold=8.0)})
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "network.py"
    >>> write_nest_script(network, file)
    >>> "gif_psc_exp" in file.read_text()
    True
    """
    if network.free_names:
        raise ValueError(
            f"the network has free parameters ({', '.join(network.free_names)}): "
            "fix them with network.with_values(…)"
        )
    if not 0 < time_step < 1:
        raise ValueError(f"time_step must be seconds above 0, got {time_step!r}")
    if network.inputs and current is None:
        raise ValueError(
            f"the network has measured inputs ({', '.join(network.inputs)}): say what they do, as "
            "current={population: mV in every bin} with bin_width=…, or current={} for nothing"
        )
    table = {
        "populations": {name: _population(network, name, time_step) for name in network.names},
        "connections": _connections(network, time_step),
        **_external(network, current or {}, bin_width, time_step),
    }
    program = _PROGRAM.format(
        names=", ".join(network.names).replace("\\", "").replace('"', "'"),
        file=os.path.basename(os.fspath(path)),
        # inside of a Python string
        network=json.dumps(table, indent=2).replace("\\", "\\\\"),
        resolution=_ms(time_step),
    )
    write_text(path, program)


def _external(
    network: Network, current: Mapping[str, Any], bin_width: float | None, time_step: float
) -> dict[str, Any]:
    """Currents in mV and their bin width in ms."""
    if not current:
        return {"current": {}, "bin_width": None}
    steps = steps_of("bin_width of the current", check_bin_width(bin_width), time_step)
    found = {}
    for name, values in current.items():
        if name not in network.names:
            raise ValueError(f"current of {name!r}; populations: {', '.join(network.names)}")
        array = np.asarray(values, float)
        if array.ndim != 1 or not array.size:
            raise ValueError(f"current of {name} must be [bins], got shape {array.shape}")
        if not np.isfinite(array).all():
            where = int(np.argmin(np.isfinite(array)))
            raise ValueError(f"current of {name}, bin {where} is {array[where]}, not finite")
        found[name] = array.tolist()
    return {"current": found, "bin_width": _ms(steps * time_step)}


def _ms(seconds: float) -> float:
    return round(seconds * MS, 9)


def _population(network: Network, name: str, time_step: float) -> dict[str, Any]:
    population = network.populations[name]
    refractory = max(population.refractory, time_step)
    numbers = {"membrane_time": population.membrane_time, "refractory": refractory}
    milliseconds = {key: _ms(float(value)) for key, value in numbers.items()}  # pyright: ignore
    found = {
        "size": population.size,
        "resting": population.resting,
        "threshold": population.threshold,
    }
    return found | milliseconds | _synapses(network, name)


def _synapses(network: Network, receiver: str) -> dict[str, float]:
    """Time constants (ms) of a population's excitatory and inhibitory synapses."""
    times: dict[str, dict[float, str]] = {"ex": {}, "in": {}}
    for sender in network.connections:
        strength = float(network.connections[sender].get(receiver, 0.0))  # pyright: ignore
        if strength != 0.0:
            kind = "ex" if strength > 0 else "in"
            time = float(network.populations[sender].synapse_time)  # pyright: ignore
            times[kind][_ms(time)] = sender
    for kind, found in times.items():
        if len(found) > 1:
            which = "excitatory" if kind == "ex" else "inhibitory"
            senders = ", ".join(f"{s} ({t:g} ms)" for t, s in found.items())
            raise ValueError(
                f"{receiver} receives {which} synapses of several time constants: {senders}; "
                "gif_psc_exp has one of each kind"
            )
    return {f"synapse_time_{kind}": next(iter(found), 3.0) for kind, found in times.items()}


def _connections(network: Network, time_step: float) -> list[dict[str, Any]]:
    """A spike moves the voltage by strength / size before leak (capacitance 1 pF)."""
    found = []
    for sender, row in network.connections.items():
        source = network.populations[sender]
        for receiver, strength in row.items():
            per_spike = float(strength) / source.size  # pyright: ignore
            weight = per_spike / _ms(float(source.synapse_time))  # pyright: ignore
            delay = (round(source.delay / time_step) + 1) * _ms(time_step)
            entry = {"sender": sender, "receiver": receiver, "weight": weight}
            if weight != 0.0:
                found.append(entry | {"delay": round(delay, 9)})
    return found
