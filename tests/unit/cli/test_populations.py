"""``latentspike populations``: the table, the choice of a number, the TOML, the picture."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.cli import populations
from latentspike.cli.main import main
from latentspike.evaluate import PopulationLabels
from latentspike.io import write_npz

pytest.importorskip("elephant")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Three groups of three neurons that take turns."""
    phase = np.arange(600) // 100 % 3
    rates = np.where(phase[:, None] == np.repeat([0, 1, 2], 3), 20, 2)
    counts = np.random.default_rng(0).poisson(rates * 0.02, (4, 600, 9))
    path = tmp_path_factory.mktemp("populations") / "a.npz"
    write_npz(path, SpikeData(counts, 0.02, neuron_ids=[f"n-{i}" for i in range(9)]))
    return path


TRUTH = [[f"n-{i + 3 * k}" for i in range(3)] for k in range(3)]


def test_groups_and_their_number_are_found(file, tmp_path, capsys):
    words = ["--max=5", "--repeats=4", "--out", str(tmp_path / "a.png")]
    assert main(["populations", str(file), *words]) == 0
    text = capsys.readouterr().out
    toml = tomllib.loads(text[text.index("[model.neurons]") :])
    assert list(toml["model"]["neurons"].values()) == TRUTH
    rows = [line.split() for line in text.splitlines() if line.startswith("n-")]
    assert {(row[0], row[1]) for row in rows} == {
        (neuron, str(k + 1)) for k, members in enumerate(TRUTH) for neuron in members
    }
    (chosen,) = (line for line in text.splitlines() if "(chosen)" in line)
    assert chosen.startswith("3 ")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_the_number_that_is_asked_for_is_shown(file, capsys):
    words = ["--populations=4", "--max=2", "--repeats=2", "--json"]
    assert main(["populations", str(file), *words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["n_populations"] == len(document["neurons"]) == 4
    assert [row["n_populations"] for row in document["numbers"]] == [2, 4]
    assert set(document["silhouettes"]) == {f"n-{i}" for i in range(9)}


def labeled(labels, stability):
    labels = np.array(labels)
    ones = np.ones(labels.size)
    return PopulationLabels(
        np.arange(labels.size), labels, np.eye(labels.size), ones, np.array([stability])
    )


TWO, THREE, SINGLE = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "results, place, said",
    [
        ([labeled(TWO, 0.9), labeled(THREE, 0.85)], 0, ""),
        ([labeled(TWO, 0.85), labeled(THREE, 0.9)], 1, ""),
        ([labeled(TWO, 0.9), labeled(THREE, 0.9)], 1, ""),
        ([labeled(TWO, 0.9), labeled(THREE, 0.6)], 0, ""),
        ([labeled(TWO, 0.9), labeled([0, 0, 1, 1, 1, 2], 1.0)], 0, ""),
        ([labeled(SINGLE, 1.0), labeled([0, 0, 0, 0, 1, 2], 1.0)], 0, "splits off single neurons"),
        ([labeled(TWO, 0.3), labeled(THREE, 0.5)], 1, "no number of populations is stable"),
    ],
)
def test_the_most_stable_number_of_groups_is_chosen(results, place, said, capsys):
    assert populations._chosen(results, None) is results[place]
    errors = capsys.readouterr().err
    assert said in errors and bool(errors) == bool(said)


@pytest.mark.parametrize(
    "words, said",
    [
        (["--max=1"], "leave no number of populations"),
        (["--populations=9"], "n_populations must lie in"),
        (["--out=a.jpg"], "must end in .png"),
    ],
)
def test_populations_that_cannot_be_had(words, said, file, capsys):
    assert main(["populations", str(file), *words, "--json"]) == 2
    assert said in json.loads(capsys.readouterr().out)["error"]


def test_a_silent_neuron_is_named_with_its_file(tmp_path, capsys):
    counts = np.zeros((1, 800, 3), int)
    counts[0, ::7, :2] = 1
    write_npz(tmp_path / "b.npz", SpikeData(counts, 0.02, neuron_ids=["a", "b", "mute"]))
    assert main(["populations", str(tmp_path / "b.npz"), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error.startswith(f"{tmp_path / 'b.npz'}: ") and "mute" in error
