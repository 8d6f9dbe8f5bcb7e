"""The program that a network is exported to."""

import ast
import importlib.util
import subprocess
import sys

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
