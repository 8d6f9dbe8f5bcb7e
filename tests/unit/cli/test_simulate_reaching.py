"""`latentspike simulate reaching`."""

import json

import numpy as np
import pytest

from latentspike.cli.main import main
from latentspike.io import read


def test_a_reaching_recording_with_the_hand_in_it(tmp_path, capsys):
    path = tmp_path / "reaching.h5"
    words = ["--conditions=6", "--trials=5", "--neurons=8", "--bin-width=0.01", "--seed=3"]
    assert main(["simulate", "reaching", "--out", str(path), *words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["n_trials"], document["n_bins"], document["n_neurons"]) == (30, 70, 8)
    data = read(path)
    assert data.behavior["hand_velocity"].shape == (30, 70, 2)
    assert data.t_start == pytest.approx(-0.25)
    assert data.truth["rates"].shape == (30, 70, 8)
    assert np.unique(data.conditions).size == 6


def test_its_length_is_fixed(tmp_path, capsys):
    words = ["simulate", "reaching", "--out", str(tmp_path / "a.h5"), "--duration=2", "--json"]
    assert main(words) == 2
    assert "--duration: reaching has none" in capsys.readouterr().out
