"""``latentspike compare``: what is held out, who is compared, what goes wrong."""

import json

import numpy as np
import pytest

from latentspike.cli import compare as command
from latentspike.cli.main import main
from latentspike.cli.outcome import UsageError
from latentspike.io import write_hdf5, write_npz
from latentspike.spikes import SpikeData, Split


def options(file, tmp_path, *, models="smoothing", **more):
    return command.Compare(file=str(file), out=str(tmp_path / "c"), models=models, **more)


def prepared(given):
    settings, _ = command._configure(given)
    return command._prepare(settings, given.test_fraction)


@pytest.fixture
def file(tmp_path, rng):
    path = tmp_path / "r.h5"
    data = SpikeData(rng.poisson(0.3, (20, 15, 20)), 0.02)
    write_hdf5(path, data, Split(np.arange(17), np.arange(17, 20)))
    return path


def test_a_simulated_recording_from_file_to_table(tmp_path, capsys):
    world = ["--conditions=4", "--trials=5", "--neurons=12", "--duration=0.2"]
    file, out = tmp_path / "r.h5", tmp_path / "c"
    assert main(["simulate", "lorenz", "--out", str(file), *world]) == 0
    words = ["compare", str(file), "--models", "narrow", "--out", str(out)]
    words += ["--set=narrow.model.name=smoothing", "--set=narrow.model.width=0.01", "--seeds=1"]
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert [row["model"] for row in document["models"]] == ["narrow"]
    assert document["protocol"]["heldout_neurons"] and len(document["files"]) == 4
    assert "note: 1 of 12 neurons are held out" in captured.err
    assert "narrow-seed0 done" in captured.err
    assert main(words) == 0
    captured = capsys.readouterr()
    assert "1 of 1 were done before" in captured.err
    assert "co-smoothing" in captured.out and "written: " in captured.out


def test_trials_and_neurons_are_those_of_the_file_or_drawn(file, tmp_path):
    data, split = prepared(options(file, tmp_path))
    assert split.validation.tolist() == [17, 18, 19] and data.heldout.sum() == 2
    given = options(file, tmp_path, test_fraction=0.5, heldout_neurons=3)
    data, split = prepared(given)
    assert split.validation.size == 10 and data.heldout.sum() == 3
    assert prepared(given)[1].validation.tolist() == split.validation.tolist()
    assert prepared(options(file, tmp_path, heldout_neurons=0))[0].heldout.sum() == 0


def test_windows_of_one_long_trial_share_no_bin(tmp_path, rng):
    path = tmp_path / "long.npz"
    counts = rng.poisson(0.3, (1, 400, 4))
    write_npz(path, SpikeData(counts, 0.02))
    data, split = prepared(options(path, tmp_path))
    np.testing.assert_array_equal(data.counts.reshape(-1, 4), counts[0, : data.counts[..., 0].size])
    assert split.train.max() < split.validation.min() and not data.heldout.any()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"models": None}, "no model was named: give --models; known: lfads"),
        ({"models": "smoothing,smoothing"}, "--models names smoothing twice"),
        ({"set": ("lfads.samples=3",)}, "settings of lfads, which --models does not name"),
    ],
)
def test_models_that_are_not_clear(more, said, file, tmp_path):
    with pytest.raises(UsageError, match=said):
        command._configure(options(file, tmp_path, **more))


def test_models_may_come_from_the_configuration(file, tmp_path):
    config = tmp_path / "compare.toml"
    config.write_text(
        f"[data]\npath = '{file}'\nheldout_neurons = 4\n[smoothing.model]\nwidth = 0.1\n[lfads]\n"
    )
    given = command.Compare(out=str(tmp_path / "c"), config=str(config))
    settings, tables = command._configure(given)
    assert settings.path == str(file) and settings.heldout_neurons == 4
    assert tables == {"smoothing": {"model": {"width": 0.1}}, "lfads": {}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--models=smooth"], "'smooth' is not a known model; known: lfads"),
        (["--models=smoothing", "--set=smoothing.width=1"], "unknown key smoothing.width"),
        (["--models=smoothing", "--set=data.bins=1"], "data.bins"),
        (["--models=smoothing", "--test-fraction=1.5"], "between 0 and 1"),
        (["--models=smoothing", "--seeds=0"], "at least one seed"),
    ],
)
def test_mistakes_are_code_2_and_leave_no_folder(words, said, file, tmp_path, capsys):
    assert main(["compare", str(file), "--out", str(tmp_path / "c"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_an_interruption_says_how_to_go_on(file, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("latentspike.compare.run.end_jobs", interrupted)
    words = ["compare", str(file), "--models=smoothing", "--out", str(tmp_path / "c")]
    assert main(words) == 130
    assert "The same command goes on" in capsys.readouterr().err
