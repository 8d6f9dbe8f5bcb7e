"""neuLVM from the command line: simulate a network, fit all of it, infer, evaluate, plot."""

from __future__ import annotations

import json
import signal
import tomllib
from pathlib import Path

import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.cli.main import main
from latentspike.files import load_arrays
from latentspike.io import read, read_results_hdf5, write_npz
from latentspike.training.report import Reporter

TINY = [
    f"--set=model.{change}"
    for change in (
        "stepping.membrane=euler", "stepping.variance=binomial", "stepping.has_old=false",
        "stepping.max_age=0.1", "estimation.n_starts=1", "estimation.smoothing=0.02",
        "estimation.method=hard", "estimation.n_iterations=2", "estimation.tolerance=0",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Folder with a recording of a network, settings that fit it, and a finished run."""
    folder = tmp_path_factory.mktemp("neulvm")
    words = ["--duration=0.6", "--bin-width=0.01", "--neurons=6", "--strength=60", "--clusters=3"]
    words += ["--fit-config", str(folder / "fit.toml")]
    assert main(["simulate", "cluster", "--out", str(folder / "a.h5"), *words]) == 0
    assert main(["fit", *fitting(folder, "run")]) == 0
    return folder


def fitting(folder: Path, run: str, *more: str) -> list[str]:
    """Words of a fit."""
    words = [str(folder / "a.h5"), "--config", str(folder / "fit.toml")]
    return [*words, "--out", str(folder / run), *TINY, *more]


def document_of(capsys, *words: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_simulated_network_brings_its_populations_along(work):
    data = read(work / "a.h5")
    assert data.counts.shape == (1, 60, 6)
    assert data.truth["population_counts"].shape == (1, 60, 1)
    model = tomllib.loads((work / "fit.toml").read_text())["model"]
    assert model["neurons"] == {"E": data.neuron_ids.tolist()}
    assert model["network"]["connections"] == {"E": {"E": {"low": 10.0, "high": 110.0}}}


def test_the_run_used_the_whole_trial(work):
    run = work / "run"
    split, _ = load_arrays(run / "split.npz")
    assert split["train"].size == split["validation"].size == 0
    resolved = tomllib.loads((run / "config.toml").read_text())
    assert resolved["data"]["chop_window"] == 0
    assert resolved["model"]["stepping"]["max_age"] == 0.1
    arrays, _ = load_arrays(run / "model.npz")
    assert arrays["training_counts"].shape == (1, 60, 1)


def test_it_goes_all_the_way(work, capsys):
    run = str(work / "run")
    code, document = document_of(capsys, "infer", run, "--samples=0")
    assert code == 0 and document["arrays"] == ["population_activity", "rates"]
    assert read_results_hdf5(work / "run" / "posterior.h5").rates.shape == (1, 60, 6)
    code, document = document_of(capsys, "evaluate", run)
    metrics = {row["metric"]: row["value"] for row in document["scores"]}
    assert code == 0 and -1 <= metrics["E activity r"] <= 1
    assert "fitted to all trials" in document["note"]
    code, document = document_of(capsys, "plot", run, "--dpi=40")
    assert code == 0
    assert {"population_activity.png", "log_joint.png", "raster.png"} <= {
        Path(path).name for path in document["figures"]
    }


def test_interrupted_and_resumed_it_is_the_same(work, capsys, monkeypatch):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    real = Reporter.epoch

    def epoch(self, row):
        real(self, row)
        if row["step"] == 0:
            signal.raise_signal(signal.SIGINT)

    run = work / "parts"
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "epoch", epoch)
        code, document = document_of(capsys, "fit", *fitting(work, "parts"))
    assert code == 130 and "a checkpoint was written" in document["error"]
    code, document = document_of(capsys, "fit", "--resume", "--out", str(run))
    assert code == 0 and document["n_steps"] == 2
    assert 10 <= document["parameters"]["E → E"]["value"] <= 110
    resumed, whole = (load_arrays(folder / "model.npz")[0] for folder in (run, work / "run"))
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


@pytest.mark.parametrize(
    "counts, ids, said",
    [
        (np.full((1, 9, 1), 2), ["E-017"], "hold more than one spike of a neuron"),
        (np.ones((1, 9, 2), int), ["E-017", "F-3"], "belongs to no population"),
        (np.ones((1, 9, 1), int), ["F-3"], "has no neuron 'E-017'"),
    ],
)
def test_a_file_that_does_not_suit_is_named(counts, ids, said, work, tmp_path, capsys):
    write_npz(tmp_path / "b.npz", SpikeData(counts, 0.005, neuron_ids=ids))
    text = (work / "fit.toml").read_text().splitlines()
    text = ['E = ["E-017"]' if line.startswith("E = [") else line for line in text]
    (tmp_path / "fit.toml").write_text("\n".join(text))
    words = ["--config", str(tmp_path / "fit.toml"), "--out", str(tmp_path / "run")]
    code, document = document_of(capsys, "fit", str(tmp_path / "b.npz"), *words)
    assert code == 2 and said in document["error"]
    assert document["error"].startswith(f"{tmp_path / 'b.npz'}: ")
    assert not (tmp_path / "run").exists()


def test_another_recording_that_does_not_suit_is_named(work, tmp_path, capsys):
    write_npz(tmp_path / "b.npz", SpikeData(np.ones((1, 60, 6), int), 0.01))
    words = ["infer", str(work / "run"), "--data", str(tmp_path / "b.npz")]
    code, document = document_of(capsys, *words)
    assert code == 2 and document["error"].startswith(f"{tmp_path / 'b.npz'}: ")


@pytest.mark.parametrize(
    "words, said",
    [
        (["cluster", "--speed=2"], "--speed belongs to lorenz; cluster has none"),
        (["winner-take-all", "--strength=2"], "--strength belongs to cluster"),
        (["lorenz", "--fit-config=a.toml"], "--fit-config belongs to winner-take-all and cluster"),
        (["cluster", "--conditions=2"], "--conditions: cluster has none"),
        (["cluster", "--mean-rate=2"], "--mean-rate: cluster has none"),
        (["cluster", "--neurons=0"], "--neurons must be at least 1"),
        (["cluster", "--duration=0.3", "--neurons=601"], "recorded neurons of E"),
    ],
)
def test_options_that_a_world_does_not_have(words, said, tmp_path, capsys):
    out = ["--out", str(tmp_path / "a.npz")]
    code, document = document_of(capsys, "simulate", *words, *out)
    assert code == 2 and said in document["error"]
    assert not (tmp_path / "a.npz").exists()


def test_a_search_cannot_vary_it(work, tmp_path, capsys):
    words = ["tune", str(work / "a.h5"), "--config", str(work / "fit.toml")]
    code, document = document_of(capsys, *words, "--out", str(tmp_path / "s"))
    assert code == 2 and "gradient" in document["error"]
