"""What users run into: folders that are taken, files that are damaged, a disk that is full."""

from __future__ import annotations

import errno
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.cli.main import main
from latentspike.io import write_npz

# the package has a function of the same name
FIT = importlib.import_module("latentspike.training.fit")
MODEL = ["--set=model.name=smoothing"]  # fits in no time: these tests are about files


@pytest.fixture
def file(tmp_path) -> Path:
    counts = np.random.default_rng(0).poisson(0.4, (20, 15, 6))
    write_npz(tmp_path / "recording.npz", SpikeData(counts, bin_width=0.02))
    return tmp_path / "recording.npz"


@pytest.fixture
def run(file, tmp_path) -> Path:
    assert main(["fit", str(file), "--out", str(tmp_path / "run"), *MODEL]) == 0
    return tmp_path / "run"


def failure(capsys, *words: object) -> tuple[int, str]:
    """Exit code and the one line that says why."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("latentspike: ")]
    assert len(lines) == 1 and "Traceback" not in captured.err
    return code, lines[0]


def test_each_command_names_the_one_to_run_first(run, capsys):
    code, message = failure(capsys, "evaluate", run)
    assert (code, f"latentspike infer {run}" in message) == (3, True)
    code, message = failure(capsys, "plot", run)
    assert (code, f"latentspike infer {run}" in message) == (3, True)
    (run / "model.npz").unlink()
    code, message = failure(capsys, "infer", run)
    assert (code, f"latentspike fit --resume --out {run}" in message) == (3, True)


def test_an_existing_run_is_not_overwritten_unasked(file, run, capsys):
    before = (run / "model.npz").read_bytes()
    code, message = failure(capsys, "fit", file, "--out", run, *MODEL)
    assert code == 2 and "--resume" in message and "--overwrite" in message
    assert (run / "model.npz").read_bytes() == before
    assert main(["fit", str(file), "--out", str(run), *MODEL, "--overwrite"]) == 0


def test_a_folder_of_something_else_is_left_alone(file, tmp_path, capsys):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "config.toml").write_text("mine")
    code, message = failure(capsys, "fit", file, "--out", foreign, "--overwrite", *MODEL)
    assert code == 2 and "holds no run" in message
    assert (foreign / "config.toml").read_text() == "mine"
    code, message = failure(capsys, "fit", file, "--out", file, *MODEL)
    assert code == 2 and "is a file" in message


def test_overwriting_keeps_files_that_are_not_ours(file, run):
    (run / "notes.txt").write_text("keep me")
    (run / "posterior.h5").write_text("stale")
    assert main(["fit", str(file), "--out", str(run), *MODEL, "--overwrite"]) == 0
    assert (run / "notes.txt").read_text() == "keep me"
    assert not (run / "posterior.h5").exists()


@pytest.mark.parametrize("name", ["model.npz", "split.npz", "run.json", "posterior.h5"])
def test_damaged_files_of_a_run(name, run, capsys):
    assert main(["infer", str(run)]) == 0
    whole = (run / name).read_bytes()
    (run / name).write_bytes(whole[: len(whole) // 2])
    code, message = failure(capsys, "plot", run)
    assert code == 3 and name in message


def test_a_damaged_checkpoint_is_named(file, run, capsys):
    (run / "checkpoint.npz").write_bytes(b"half a zip")
    code, message = failure(capsys, "fit", file, "--out", run, "--resume", *MODEL)
    assert code == 3 and "checkpoint.npz" in message


@pytest.fixture
def trained(file, tmp_path) -> Path:
    """A run with a checkpoint."""
    words = ["--set=model.name=linear_autoencoder", "--set=training.max_epochs=2"]
    assert main(["fit", str(file), "--out", str(tmp_path / "trained"), *words]) == 0
    return tmp_path / "trained"


@pytest.mark.parametrize(
    ("change", "named"),
    [("--set=training.batch_size=5", "training.batch_size"), ("--seed=3", "seed"), ("data", "")],
)
def test_resuming_with_something_else_changes_no_file(change, named, file, trained, capsys):
    names = ("config.toml", "split.npz", "run.json", "checkpoint.npz", "model.npz")
    before = {name: (trained / name).read_bytes() for name in names}
    words = ["fit", "--resume", "--out", str(trained)]
    if change == "data":
        write_npz(file, SpikeData(np.ones((20, 15, 6), int), bin_width=0.02))
    else:
        words.append(change)
    code, message = failure(capsys, *words)
    assert code == 2 and (named or "has changed since") in message
    assert {name: (trained / name).read_bytes() for name in names} == before


def test_a_longer_limit_resumes_and_old_inference_is_forgotten(trained, capsys):
    assert main(["infer", str(trained)]) == 0
    words = ["fit", "--resume", "--out", str(trained), "--set=training.max_epochs=4", "--json"]
    capsys.readouterr()
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["n_epochs"] == 4
    assert "max_epochs = 4" in (trained / "config.toml").read_text()
    assert not (trained / "posterior.h5").exists()


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_truncated_recordings(suffix, tmp_path, capsys):
    whole = tmp_path / f"a.{suffix}"
    words = ["--conditions=2", "--trials=3", "--neurons=4", "--duration=0.2"]
    assert main(["simulate", "lorenz", "--out", str(whole), *words]) == 0
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    for command in (["inspect", whole], ["fit", whole, "--out", tmp_path / "run"]):
        code, message = failure(capsys, *command)
        assert code == 3 and str(whole) in message
    assert not (tmp_path / "run").exists()


def test_input_data_that_cannot_be_fitted(tmp_path, capsys):
    silent = tmp_path / "silent.npz"
    write_npz(silent, SpikeData(np.zeros((4, 10, 3), int), bin_width=0.01))
    code, message = failure(capsys, "fit", silent, "--out", tmp_path / "run")
    assert code == 2 and "spike" in message
    assert not (tmp_path / "run").exists()
    code, message = failure(capsys, "inspect", tmp_path / "a.mat")
    assert code == 2 and ".mat" in message


def test_a_recording_that_changed_since_the_fit(file, run, capsys):
    write_npz(file, SpikeData(np.ones((20, 15, 6), int), bin_width=0.02))
    code, message = failure(capsys, "infer", run)
    assert code == 2 and "has changed since" in message


def test_a_configuration_of_a_run_that_was_edited_badly(run, capsys):
    config = run / "config.toml"
    config.write_text(config.read_text() + "\n[trainings]\n")
    code, message = failure(capsys, "infer", run)
    assert code == 2 and "trainings" in message


def test_a_full_disk(file, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "run"))

    monkeypatch.setattr("latentspike.cli.run_folder.save_arrays", full)
    code, message = failure(capsys, "fit", file, "--out", tmp_path / "run", *MODEL)
    assert code == 3 and "No space left on device" in message


def test_a_failed_start_does_not_block_the_next(file, tmp_path, capsys, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no good")

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(FIT, "fit", broken)
        assert failure(capsys, "fit", file, "--out", run, *MODEL)[0] == 2
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert main(["fit", str(file), "--out", str(run), *MODEL]) == 0
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_options_out_of_range(file, run, tmp_path, capsys):
    assert main(["infer", str(run)]) == 0
    table = {
        ("infer", run, "--samples=-1"): "--samples",
        ("infer", run, "--out", tmp_path / "x.csv"): ".csv",
        ("plot", run, "--trial=99"): "--trial",
        ("simulate", "lorenz", "--out", tmp_path / "x.csv"): ".csv",
        ("simulate", "lorenz", "--out", tmp_path / "x.h5", "--neurons=0"): "--neurons",
        ("simulate", "chaotic-rnn", "--out", tmp_path / "x.h5", "--speed=2"): "--speed",
        ("fit", file, "--out", tmp_path / "n", "--resume", "--overwrite"): "choose one",
        ("fit", file, "--out", tmp_path / "n", "--devices=0"): "--devices",
        ("fit", "--out", tmp_path / "n"): "no recording",
    }
    for words, expected in table.items():
        code, message = failure(capsys, *words)
        assert code == 2, (words, message)
        assert expected in message
