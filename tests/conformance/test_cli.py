"""One table over every command: help, JSON, a missing file, the happy path."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import signal
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest

from latentspike.cli.main import COMMANDS, main
from latentspike.files import load_arrays
from latentspike.io import ReadOptions, read, read_results_hdf5, read_split, write_npz
from latentspike.models.fitted import Fitted
from latentspike.training import NonFiniteLossError
from latentspike.training.report import Reporter

ARCHITECTURE = {
    "generator_size": 8, "n_factors": 4, "ic_encoder_size": 8, "ic_size": 8, "n_inferred_inputs": 0,
}  # fmt: skip
TINY = [f"--set=model.architecture.{name}={size}" for name, size in ARCHITECTURE.items()]
TINY += ["--set=training.max_epochs=2", "--set=data.heldout_neurons=2"]
SEARCH = [f"--set=search.{name}=2" for name in ("n_members", "epochs_per_generation")]
SEARCH += ["--set=search.max_generations=3", "--set=model.name=linear_autoencoder"]
WORLD = ["--conditions=4", "--trials=5", "--neurons=8", "--duration=0.2"]


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Folder with a recording and a run on which every command has been called."""
    folder = tmp_path_factory.mktemp("cli")
    file, run = str(folder / "recording.h5"), str(folder / "run")
    assert main(["simulate", "lorenz", "--out", file, *WORLD]) == 0
    assert main(["fit", file, "--out", run, *TINY]) == 0
    assert main(["infer", run, "--samples=2"]) == 0
    assert main(["evaluate", run]) == 0
    assert main(["plot", run, "--dpi=40"]) == 0
    return folder


def called(capsys, *words: object) -> tuple[int, dict, str]:
    """Exit code, the one JSON document on standard output, and standard error."""
    capsys.readouterr()
    code = main([*map(str, words), "--json"])
    captured = capsys.readouterr()
    document = json.loads(captured.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert captured.out.count("\n") == 1
    return code, document, captured.err


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_names_every_option_and_exit_code(command, capsys):
    assert main([] if command is None else [command, "--help"]) == (2 if command is None else 0)
    if command is None:
        assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "exit codes:" in text and "130" in text
    for word in COMMANDS if command is None else ("--json", "--debug"):
        assert word in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command, capsys):
    module = importlib.import_module(f"latentspike.cli.{command}")
    body = ast.parse(textwrap.dedent(inspect.getsource(module.OPTIONS))).body[0].body
    fields = [(i, node) for i, node in enumerate(body) if isinstance(node, ast.AnnAssign)]
    assert fields
    main([command, "--help"])
    shown = "".join(capsys.readouterr().out.split())
    for place, node in fields:
        following = body[place + 1] if place + 1 < len(body) else None
        text = getattr(getattr(following, "value", None), "value", None)
        assert isinstance(text, str), f"{command}: {node.target.id} is not explained"
        assert "".join(text.split()) in shown
        if "Positional" not in ast.unparse(node.annotation) and "RunFolder" not in ast.unparse(
            node.annotation
        ):
            assert f"--{node.target.id.replace('_', '-')}" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_bad_usage_is_code_2_and_json(command, capsys):
    code, document, errors = called(capsys, command, "--no-such-option")
    assert code == document["exit_code"] == 2
    assert "Traceback" not in errors


