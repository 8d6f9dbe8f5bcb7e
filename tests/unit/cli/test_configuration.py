"""The resolved configuration: every key known, every value checked, every error named."""

import tomllib

import pytest

from latentspike.cli.configuration import Configuration, read_configuration
from latentspike.cli.outcome import FileProblem, UsageError
from latentspike.cli.toml import to_toml

BAD = {
    "sed=1": "unknown key sed",
    "training.max_epoch=5": "unknown key training.max_epoch",
    "training.max_epochs=0": "max_epochs must be at least 1",
    "training.max_epochs=many": "training.max_epochs must be int",
    "training=3": "training must be a table",
    "data.bin_widht=0.1": "unknown key data.bin_widht",
    "data.bin_width=-1": "bin_width must be a positive",
    "data.bin_width=fast": "data.bin_width must be float",
    "data.window=[1, 2, 3]": "data.window must be a list of 2 float",
    "data.behavior=hand": "data.behavior must be a list",
    "data.rebin=0": "rebin must be at least 1",
    "data.heldout_neurons=1.5": "data.heldout_neurons must be int",
    "data.align_to=go": "needs a window",
    "model.name=lfad": "unknown model 'lfad'",
    "model.architecture=3": "model.architecture must be a table",
    "model.architecture.generator_sizes=3": "unknown key model.architecture.generator_sizes",
    "model.architecture.generator_size=0": "generator_size must be at least 1",
    "hyperparams.kl=1": "unknown hyperparameter 'kl'",
    "hyperparams.keep_ratio=2": "keep_ratio",
    "hyperparams.dropout=much": "hyperparams.dropout must be a number",
    "seed=-1": "seed must be",
    "seed=1.5": "seed must be",
}


@pytest.mark.parametrize("change", BAD)
def test_a_wrong_key_or_value_is_named(change):
    with pytest.raises(ValueError) as caught:
        Configuration.from_dict(read_configuration(None, [change]))
    assert BAD[change] in str(caught.value)


@pytest.mark.parametrize("model", ["lfads", "linear_autoencoder", "smoothing"])
def test_the_resolved_text_gives_the_same_configuration(model):
    changes = [f"model.name={model}", "data.window=[-1, 2]", "data.align_to=go", "seed=3"]
    first = Configuration.from_dict(read_configuration(None, changes))
    again = Configuration.from_dict(tomllib.loads(to_toml(first.to_dict())))
    assert again == first
    assert first.data.window == (-1.0, 2.0)


def test_every_hyperparameter_is_resolved():
    resolved = Configuration.from_dict({"hyperparams": {"kl_ic": 0.5}}).hyperparams
    assert resolved["kl_ic"] == 0.5
    assert {"learning_rate", "keep_ratio", "dropout"} <= set(resolved)


def test_set_overrides_the_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("seed = 4\n[training]\nmax_epochs = 7\nbatch_size = 9\n")
    found = Configuration.from_dict(read_configuration(str(file), ["training.max_epochs=8"]))
    assert (found.seed, found.training.max_epochs, found.training.batch_size) == (4, 8, 9)


@pytest.mark.parametrize("change", ["max_epochs", "=3", "seed.deeper=1"])
def test_malformed_changes_are_usage_errors(change):
    with pytest.raises(UsageError):
        read_configuration(None, ["seed=1", change])


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileProblem, match="cannot be read"):
        read_configuration(str(tmp_path / "no.toml"))
    for content in (b"seed = ", b"\xff\xfe"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(ValueError, match="is not TOML"):
            read_configuration(str(tmp_path / "bad.toml"))


def test_models_without_hyperparameters_take_none():
    with pytest.raises(ValueError, match=r"hyperparams\.kl_ic"):
        Configuration.from_dict({"model": {"name": "smoothing"}, "hyperparams": {"kl_ic": 1.0}})
