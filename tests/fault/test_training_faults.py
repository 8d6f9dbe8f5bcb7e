"""What goes wrong around a fit: damaged files, full disks, hopeless data, wrong names."""

import errno
import json
import zipfile

import jax
import numpy as np
import pytest

from latentspike import SpikeData, devices
from latentspike.files import load_arrays, save_arrays
from latentspike.models.fitted import Fitted
from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.protocol import DataSpec
from latentspike.spikes import Split
from latentspike.training import RunOptions, TrainingSettings, fit
from latentspike.training.sample_validation import load_sample_mask

devices.prepare()
KEY = jax.random.key(0)
SPLIT = Split(np.arange(12), np.arange(12, 16))
SMALL = Architecture(
    generator_size=6, n_factors=3, ic_encoder_size=5, ic_size=3, n_inferred_inputs=2,
    ci_encoder_size=5, controller_size=5,
)  # fmt: skip


def values(seed=0, n_trials=16):
    rng = np.random.default_rng(seed)
    return SpikeData(rng.normal(size=(n_trials, 3, 5)), 0.1, kind="continuous")


def spikes(n_trials=8, n_neurons=5, **fields):
    counts = np.random.default_rng(1).poisson(1.0, (n_trials, 6, n_neurons))
    return SpikeData(counts, 0.01, **fields)


def train(folder=None, *, data=None, model=None, key=KEY, epochs=2, resume=False, **more):
    settings = {"max_epochs": epochs, "ramp_epochs": 0} | more.pop("settings", {})
    return fit(
        LinearAutoencoder() if model is None else model,
        values() if data is None else data,
        split=more.pop("split", SPLIT),
        settings=TrainingSettings(**settings),
        options=RunOptions(folder, resume=resume, show=False, n_devices=1),
        key=key,
        **more,
    )


@pytest.fixture
def run(tmp_path):
    """Folder of a run of two epochs."""
    train(tmp_path)
    return tmp_path


def resume(folder, **more):
    return train(folder, epochs=4, resume=True, **more)