MISSING = {
    "simulate": ["lorenz", "--out", "{folder}/a-file/x.h5", *WORLD],
    "inspect": ["{folder}/nothing.h5"],
    "populations": ["{folder}/nothing.h5"],
    "fit": ["{folder}/nothing.h5", "--out", "{folder}/new"],
    "tune": ["{folder}/nothing.h5", "--out", "{folder}/new"],
    "infer": ["{folder}/nothing"],
    "evaluate": ["{folder}/nothing"],
    "plot": ["{folder}/nothing"],
    "compare": ["{folder}/nothing.h5", "--models=smoothing", "--out", "{folder}/new"],
    "study": ["page", "--out", "{folder}/nothing"],
    "demo": ["--out", "{folder}/a-file"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_file_is_code_3(command, capsys, tmp_path):
    (tmp_path / "a-file").write_text("not a folder")
    words = [word.format(folder=tmp_path) for word in MISSING[command]]
    code, document, errors = called(capsys, command, *words)
    assert code == document["exit_code"] == 3, document
    assert str(tmp_path) in document["error"]
    assert "Traceback" not in errors


HAPPY = {
    "simulate": (["chaotic-rnn", "--out={folder}/other.npz", *WORLD], {"n_trials": 20}),
    "inspect": (["{folder}/recording.h5"], {"n_neurons": 8, "n_train_trials": 16}),
    "populations": (
        ["{folder}/recording.h5", "--populations=2", "--max=3", "--time-constant=0.02"],
        {"n_populations": 2},
    ),
    "fit": (["{folder}/recording.h5", "--out={folder}/again", *TINY], {"n_epochs": 2}),
    "tune": (
        ["{folder}/recording.h5", "--out={folder}/tuned", *SEARCH],
        {"n_generations": 3, "n_members": 2, "algorithm": "pbt", "model": "LinearAutoencoder"},
    ),
    "infer": (["{folder}/run", "--samples=2"], {"n_trials": 20, "n_samples": 2}),
    "evaluate": (["{folder}/run"], {"n_validation_trials": 4}),
    "plot": (["{folder}/run", "--dpi=40"], {}),
    "compare": (
        ["{folder}/recording.h5", "--models=smoothing", "--out={folder}/compared"],
        {"best": {}, "kind": "comparison results"},
    ),
    "study": (["list", "--out={folder}/studies"], {"n_with_results": 0}),
}


@pytest.mark.parametrize("command", HAPPY)
def test_the_happy_path_as_json(command, work, capsys):
    words, expected = HAPPY[command]
    code, document, _ = called(capsys, command, *[word.format(folder=work) for word in words])
    assert code == 0
    assert {name: document[name] for name in expected} == expected


def test_the_demo_ends_with_scores_and_pictures(tmp_path, capsys, monkeypatch):
    from latentspike.cli import demo

    small = tuple(word.removeprefix("--set=") for word in TINY)
    sizes = {"conditions": 4, "trials": 5, "neurons": 8, "duration": 0.2}
    monkeypatch.setattr(demo, "SETTINGS", small)
    monkeypatch.setattr(demo, "SIMULATION", sizes)
    monkeypatch.setattr(demo, "SAMPLES", 2)
    code, document, _ = called(capsys, "demo", "--out", tmp_path / "d", "--epochs", 1)
    assert code == 0
    assert document["n_epochs"] == 1
    assert {row["metric"] for row in document["scores"]["scores"]} >= {
        "rates R²", "co-smoothing bits per spike"
    }  # fmt: skip
    assert all(Path(path).stat().st_size > 1000 for path in document["figures"])


def test_the_run_folder_is_complete(work):
    run = work / "run"
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "config.toml", "run.json", "split.npz", "metrics.csv", "checkpoint.npz", "model.npz",
        "tensorboard", "posterior.h5", "scores.json", "figures",
    }  # fmt: skip
    about = json.loads((run / "run.json").read_text())
    assert about["status"] == "finished" and about["ended"]
    assert set(about["versions"]) == {"latentspike", "python", "jax", "numpy"}
    assert about["data"]["path"] == str(work / "recording.h5")
    split, _ = load_arrays(run / "split.npz")
    stored = read_split(work / "recording.h5")[1]
    np.testing.assert_array_equal(split["validation"], stored.validation)
    assert split["heldout"].sum() == 2
    figures = {path.stem for path in (run / "figures").iterdir()}
    assert figures >= {"raster", "rates", "factors", "factors_3d", "training_loss", "scores"}


def test_scores_stand_beside_smoothing(work, capsys):
    assert main(["evaluate", str(work / "run")]) == 0
    text = capsys.readouterr().out
    assert "baseline" in text and "Gaussian smoothing with σ =" in text
    document = json.loads((work / "run" / "scores.json").read_text())
    rows = {row["metric"]: row for row in document["scores"]}
    assert rows["co-smoothing bits per spike"]["baseline"] is not None
    assert document["true_rates"]["rates R²"] == pytest.approx(1)
    assert set(document["paper_baseline"]["values"]) == set(rows)


def test_config_alone_repeats_the_run(work, tmp_path):
    config = work / "run" / "config.toml"
    assert main(["fit", "--config", str(config), "--out", str(tmp_path / "copy")]) == 0
    first, again = Fitted.load(work / "run"), Fitted.load(tmp_path / "copy")
    assert first.history == again.history
    assert tomllib.loads(config.read_text()) == tomllib.loads(
        (tmp_path / "copy" / "config.toml").read_text()
    )


def test_dry_run_is_a_configuration_and_writes_nothing(work, tmp_path, capsys):
    file, out = str(work / "recording.h5"), tmp_path / "dry"
    assert main(["fit", file, "--out", str(out), *TINY, "--seed=5", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert not out.exists()
    resolved = tomllib.loads(text)
    assert resolved["seed"] == 5 and resolved["training"]["max_epochs"] == 2
    assert "estimated memory" in text
    (tmp_path / "dry.toml").write_text(text)
    code, document, _ = called(
        capsys, "fit", "--config", tmp_path / "dry.toml", "--out", out, "--dry-run"
    )
    assert code == 0 and document["memory"]["total_bytes"] > 0
    assert document["configuration"]["model"] == resolved["model"]


def interrupt_after(monkeypatch, n_epochs: int) -> None:
    """Send this process SIGINT, as Ctrl-C does, once so many epochs are done."""
    # a test run in the background starts with SIGINT ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    real = Reporter.epoch

    def epoch(self, row):
        real(self, row)
        if int(row["epoch"]) + 1 == n_epochs:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Reporter, "epoch", epoch)


def test_interrupted_and_resumed_equals_uninterrupted(work, tmp_path, capsys, monkeypatch):
    file, run = work / "recording.h5", tmp_path / "run"
    more = [*TINY, "--set=training.max_epochs=4"]
    assert main(["fit", str(file), "--out", str(tmp_path / "whole"), *more]) == 0
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        code, document, _ = called(capsys, "fit", file, "--out", run, *more)
    assert code == document["exit_code"] == 130
    assert f"latentspike fit --resume --out {run}" in document["error"]
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert not (run / "model.npz").exists()
    assert main(["fit", "--resume", "--out", str(run)]) == 0
    resumed, _ = load_arrays(run / "model.npz")
    whole, _ = load_arrays(tmp_path / "whole" / "model.npz")
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_training_that_fails_is_code_4(work, tmp_path, capsys, monkeypatch):
    def diverge(*_, **__):
        raise NonFiniteLossError("training recon is not finite in epoch 1, step 1")

    monkeypatch.setattr(importlib.import_module("latentspike.training.fit"), "run_epochs", diverge)
    out = tmp_path / "run"
    code, document, errors = called(capsys, "fit", work / "recording.h5", "--out", out, *TINY)
    assert code == document["exit_code"] == 4
    assert "epoch 1, step 1" in document["error"] and "Traceback" not in errors
    assert json.loads((out / "run.json").read_text())["status"] == "failed"


def test_an_unexpected_error_is_code_1_and_debug_shows_where(work, capsys, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("something odd")

    monkeypatch.setattr("latentspike.spikes.describe", broken)
    words = ["inspect", str(work / "recording.h5")]
    assert main(words) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert main([*words, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_inference_of_another_recording(work, tmp_path, capsys):
    file = tmp_path / "day2.npz"
    write_npz(file, read(work / "recording.h5").select_trials(slice(0, 7)))
    out = tmp_path / "results.h5"
    before = (work / "run" / "posterior.h5").read_bytes()
    code, document, _ = called(
        capsys, "infer", work / "run", "--data", file, "--samples=0", "--out", out
    )
    assert code == 0 and document["files"] == [str(out)]
    assert read_results_hdf5(out).rates.shape == (7, 20, 8)
    assert (work / "run" / "posterior.h5").read_bytes() == before


def test_results_and_recordings_as_nwb(work, tmp_path, capsys):
    pytest.importorskip("pynwb")
    file, out = tmp_path / "a.nwb", tmp_path / "results.nwb"
    assert main(["simulate", "lorenz", "--out", str(file), *WORLD]) == 0
    code, document, _ = called(capsys, "inspect", file)
    assert code == 0 and "align_time" in document["trials_columns"]
    assert document["n_trials"] == 1
    words = ["--align-to", "align_time", "--window", "0", "0.2", "--bin-width", "0.02"]
    code, document, _ = called(capsys, "inspect", file, *words)
    assert (document["n_trials"], document["n_bins"]) == (20, 10)
    assert main(["infer", str(work / "run"), "--samples=2", "--out", str(out)]) == 0
    options = ReadOptions(bin_width=0.01)
    with pytest.raises(ValueError, match="units"):
        read(out, options)


def test_a_search_needs_nothing_but_an_nwb_file(tmp_path, capsys, monkeypatch):
    pytest.importorskip("pynwb")
    from latentspike import SpikeData
    from latentspike.io import write_nwb
    from latentspike.search import defaults

    rates = np.exp(np.sin(np.arange(100)[:, None] / 9 + np.arange(6)))
    counts = np.random.default_rng(0).poisson(0.3 * rates)
    write_nwb(tmp_path / "session.nwb", SpikeData(counts[None], bin_width=0.01))
    # what is chosen stays as it is, in a size that a test can wait for
    limits = {"STEPS_PER_GENERATION": 5, "FEWEST_GENERATIONS": 2, "MOST_GENERATIONS": 3}
    for name, value in (limits | {"FEWEST_MEMBERS": 4}).items():
        monkeypatch.setattr(defaults, name, value)
    monkeypatch.chdir(tmp_path)
    code, document, errors = called(capsys, "tune", "session.nwb")
    assert code == 0 and document["run"] == "session-tuned"
    assert document["model"] == "LFADS" and 2 <= document["n_generations"] <= 3
    assert set(document["chosen"]) == {
        "data.bin_width", "model", "training.batch_size", "training.decay_factor",
        "training.decay_patience", "search.n_members", "search.epochs_per_generation",
        "search.warmup", "search.max_generations",
    }  # fmt: skip
    for name, text in document["chosen"].items():
        assert f"chosen: {name} = {text}" in errors
    searched = set(document["best"]["hyperparams"])
    assert searched >= {
        "l2_gen", "l2_con", "kl_ic", "kl_co", "dropout", "keep_ratio", "learning_rate",
    }  # fmt: skip
    assert (tmp_path / "session-tuned" / "model.npz").exists()


def test_one_long_trial_goes_all_the_way(tmp_path, capsys):
    rng = np.random.default_rng(0)
    from latentspike import SpikeData

    write_npz(tmp_path / "long.npz", SpikeData(rng.poisson(0.4, (1, 210, 6)), bin_width=0.05))
    run = tmp_path / "run"
    words = ["--set=model.name=smoothing", "--set=model.width=0.1"]
    assert main(["fit", str(tmp_path / "long.npz"), "--out", str(run), *words]) == 0
    assert main(["infer", str(run)]) == 0
    assert read_results_hdf5(run / "posterior.h5").rates.shape == (1, 210, 6)
    code, document, _ = called(capsys, "evaluate", run)
    assert code == 0 and document["n_validation_trials"] >= 2
    assert called(capsys, "plot", run, "--dpi=40")[0] == 0


def test_the_installed_program(tmp_path):
    program = Path(sys.executable).with_name("latentspike")
    if not program.exists():
        pytest.skip("the package is not installed beside this interpreter")
    found = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert found.stdout.startswith("latentspike ")
    failed = subprocess.run(
        [program, "inspect", "none.h5", "--json"], capture_output=True, text=True, cwd=tmp_path
    )
    assert failed.returncode == 3
    assert json.loads(failed.stdout)["exit_code"] == 3


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys; from latentspike.cli.main import main; main(['--version']); main(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('jax', 'h5py', 'matplotlib', 'tyro')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
