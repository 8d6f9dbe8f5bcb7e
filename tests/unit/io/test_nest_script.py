"""The program that a network is exported to."""

import ast
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from latentspike.dynamics import Network, Population
from latentspike.io.nest_script import write_nest_script
from latentspike.simulate import lif_network, winner_take_all


def test_the_program_is_python_and_names_everything(tmp_path):
    odd = Network({'E "1" \\ ü': Population(5, 0.02, 14.0, 4.0, delay=0.001)}, {})
    write_nest_script(odd, tmp_path / "network.py")
    text = (tmp_path / "network.py").read_text(encoding="utf-8")
    ast.parse(text)
    assert "latentspike" in text and "import latentspike" not in text


def test_free_parameters_and_unfit_synapses_are_named(tmp_path):
    with pytest.raises(ValueError, match="free parameters"):
        write_nest_script(winner_take_all(free=True), tmp_path / "network.py")
    with pytest.raises(ValueError, match="time_step"):
        write_nest_script(winner_take_all(), tmp_path / "network.py", time_step=0.0)
    slow, fast = (Population(5, 0.02, 14.0, 4.0, synapse_time=t) for t in (0.006, 0.003))
    several = Network({"A": slow, "B": fast}, {"A": {"A": 1.0}, "B": {"A": 2.0}})
    with pytest.raises(ValueError, match=r"A receives excitatory .*A \(6 ms\), B \(3 ms\)"):
        write_nest_script(several, tmp_path / "network.py")
    assert not (tmp_path / "network.py").exists()


def test_measured_inputs_are_not_left_out_in_silence(tmp_path):
    one = Network({"A": Population(5, 0.02, 14.0, 4.0)}, {}, inputs={"light": {"A": 2.0}})
    file = tmp_path / "network.py"
    with pytest.raises(ValueError, match=r"measured inputs \(light\).*current=\{\} for nothing"):
        write_nest_script(one, file)
    for current, width, error in (
        ({"B": [1.0]}, 0.001, r"current of 'B'; populations: A"),
        ({"A": [[1.0]]}, 0.001, r"current of A must be \[bins\], got shape \(1, 1\)"),
        ({"A": [1.0, np.nan]}, 0.001, "current of A, bin 1 is nan"),
        (
            {"A": [1.0]},
            0.0003,
            "bin_width of the current of 0.0003 s is not a whole number",
        ),
        ({"A": [1.0]}, None, "bin_width must be a finite number of seconds, got None"),
    ):
        with pytest.raises(ValueError, match=error):
            write_nest_script(one, file, current=current, bin_width=width)
    assert not file.exists()
    write_nest_script(one, file, current={})
    ast.parse(file.read_text())


@pytest.mark.skipif(importlib.util.find_spec("nest") is None, reason="NEST is not installed")
@pytest.mark.parametrize("refractory", [0.0, 0.004])
def test_a_current_acts_in_nest_when_it_acts_in_our_network(tmp_path, refractory):
    """A population that is silent but for bins of strong current."""
    alone = Network({"A": Population(1000, 0.02, 2.0, 8.0, refractory=refractory)}, {})
    current, width = np.array([0.0, 30.0, 0.0, 0.0, 15.0, 15.0, 0.0, 0.0]), 0.02
    file, spikes = tmp_path / "network.py", tmp_path / "s.csv"
    write_nest_script(alone, file, current={"A": current}, bin_width=width)
    command = [sys.executable, str(file), "--duration", "0.2", "--spikes", str(spikes)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    times = [float(line.split(",")[2]) for line in spikes.read_text().splitlines()[1:]]
    theirs, _ = np.histogram(times, np.arange(0, 161, 2.0))
    steps = np.repeat(current, 100)
    ours = lif_network(alone, 0.16, seed=0, n_trials=1, current={"A": steps}).counts(0.002)[0, :, 0]
    assert ours.sum() > 1000
    error = np.sqrt(ours + theirs + 1.0)
    assert np.mean(((ours - theirs) / error) ** 2) < 1.0


@pytest.mark.skipif(importlib.util.find_spec("nest") is None, reason="NEST is not installed")
def test_the_program_has_the_rates_of_our_network(tmp_path):
    network, file = winner_take_all(), tmp_path / "network.py"
    write_nest_script(network, file)
    command = [sys.executable, str(file), "--duration", "4", "--spikes", str(tmp_path / "s.csv")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in run.stdout.splitlines() if line.endswith("Hz")]
    rates = {line.split(":")[0]: float(line.split()[-2]) for line in lines}
    ours = lif_network(network, 4.0, seed=0, n_trials=2).rates.mean(0)
    assert rates["I"] == pytest.approx(ours[2], rel=0.02)
    assert rates["E1"] + rates["E2"] == pytest.approx(ours[0] + ours[1], rel=0.04)
    n_spikes = (rates["E1"] + rates["E2"]) * 400 * 4 + rates["I"] * 200 * 4
    written = (tmp_path / "s.csv").read_text().splitlines()
    assert len(written) - 1 == pytest.approx(n_spikes, abs=5)