def snapshot(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


# --- checkpoints -------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_named(run, kept):
    path = run / "checkpoint.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"checkpoint\.npz is damaged or was not written by"):
        resume(run)


@pytest.mark.parametrize("content", [b"hello", b"\x93NUMPY\x01\x00", b"PK\x05\x06" + bytes(18)])
def test_a_foreign_file_in_its_place_is_named(run, content):
    (run / "checkpoint.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint\.npz is damaged"):
        resume(run)


def test_a_flipped_bit_is_noticed(run):
    path = run / "checkpoint.npz"
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("state/params/weights.npy")
    content = bytearray(path.read_bytes())
    content[info.header_offset + info.compress_size // 2 + 60] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        resume(run)


def rewritten(run, **changes):
    arrays, header = load_arrays(run / "checkpoint.npz")
    save_arrays(run / "checkpoint.npz", arrays, header | changes)


@pytest.mark.parametrize("changes", [{"format": 99}, {"kind": "model"}, {"format": None}])
def test_another_format_is_named(run, changes):
    rewritten(run, **changes)
    with pytest.raises(ValueError, match="this version reads format 1 of 'checkpoint'"):
        resume(run)


@pytest.mark.parametrize("edit", ["missing", "unexpected", "shape"])
def test_arrays_that_do_not_fit_are_named(run, edit):
    arrays, header = load_arrays(run / "checkpoint.npz")
    name = "state/params/weights"
    if edit == "missing":
        del arrays[name]
    elif edit == "unexpected":
        arrays["state/params/bias"] = np.zeros(3)
    else:
        arrays[name] = arrays[name][:-1]
    save_arrays(run / "checkpoint.npz", arrays, header)
    with pytest.raises(ValueError, match=r"checkpoint\.npz.*params/(weights|bias)"):
        resume(run)


@pytest.mark.parametrize(
    "name, change",
    [
        ("model", {"model": LinearAutoencoder(initial_scale=0.2)}),
        ("data", {"data": values(seed=1)}),
        ("split", {"split": Split(np.arange(2, 14), np.array([0, 1, 14, 15]))}),
        ("hyperparams", {"hyperparams": {"keep_ratio": 0.5}}),
        ("settings", {"settings": {"batch_size": 5}}),
        ("key", {"key": jax.random.key(5)}),
    ],
)
def test_a_checkpoint_of_another_run_says_what_differs(run, name, change):
    before = snapshot(run)
    with pytest.raises(ValueError, match=rf"belongs to another run: {name}\S* was"):
        resume(run, **change)
    assert snapshot(run) == before


def test_what_only_limits_the_run_may_change(run):
    settings = {"patience": 7, "checkpoint_seconds": 1.0}
    assert resume(run, settings=settings).about["n_epochs"] == 4


# --- folders and disks -------------------------------------------------------------------------


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    settings = {"sample_validation": 0.3}
    train(tmp_path, settings=settings)
    before = snapshot(tmp_path)
    with pytest.raises(FileExistsError, match="already holds a run; resume it, or name another"):
        train(tmp_path, settings=settings, key=jax.random.key(1))
    # above all not its mask, without which it could never be resumed
    assert snapshot(tmp_path) == before
    assert resume(tmp_path, settings=settings).about["n_epochs"] == 4


def test_another_runs_resume_leaves_the_mask_alone(tmp_path):
    settings = {"sample_validation": 0.3}
    train(tmp_path, settings=settings)
    mask = load_sample_mask(tmp_path)
    with pytest.raises(ValueError, match="belongs to another run: key was"):
        resume(tmp_path, settings=settings, key=jax.random.key(1))
    np.testing.assert_array_equal(load_sample_mask(tmp_path), mask)


@pytest.mark.parametrize("arrays", [{}, {"bits": np.zeros(2, np.uint8)}])
def test_a_damaged_mask_is_named(tmp_path, arrays):
    save_arrays(tmp_path / "sample_mask.npz", arrays, {"shape": [4, 5, 6]})
    with pytest.raises(ValueError, match=r"sample_mask\.npz"):
        load_sample_mask(tmp_path)


def fill_the_disk(monkeypatch, after):
    """``OSError(ENOSPC)`` from the array number ``after`` on."""
    written = []
    real = np.lib.format.write_array

    def write_array(file, array, **options):
        written.append(array)
        if len(written) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, array, **options)

    monkeypatch.setattr(np.lib.format, "write_array", write_array)


@pytest.mark.parametrize("after", [0, 3])
def test_a_full_disk_leaves_the_previous_checkpoint(run, monkeypatch, after):
    whole = train(epochs=4)
    before = snapshot(run)
    with monkeypatch.context() as patch:
        fill_the_disk(patch, after)
        with pytest.raises(OSError, match="No space left"):
            resume(run)
    assert snapshot(run) == before  # no temporary file either
    assert resume(run).history == whole.history


def test_a_folder_that_cannot_be_written_fails_before_training(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    epochs = []
    options = RunOptions(
        tmp_path / "file", show=False, n_devices=1, monitor=lambda p, e: epochs.append(e) or {}
    )
    with pytest.raises(OSError):
        fit(LinearAutoencoder(), values(), options=options, key=KEY)
    assert epochs == []


@pytest.mark.parametrize("changes", [{"format": 0}, {"format": 2}, {"kind": "checkpoint"}])
def test_a_fitted_model_of_another_format_is_named(run, changes):
    arrays, header = load_arrays(run / "model.npz")
    save_arrays(run / "model.npz", arrays, header | changes)
    with pytest.raises(ValueError, match=r"model\.npz.*this version reads format 1 of 'model'"):
        Fitted.load(run)


def test_a_fitted_model_that_is_missing_damaged_or_unknown(run):
    with pytest.raises(FileNotFoundError, match="run `fit` first"):
        Fitted.load(run / "nowhere")
    arrays, header = load_arrays(run / "model.npz")
    save_arrays(run / "model.npz", arrays, header | {"model": {"name": "hmm"}})
    with pytest.raises(ValueError, match="unknown model 'hmm'; known: lfads"):
        Fitted.load(run)
    (run / "model.npz").write_bytes((run / "model.npz").read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"model\.npz is damaged"):
        Fitted.load(run)


def test_nothing_in_a_run_folder_is_a_pickle(run):
    for path in run.glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            assert all(file[name].dtype.kind in "fiub" for name in file.files)
        _, header = load_arrays(path)
        json.dumps(header, allow_nan=False)


# --- names, values and data --------------------------------------------------------------------


def test_an_unknown_hyperparameter_is_named():
    with pytest.raises(ValueError, match=r"'kl_ic'; known: keep_ratio, learning_rate"):
        train(hyperparams={"kl_ic": 1.0})  # the linear autoencoder has no such penalty
    with pytest.raises(ValueError, match=r"'lr'; known: .*kl_co.*learning_rate"):
        train(model=LFADS(SMALL), data=spikes(), hyperparams={"lr": 1.0}, split=None)


@pytest.mark.parametrize("n_devices, said", [(0, "at least 1"), (99, "JAX has")])
def test_devices_that_are_not_there(n_devices, said):
    options = RunOptions(show=False, n_devices=n_devices)
    with pytest.raises(ValueError, match=f"n_devices.*{said}"):
        fit(LinearAutoencoder(), values(), options=options, key=KEY)


def test_one_trial_cannot_be_fitted():
    with pytest.raises(ValueError, match=r"one trial.*`chop`"):
        train(data=values(n_trials=1), split=None)


@pytest.mark.parametrize("hidden", [False, True])
def test_no_spikes_cannot_be_fitted(hidden):
    data = spikes()
    if hidden:
        data = data.replace(observed=data.counts == 0)  # there are some, where none was observed
    else:
        data = data.replace(counts=np.zeros_like(data.counts))
    with pytest.raises(ValueError, match="not a single observed spike"):
        train(model=LFADS(SMALL), data=data, split=None)


def test_a_poisson_model_needs_counts():
    with pytest.raises(ValueError, match=r"continuous; set observation = 'gaussian'"):
        train(model=LFADS(SMALL), split=None)
    params = LFADS(SMALL).init(DataSpec.of(values()), key=KEY)
    with pytest.raises(ValueError, match="Poisson counts, but the recording is continuous"):
        LFADS(SMALL).infer(params, values(), key=KEY)


def test_a_split_of_another_recording():
    with pytest.raises((ValueError, IndexError), match="40"):
        train(split=Split(np.arange(12), np.array([40])))


MODELS = {"lfads": LFADS(SMALL), "linear_autoencoder": LinearAutoencoder()}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "other", [{"n_neurons": 4}, {"n_neurons": 6}, {"heldout": np.arange(5) == 2}]
)
def test_a_recording_with_other_neurons_is_refused(name, other):
    params = MODELS[name].init(DataSpec.of(spikes()), key=KEY)
    with pytest.raises(ValueError, match="the model reads 5 and predicts 5 neurons, but the rec"):
        MODELS[name].infer(params, spikes(**other), n_samples=0, key=KEY)


def test_a_recording_with_other_inputs_is_refused():
    data = spikes(inputs=np.zeros((8, 6, 2)))
    params = LFADS(SMALL).init(DataSpec.of(data), key=KEY)
    with pytest.raises(ValueError, match="takes 2 measured inputs, but the recording has 0"):
        LFADS(SMALL).infer(params, spikes(), key=KEY)
    with pytest.raises(ValueError, match="cannot be simulated"):
        LFADS(SMALL).simulate(params, n_trials=2, n_bins=5, bin_width=0.01, key=KEY)


def test_a_negative_number_of_draws_is_refused():
    params = LFADS(SMALL).init(DataSpec.of(spikes()), key=KEY)
    with pytest.raises(ValueError, match="n_samples must not be negative, got -1"):
        LFADS(SMALL).infer(params, spikes(), n_samples=-1, key=KEY)
